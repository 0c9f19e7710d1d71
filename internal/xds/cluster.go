package xds

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

const (
	// connectTimeout is short, as everything is in one network: a lost SYN is retried on another endpoint.
	connectTimeout = 250 * time.Millisecond
	// edsFetchTimeout: a live Envoy cluster that is changed waits for its assignment again. Sending that again at once is
	// the cure (order.go); this is the safety net, where Envoy's default is 15 s. It must not strike while an Envoy that
	// starts takes in 1,000 clusters, which with 0.5 s it did on two busy cores: clusters without endpoints, and warnings.
	edsFetchTimeout = answerTimeout
	// tcpUserTimeout ends a connection whose data nobody acknowledges, as with a lost host. Linux counts from the first
	// retransmission, which adds 0.4 s (measured), so that an answer comes from elsewhere in 3 s. It also ends an upload
	// that the app doesn't read for this long.
	tcpUserTimeout = 2500 * time.Millisecond
	// httpProtocolOptions is the name under which Envoy looks for a cluster's HTTP options.
	httpProtocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

// cluster translates a service to its Envoy cluster, which depends on settings alone: endpoints come and go in the load
// assignment, as a change to a live Envoy cluster is dear.
func cluster(s *mesh.Service, policy mesh.Policy) (*Resource, error) {
	p := &packer{}
	c := &clusterv3.Cluster{
		Name:                 clusterName(s.Name),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: &corev3.ConfigSource{
			ResourceApiVersion:    corev3.ApiVersion_V3,
			ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
			InitialFetchTimeout:   durationpb.New(edsFetchTimeout),
		}},
		ConnectTimeout:            durationpb.New(connectTimeout),
		IgnoreHealthOnHostRemoval: true,
		CommonLbConfig: &clusterv3.Cluster_CommonLbConfig{
			HealthyPanicThreshold: &typev3.Percent{Value: 30},
			UpdateMergeWindow:     durationpb.New(0),
		},
		// A request that the app works on has nothing unacknowledged, so that tcpUserTimeout would never end it on a lost host:
		// with probes it does, in 3 s. Source: tcp(7), TCP_USER_TIMEOUT overrides the number of probes.
		UpstreamConnectionOptions: &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
			KeepaliveTime:     wrapperspb.UInt32(2),
			KeepaliveInterval: wrapperspb.UInt32(1),
		}},
		CircuitBreakers:    circuitBreakers(),
		OutlierDetection:   outlierDetection(),
		UpstreamBindConfig: &corev3.BindConfig{SocketOptions: []*corev3.SocketOption{tcpUserTimeoutOption()}},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{
			httpProtocolOptions: p.pack(upstreamOptions(policy)),
		},
	}
	if policy.HealthCheck {
		c.HealthChecks = []*corev3.HealthCheck{portCheck()}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return newResource(c.GetName(), c)
}

// upstreamOptions say how Envoy speaks to the app.
func upstreamOptions(policy mesh.Policy) *upstreamv3.HttpProtocolOptions {
	explicit := &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig{
		ProtocolConfig: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{},
	}
	if policy.Protocol != mesh.HTTP1 {
		explicit.ProtocolConfig = &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
			Http2ProtocolOptions: http2Options(),
		}
	}
	options := &upstreamv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: explicit},
		OutlierDetection:        &upstreamv3.HttpProtocolOptions_OutlierDetection{ErrorMatcher: unsentAnswers()},
	}
	if policy.IdleTimeout > 0 {
		// Below what the app keeps idle connections, so that Envoy closes first and no request meets a closing connection.
		options.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(policy.IdleTimeout)}
	}
	return options
}

// unsentAnswers matches the answers that count against an endpoint, whatever their status: those with which its ingress says that the
// request never reached the app. Of tasks that leave behind ingress, these are the failed connections.
func unsentAnswers() *matcherv3.MatchPredicate {
	return &matcherv3.MatchPredicate{Rule: &matcherv3.MatchPredicate_HttpResponseHeadersMatch{
		HttpResponseHeadersMatch: &matcherv3.HttpHeadersMatch{Headers: []*routev3.HeaderMatcher{unsentMatch()}},
	}}
}

// portCheck sees each second whether the port of a local container is open. Nothing else tells when an app begins to listen.
func portCheck() *corev3.HealthCheck {
	return &corev3.HealthCheck{
		Timeout:            durationpb.New(time.Second),
		Interval:           durationpb.New(time.Second),
		NoTrafficInterval:  durationpb.New(time.Second), // Envoy's default is a minute
		UnhealthyThreshold: wrapperspb.UInt32(1),
		HealthyThreshold:   wrapperspb.UInt32(1),
		HealthChecker:      &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}},
	}
}

// circuitBreakers are wide: Envoy's default of 3 retries at a time defeats retrying when a task dies under load, and 200 do when
// an Envoy gets no processor for half a second, and all that came meanwhile is tried again at once.
func circuitBreakers() *clusterv3.CircuitBreakers {
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections:     wrapperspb.UInt32(10_000),
		MaxPendingRequests: wrapperspb.UInt32(10_000),
		MaxRequests:        wrapperspb.UInt32(10_000),
		RetryBudget: &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
			BudgetPercent:       &typev3.Percent{Value: 25},
			MinRetryConcurrency: wrapperspb.UInt32(1000),
		},
	}}}
}

// outlierDetection takes an endpoint out for a moment that can't be connected to, or whose ingress can't reach the app
// (unsentAnswers). What an app answers, 5xx included, never counts against it: that is the app's business. A lonely endpoint, as the
// own task's, stays whatever happens.
func outlierDetection() *clusterv3.OutlierDetection {
	return &clusterv3.OutlierDetection{
		SplitExternalLocalOriginErrors:         true,
		ConsecutiveLocalOriginFailure:          wrapperspb.UInt32(2),
		EnforcingConsecutiveLocalOriginFailure: wrapperspb.UInt32(100),
		EnforcingLocalOriginSuccessRate:        wrapperspb.UInt32(0),
		Consecutive_5Xx:                        wrapperspb.UInt32(2),
		EnforcingConsecutive_5Xx:               wrapperspb.UInt32(100),
		EnforcingConsecutiveGatewayFailure:     wrapperspb.UInt32(0),
		EnforcingSuccessRate:                   wrapperspb.UInt32(0),
		Interval:                               durationpb.New(time.Second),
		BaseEjectionTime:                       durationpb.New(2 * time.Second),
		MaxEjectionTime:                        durationpb.New(10 * time.Second),
		MaxEjectionPercent:                     wrapperspb.UInt32(70),
	}
}

// tcpUserTimeoutOption sets TCP_USER_TIMEOUT, which is option 18 of level IPPROTO_TCP (6), in milliseconds: tcp(7).
func tcpUserTimeoutOption() *corev3.SocketOption {
	return &corev3.SocketOption{
		Description: "TCP_USER_TIMEOUT",
		Level:       6,
		Name:        18,
		Value:       &corev3.SocketOption_IntValue{IntValue: tcpUserTimeout.Milliseconds()},
		State:       corev3.SocketOption_STATE_PREBIND,
	}
}
