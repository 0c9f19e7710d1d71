package xds

import (
	"slices"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	healthcheckv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// receive makes a connection manager take requests from outside: the health path is answered here, and what Envoy itself
// takes for the client is what the trusted proxies in front tell.
func receive(p *packer, m *hcmv3.HttpConnectionManager, l mesh.Listener, ingress []string) {
	m.UseRemoteAddress = wrapperspb.Bool(true)
	m.XffNumTrustedHops = l.TrustedHops
	m.LocalReplyConfig = markUnsent()
	if l.HealthPath != "" {
		m.HttpFilters = slices.Insert(m.HttpFilters, 0, httpFilter("envoy.filters.http.health_check", p, healthPath(l.HealthPath, ingress)))
	}
}

// markUnsent marks Envoy's own answers to requests that never reached an app: no connection came about (UF), or there is no
// endpoint (UH). The Envoy of the calling task may then try any method again, elsewhere.
func markUnsent() *hcmv3.LocalReplyConfig {
	return &hcmv3.LocalReplyConfig{Mappers: []*hcmv3.ResponseMapper{{
		Filter: &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
			ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: []string{"UF", "UH"}},
		}},
		HeadersToAdd: []*corev3.HeaderValueOption{{
			Header:       &corev3.HeaderValue{Key: unsentHeader, Value: "1"},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}},
	}}}
}

// forwardedHeaders settle X-Forwarded-*. Behind trusted proxies they arrive as the last of these sent them, and Envoy adds no
// address of its own: the app sees what it saw without Envoy. Without any proxy they tell the connection, whatever a client
// made up.
func forwardedHeaders(trustedHops uint32) []*mutationv3.HeaderMutation {
	client := addHeader("X-Forwarded-For", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%")
	if trustedHops > 0 {
		return []*mutationv3.HeaderMutation{client}
	}
	return []*mutationv3.HeaderMutation{
		removeHeaders("x-forwarded-"), removeHeaders("forwarded"), client, addHeader("X-Forwarded-Proto", "http"),
	}
}

// addHeader adds a header where there is none of that name.
func addHeader(name, value string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Append{Append: &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_ADD_IF_ABSENT,
	}}}
}

// leastHealthy is the percentage of healthy endpoints from which on an Envoy cluster counts: the lowest there is, as Envoy 1.40
// cuts fractions off, and at 0 an empty Envoy cluster counts as healthy (measured).
const leastHealthy = 1

// healthPath answers 200 while each of the Envoy clusters has a healthy endpoint, else 503.
func healthPath(path string, clusters []string) *healthcheckv3.HealthCheck {
	least := map[string]*typev3.Percent{}
	for _, name := range clusters {
		least[name] = &typev3.Percent{Value: leastHealthy}
	}
	return &healthcheckv3.HealthCheck{
		PassThroughMode:              wrapperspb.Bool(false),
		ClusterMinHealthyPercentages: least,
		Headers: []*routev3.HeaderMatcher{{
			Name: ":path",
			HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Exact{Exact: path},
			}},
		}},
	}
}

// ingressClusters are the Envoy clusters behind all ingress listeners of a proxy.
func ingressClusters(p mesh.Proxy, splits []mesh.Split) []string {
	ingress := map[string]bool{}
	for _, l := range p.Listeners {
		ingress[l.Name] = l.Direction == mesh.Ingress
	}
	var names []string
	for _, s := range splits {
		for _, share := range s.Shares {
			if ingress[s.Listener] {
				names = append(names, clusterName(share.Service))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
