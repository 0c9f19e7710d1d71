package xds

import (
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	healthcheckv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// receive makes a connection manager take requests from outside: the client's address and scheme are those that the
// trusted proxies in front tell, else those of the connection, and the health path is answered here.
func receive(p *packer, m *hcmv3.HttpConnectionManager, l mesh.Listener, ingress []string) {
	m.UseRemoteAddress = wrapperspb.Bool(true)
	m.SkipXffAppend = false
	m.XffNumTrustedHops = l.TrustedHops
	if l.HealthPath != "" {
		m.HttpFilters = slices.Insert(m.HttpFilters, 0, httpFilter("envoy.filters.http.health_check", p, healthPath(l.HealthPath, ingress)))
	}
}

// healthPath answers 200 while each of the Envoy clusters has a healthy endpoint, else 503.
func healthPath(path string, clusters []string) *healthcheckv3.HealthCheck {
	least := map[string]*typev3.Percent{}
	for _, name := range clusters {
		least[name] = &typev3.Percent{Value: 1}
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
