// Package envoy runs an Envoy: it finds or fetches the binary (find.go, fetch_linux.go), writes its bootstrap
// (bootstrap.go), starts and stops it as a child process (process.go), drains it (drain.go decides, run.go does) and asks its
// admin API (admin.go). It knows nothing of meshes: what Envoy serves comes to it over xDS.
package envoy

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	"github.com/goccy/go-yaml"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// maxDownstreamConnections is far above what the containers of one task open, and the number of upstream connections
	// that each Envoy cluster allows too. Without a limit Envoy warns, and a client that leaks connections would take
	// its last file descriptor, and with that the control plane's answer.
	maxDownstreamConnections = 10000
	// maxName bounds what goes into the node: Envoy sends it with the first message of each stream.
	maxName = 1024
)

// BootstrapOptions say which Envoy the bootstrap is for, and where its control plane is.
type BootstrapOptions struct {
	// NodeID tells this Envoy apart from others.
	NodeID string
	// NodeService is the name of the service whose Envoys are alike; Envoy's own name for it is node.cluster.
	NodeService string
	// Region and Zone are where it runs; "" where unknown.
	Region, Zone string
	// XDSNetwork is "tcp" or "unix"; XDSAddress is HOST:PORT or the path of the socket. The host may be a name, and an
	// address that means "every address" of a listener (0.0.0.0, ::) is dialled as loopback.
	XDSNetwork, XDSAddress string
	// AdminHost is the IP address of Envoy's admin API, AdminPort its port; 0 lets the system choose one.
	AdminHost string
	AdminPort uint16
}

// Bootstrap makes the YAML that Envoy starts with: everything but the control plane's address and the admin API comes
// over one delta ADS stream. An error names the option that is wrong.
func Bootstrap(o BootstrapOptions) ([]byte, error) {
	b, err := bootstrap(o)
	if err != nil {
		return nil, fmt.Errorf("making Envoy's bootstrap: %w", err)
	}
	asJSON, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("making Envoy's bootstrap: %w", err)
	}
	asYAML, err := yaml.JSONToYAML(asJSON)
	if err != nil {
		return nil, fmt.Errorf("making Envoy's bootstrap: %w", err)
	}
	return asYAML, nil
}

func bootstrap(o BootstrapOptions) (*bootstrapv3.Bootstrap, error) {
	if err := checkNode(o); err != nil {
		return nil, err
	}
	admin, err := adminAddress(o.AdminHost, o.AdminPort)
	if err != nil {
		return nil, err
	}
	nightjar, err := xdsCluster(o.XDSNetwork, o.XDSAddress)
	if err != nil {
		return nil, err
	}
	overload, err := overloadManager()
	if err != nil {
		return nil, err
	}
	b := &bootstrapv3.Bootstrap{
		Node: &corev3.Node{
			Id:       o.NodeID,
			Cluster:  o.NodeService,
			Locality: &corev3.Locality{Region: o.Region, Zone: o.Zone},
		},
		Admin: &bootstrapv3.Admin{
			Address: admin,
			// A full house must not lock out who looks for the reason.
			IgnoreGlobalConnLimit: true,
			ProfilePath:           "/dev/null",
		},
		OverloadManager:  overload,
		DynamicResources: dynamicResources(),
		StaticResources:  &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{nightjar}},
	}
	return b, b.ValidateAll()
}

func checkNode(o BootstrapOptions) error {
	if o.NodeID == "" || o.NodeService == "" {
		return errors.New("the node needs an ID and the name of its service: Envoy opens no xDS stream without")
	}
	if len(o.NodeID) > maxName || len(o.NodeService) > maxName || len(o.Region) > maxName || len(o.Zone) > maxName {
		return fmt.Errorf("the node's ID, service, Region and zone may have %d bytes each, and one of them has more", maxName)
	}
	return nil
}

// dynamicResources asks for all of Envoy clusters and listeners over one delta ADS stream.
func dynamicResources() *bootstrapv3.Bootstrap_DynamicResources {
	ads := func() *corev3.ConfigSource {
		return &corev3.ConfigSource{
			ResourceApiVersion:    corev3.ApiVersion_V3,
			ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
			// 0 waits for ever: with the default an Envoy without a control plane would call itself ready after 15 s, with
			// no listener at all.
			InitialFetchTimeout: durationpb.New(0),
		}
	}
	return &bootstrapv3.Bootstrap_DynamicResources{
		AdsConfig: &corev3.ApiConfigSource{
			ApiType:                   corev3.ApiConfigSource_DELTA_GRPC,
			TransportApiVersion:       corev3.ApiVersion_V3,
			SetNodeOnFirstMessageOnly: true,
			GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
					ClusterName: xdsClusterName,
					// Envoy's defaults take up to 30 s to come back to a control plane that restarted; measured with these: under 0.7 s.
					RetryPolicy: &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
						BaseInterval: durationpb.New(100 * time.Millisecond),
						MaxInterval:  durationpb.New(time.Second),
					}},
				},
			}}},
		},
		CdsConfig: ads(),
		LdsConfig: ads(),
	}
}

func adminAddress(host string, port uint16) (*corev3.Address, error) {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil, fmt.Errorf("the address of Envoy's admin API, %.120q, is not an IP address", host)
	}
	return socketAddress(ip.String(), port), nil
}

func socketAddress(host string, port uint16) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

func overloadManager() (*overloadv3.OverloadManager, error) {
	limit, err := pack(&connectionsv3.DownstreamConnectionsConfig{MaxActiveDownstreamConnections: maxDownstreamConnections})
	if err != nil {
		return nil, err
	}
	return &overloadv3.OverloadManager{
		ResourceMonitors: []*overloadv3.ResourceMonitor{{
			Name:       "envoy.resource_monitors.global_downstream_max_connections",
			ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: limit},
		}},
	}, nil
}

// validated is a message that knows its own rules.
type validated interface {
	proto.Message
	ValidateAll() error
}

// pack validates before it packs, as validation doesn't look into what is packed.
func pack(m validated) (*anypb.Any, error) {
	if err := m.ValidateAll(); err != nil {
		return nil, err
	}
	return anypb.New(m)
}
