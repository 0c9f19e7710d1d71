package xds

import (
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	previousprioritiesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

const (
	// usualRetries are the tries after the first where the settings don't say otherwise. With 3, tasks that leave a few
	// seconds before it is known exhausted them now and then; with 5 never.
	usualRetries = 5
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

// routeConfig translates what the paths of one listener lead to. They are in match order: Envoy takes the first that
// matches.
func routeConfig(listener mesh.Listener, splits []mesh.Split) (*Resource, error) {
	p := &packer{}
	host := &routev3.VirtualHost{
		Name:                   routeConfigName(listener.Name),
		Domains:                []string{"*"},
		RetryPolicy:            retryPolicy(p, retryUnsent, usualRetries),
		RequestBodyBufferLimit: wrapperspb.UInt64(retryBodyLimit),
		// Of what an app sends, and at the calling app; what ingress itself answers keeps it.
		ResponseHeadersToRemove: []string{unsentHeader},
	}
	needs := map[string]bool{}
	for _, s := range splits {
		if s.Listener != listener.Name {
			continue
		}
		for _, share := range s.Shares {
			needs[clusterName(share.Service)] = true
		}
		host.Routes = append(host.Routes, safeRoute(p, s), restRoute(p, s))
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
func safeRoute(p *packer, s mesh.Split) *routev3.Route {
	route := pathRoute(s)
	route.Match.Headers = []*routev3.HeaderMatcher{{
		Name: ":method",
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: safeMethods}},
		}},
	}}
	route.GetRoute().RetryPolicy = retryPolicy(p, retrySafe, s.Policy.Retries)
	return route
}

// restRoute takes every method, with the retries of the virtual host where they are the usual ones.
func restRoute(p *packer, s mesh.Split) *routev3.Route {
	route := pathRoute(s)
	if s.Policy.Retries != usualRetries {
		route.GetRoute().RetryPolicy = retryPolicy(p, retryUnsent, s.Policy.Retries)
	}
	return route
}

// pathRoute takes a path. Its name shows in the access log.
func pathRoute(s mesh.Split) *routev3.Route {
	action := &routev3.RouteAction{
		// Without this Envoy ends every request after 15 s.
		Timeout: durationpb.New(s.Policy.Timeout),
	}
	if s.Policy.Protocol == mesh.GRPC {
		// The deadline that a gRPC client sends (grpc-timeout) holds, within the one that is set, which must stand here too:
		// beside these Envoy doesn't look at the timeout.
		action.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{
			MaxStreamDuration: durationpb.New(s.Policy.Timeout), GrpcTimeoutHeaderMax: durationpb.New(s.Policy.Timeout),
		}
	}
	if len(s.Shares) == 1 {
		action.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: clusterName(s.Shares[0].Service)}
	} else {
		shared := &routev3.WeightedCluster{}
		for _, share := range s.Shares {
			shared.Clusters = append(shared.Clusters, &routev3.WeightedCluster_ClusterWeight{
				Name: clusterName(share.Service), Weight: wrapperspb.UInt32(share.Weight),
			})
		}
		action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: shared}
	}
	return &routev3.Route{Name: s.Path, Match: pathMatch(s.Path), Action: &routev3.Route_Route{Route: action}}
}

// pathMatch matches whole segments. path_separated_prefix refuses "/" and a trailing slash, where prefix means the same.
func pathMatch(path string) *routev3.RouteMatch {
	if strings.HasSuffix(path, "/") {
		return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: path}}
	}
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: path}}
}

// retryPolicy tries again after the faults named, so often. A policy without faults, which stands for no retries, is sent
// too: without one the virtual host's would count.
func retryPolicy(p *packer, on string, retries uint32) *routev3.RetryPolicy {
	if retries == 0 {
		return &routev3.RetryPolicy{NumRetries: wrapperspb.UInt32(0)}
	}
	return &routev3.RetryPolicy{
		RetryOn:                       on,
		NumRetries:                    wrapperspb.UInt32(retries),
		HostSelectionRetryMaxAttempts: 5,
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: durationpb.New(10 * time.Millisecond),
			MaxInterval:  durationpb.New(100 * time.Millisecond),
		},
		RetriableHeaders: []*routev3.HeaderMatcher{unsentMatch()},
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name: "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{
				TypedConfig: p.pack(&previoushostsv3.PreviousHostsPredicate{}),
			},
		}},
		// A retry leaves a zone that goes first: where four or more endpoints of it are dead, and nobody has noticed yet, all
		// tries would end there. Where there is one priority alone it does nothing.
		RetryPriority: &routev3.RetryPolicy_RetryPriority{
			Name: "envoy.retry_priorities.previous_priorities",
			ConfigType: &routev3.RetryPolicy_RetryPriority_TypedConfig{
				TypedConfig: p.pack(&previousprioritiesv3.PreviousPrioritiesConfig{UpdateFrequency: 1}),
			},
		},
	}
}

// unsentMatch matches what never reached an app.
func unsentMatch() *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{
		Name:                 unsentHeader,
		HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true},
	}
}

// ads makes a resource's source the stream that it came by.
func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}
