package xds

import (
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// statsName names the listener of Envoy's metrics, and the Envoy cluster of the admin API behind it.
const statsName = "nightjar-stats"

// statsPath is where Envoy's admin API has its metrics for Prometheus.
const statsPath = "/stats/prometheus"

// statsListener serves GET of /metrics and statsPath, and nothing else of the admin API.
func statsListener(p mesh.Proxy) (*Resource, error) {
	k := &packer{}
	get := &routev3.HeaderMatcher{
		Name: ":method",
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "GET"},
		}},
	}
	host := &routev3.VirtualHost{Name: statsName, Domains: []string{"*"}}
	for _, path := range []string{"/metrics", statsPath} {
		host.Routes = append(host.Routes, &routev3.Route{
			Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path}, Headers: []*routev3.HeaderMatcher{get}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{
				ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: statsName},
				PrefixRewrite:    statsPath,
			}},
		})
	}
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix: statsName,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: statsName, VirtualHosts: []*routev3.VirtualHost{host}, ValidateClusters: wrapperspb.Bool(false),
		}},
		RequestHeadersTimeout: durationpb.New(requestHeadersTimeout),
		NormalizePath:         wrapperspb.Bool(true),
		HttpFilters:           []*hcmv3.HttpFilter{httpFilter("envoy.filters.http.router", k, &routerv3.Router{})},
	}
	message := &listenerv3.Listener{
		Name:                          statsName,
		Address:                       socketAddress(p.Stats),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(connectionBuffer),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: k.pack(manager)},
		}}}},
	}
	if err := k.err(); err != nil {
		return nil, err
	}
	r, err := newResource(statsName, message)
	if err != nil {
		return nil, err
	}
	r.Origin = "NIGHTJAR_ENVOY_STATS_LISTEN"
	return r, nil
}

// statsCluster is Envoy's own admin API.
func statsCluster(admin netip.AddrPort) (*Resource, error) {
	return newResource(statsName, &clusterv3.Cluster{
		Name:                 statsName,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       durationpb.New(time.Second),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: statsName,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{
				Locality: &corev3.Locality{}, LbEndpoints: []*endpointv3.LbEndpoint{lbEndpoint(admin)},
			}},
		},
	})
}
