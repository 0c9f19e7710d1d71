package xds

import (
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

const (
	// retries are the tries after the first. With 3, tasks that leave a few seconds before it is known exhausted them
	// now and then; with 5 never.
	retries = 5
	// retryBodyLimit is the size in bytes up to which a request's body is kept, so that it can be sent again.
	retryBodyLimit = 1 << 20
	// unsentHeader marks an answer to a request that never reached an app, so that any method may be tried again.
	unsentHeader = "x-nightjar-unsent"
	// safeMethods may be repeated even if the app has seen the request: RFC 9110, idempotent methods.
	safeMethods = "GET|HEAD|OPTIONS|PUT|DELETE|TRACE"
	// retryUnsent are the faults after which a request has not reached the app.
	retryUnsent = "connect-failure,refused-stream,reset-before-request,retriable-headers"
	// retrySafe adds a connection that broke after the request was sent.
	retrySafe = retryUnsent + ",reset"
)

// routeConfig translates the routes of one listener. They are in match order: Envoy takes the first that matches.
func routeConfig(listener mesh.Listener, routes []mesh.Route) (*Resource, error) {
	p := &packer{}
	host := &routev3.VirtualHost{
		Name:                   routeConfigName(listener.Name),
		Domains:                []string{"*"},
		RetryPolicy:            retryPolicy(p, retryUnsent),
		RequestBodyBufferLimit: wrapperspb.UInt64(retryBodyLimit),
	}
	needs := map[string]bool{}
	for _, r := range routes {
		if r.Listener != listener.Name {
			continue
		}
		needs[clusterName(r.Service)] = true
		host.Routes = append(host.Routes, safeRoute(p, r), restRoute(r))
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	config := &routev3.RouteConfiguration{
		Name:         routeConfigName(listener.Name),
		VirtualHosts: []*routev3.VirtualHost{host},
		// Envoy's answer to a route whose Envoy cluster is missing is 503 either way; refusing the whole configuration for it
		// would take the other routes along.
		ValidateClusters: wrapperspb.Bool(false),
	}
	resource, err := newResource(config.GetName(), config)
	if err != nil {
		return nil, err
	}
	for name := range needs {
		resource.Needs = append(resource.Needs, name)
	}
	slices.Sort(resource.Needs)
	return resource, nil
}

// safeRoute takes the methods that may be repeated.
func safeRoute(p *packer, r mesh.Route) *routev3.Route {
	route := restRoute(r)
	route.Match.Headers = []*routev3.HeaderMatcher{{
		Name: ":method",
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: safeMethods}},
		}},
	}}
	route.GetRoute().RetryPolicy = retryPolicy(p, retrySafe)
	return route
}

// restRoute takes every method, with the retries of the virtual host.
func restRoute(r mesh.Route) *routev3.Route {
	return &routev3.Route{
		Match: pathMatch(r.Path),
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: clusterName(r.Service)},
			// Without this Envoy ends every request after 15 s.
			Timeout: durationpb.New(0),
		}},
	}
}

// pathMatch matches whole segments. path_separated_prefix refuses "/" and a trailing slash, where prefix means the same.
func pathMatch(path string) *routev3.RouteMatch {
	if strings.HasSuffix(path, "/") {
		return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: path}}
	}
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: path}}
}

func retryPolicy(p *packer, on string) *routev3.RetryPolicy {
	return &routev3.RetryPolicy{
		RetryOn:                       on,
		NumRetries:                    wrapperspb.UInt32(retries),
		HostSelectionRetryMaxAttempts: 5,
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: durationpb.New(10 * time.Millisecond),
			MaxInterval:  durationpb.New(100 * time.Millisecond),
		},
		RetriableHeaders: []*routev3.HeaderMatcher{{
			Name:                 unsentHeader,
			HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true},
		}},
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name: "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{
				TypedConfig: p.pack(&previoushostsv3.PreviousHostsPredicate{}),
			},
		}},
	}
}

// ads makes a resource's source the stream that it came by.
func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}
