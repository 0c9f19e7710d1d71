package xds

import (
	"time"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

const (
	// requestHeadersTimeout bounds how long a client may take to send its headers.
	requestHeadersTimeout = 10 * time.Second
	// streamIdleTimeout ends a request or websocket on which nothing moves; contract of SERVICE_TIMEOUT_X=off.
	streamIdleTimeout = 300 * time.Second
	// connectionBuffer is the size in bytes of the read and write buffers of a client's connection.
	connectionBuffer = 32 << 10
)

// listener translates a listener. It depends on settings alone, as changing a live listener churns its connections.
// Ingress are the Envoy clusters that the health path of an ingress listener tells of.
func listener(l mesh.Listener, ingress []string) (*Resource, error) {
	return listenerWith(l, connectionManager(l, ingress))
}

// listenerWith is listener with the connection manager given, as validation inside an Any is ours alone to do.
func listenerWith(l mesh.Listener, manager func(*packer) *hcmv3.HttpConnectionManager) (*Resource, error) {
	p := &packer{}
	message := &listenerv3.Listener{
		Name:                          l.Name,
		Address:                       socketAddress(l.Addr),
		TrafficDirection:              corev3.TrafficDirection_OUTBOUND,
		DrainType:                     listenerv3.Listener_MODIFY_ONLY,
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(connectionBuffer),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: p.pack(manager(p))},
		}}}},
	}
	if l.Direction == mesh.Ingress {
		message.TrafficDirection = corev3.TrafficDirection_INBOUND
		message.DrainType = listenerv3.Listener_DEFAULT
	}
	if l.Exclusive {
		// With Envoy's default two Envoys of one user share a port, and nobody notices.
		message.EnableReusePort = wrapperspb.Bool(false)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	r, err := newResource(l.Name, message)
	if err != nil {
		return nil, err
	}
	r.Origin = l.Origin
	return r, nil
}

// connectionManager reads HTTP/1.1 and HTTP/2 and normalizes paths before matching and forwarding: else /api/../x would
// be routed as /api. %2F is no separator and is kept, as unescaping breaks /projects/a%2Fb.
func connectionManager(l mesh.Listener, ingress []string) func(*packer) *hcmv3.HttpConnectionManager {
	return func(p *packer) *hcmv3.HttpConnectionManager {
		m := &hcmv3.HttpConnectionManager{
			StatPrefix: routeConfigName(l.Name),
			RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
				ConfigSource:    ads(),
				RouteConfigName: routeConfigName(l.Name),
			}},
			// The calling app's X-Forwarded-* and request ID arrive unchanged.
			UseRemoteAddress:             wrapperspb.Bool(false),
			SkipXffAppend:                true,
			PreserveExternalRequestId:    true,
			ServerHeaderTransformation:   hcmv3.HttpConnectionManager_PASS_THROUGH,
			NormalizePath:                wrapperspb.Bool(true),
			MergeSlashes:                 true,
			PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_KEEP_UNCHANGED,
			RequestHeadersTimeout:        durationpb.New(requestHeadersTimeout),
			StreamIdleTimeout:            durationpb.New(streamIdleTimeout),
			Http2ProtocolOptions:         http2Options(),
			AccessLog:                    accessLog(p, l.AccessLog),
			UpgradeConfigs:               []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
			HttpFilters: []*hcmv3.HttpFilter{
				httpFilter("envoy.filters.http.header_mutation", p, requestHeaders(l)),
				httpFilter("envoy.filters.http.router", p, &routerv3.Router{}),
			},
		}
		if l.Direction == mesh.Ingress {
			receive(p, m, l, ingress)
		}
		return m
	}
}

// http2Options bound what one connection may hold, towards apps as towards clients.
func http2Options() *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{
		MaxConcurrentStreams:        wrapperspb.UInt32(100),
		InitialStreamWindowSize:     wrapperspb.UInt32(64 << 10),
		InitialConnectionWindowSize: wrapperspb.UInt32(1 << 20),
	}
}

// requestHeaders takes away x-envoy-* of requests, with which a client could change time-outs and retries, and on ingress
// settles what the app is told of the client.
func requestHeaders(l mesh.Listener) *headermutationv3.HeaderMutation {
	mutations := []*mutationv3.HeaderMutation{removeHeaders("x-envoy-")}
	if l.Direction == mesh.Ingress {
		mutations = append(mutations, forwardedHeaders(l.TrustedHops)...)
	}
	return &headermutationv3.HeaderMutation{Mutations: &headermutationv3.Mutations{RequestMutations: mutations}}
}

// removeHeaders takes away the headers whose names begin so.
func removeHeaders(prefix string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_RemoveOnMatch_{
		RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{KeyMatcher: &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix},
		}},
	}}
}

func httpFilter(name string, p *packer, config validated) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: p.pack(config)}}
}
