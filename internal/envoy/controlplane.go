package envoy

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// xdsClusterName is the name of the Envoy cluster that leads to nightjar.
	xdsClusterName = "nightjar"
	// maxUnixPath is the longest path of a unix socket on Linux (sun_path without its final zero).
	maxUnixPath = 107
	// maxHostName is the longest name that DNS can hold.
	maxHostName = 253
)

// xdsCluster is the Envoy cluster that leads to nightjar.
func xdsCluster(network, address string) (*clusterv3.Cluster, error) {
	where, discovery, err := xdsAddress(network, address)
	if err != nil {
		return nil, err
	}
	options := &upstreamv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
						// A stream whose other end is gone without a word is noticed within 13 s. The xDS server must allow such pings.
						ConnectionKeepalive: &corev3.KeepaliveSettings{
							Interval: durationpb.New(10 * time.Second),
							Timeout:  durationpb.New(3 * time.Second),
						},
					},
				},
			},
		},
	}
	packed, err := pack(options)
	if err != nil {
		return nil, err
	}
	c := &clusterv3.Cluster{
		Name:                 xdsClusterName,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: discovery},
		ConnectTimeout:       durationpb.New(time.Second),
		TypedExtensionProtocolOptions: map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": packed,
		},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: xdsClusterName,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: where}},
			}}}},
		},
	}
	if discovery == clusterv3.Cluster_STRICT_DNS {
		// By default IPv6 goes first, and "localhost" would be ::1, where nightjar doesn't listen.
		c.DnsLookupFamily = clusterv3.Cluster_V4_PREFERRED
	}
	return c, nil
}

// xdsAddress tells the address that Envoy dials, and how Envoy finds it.
func xdsAddress(network, address string) (*corev3.Address, clusterv3.Cluster_DiscoveryType, error) {
	switch network {
	case "unix":
		if address == "" || len(address) > maxUnixPath {
			return nil, 0, fmt.Errorf("the xDS socket's path %.120q has %d bytes; it needs 1 to %d", address, len(address), maxUnixPath)
		}
		pipe := &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: address}}}
		return pipe, clusterv3.Cluster_STATIC, nil
	case "tcp":
		return xdsTCPAddress(address)
	}
	return nil, 0, fmt.Errorf("the xDS network is %.20q; it must be tcp or unix", network)
}

func xdsTCPAddress(address string) (*corev3.Address, clusterv3.Cluster_DiscoveryType, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, 0, fmt.Errorf("the xDS address %.120q is not HOST:PORT", address)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, 0, fmt.Errorf("the port of the xDS address %.120q is not a number from 1 to 65535", address)
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		if host == "" || len(host) > maxHostName || strings.ContainsAny(host, "/ %:") {
			return nil, 0, fmt.Errorf("the host of the xDS address %.120q is neither an IP address nor a name", address)
		}
		return socketAddress(host, uint16(port)), clusterv3.Cluster_STRICT_DNS, nil
	}
	return socketAddress(dialled(ip).String(), uint16(port)), clusterv3.Cluster_STATIC, nil
}

// dialled is the address that reaches a listener on ip from the same network.
func dialled(ip netip.Addr) netip.Addr {
	switch ip.Unmap() {
	case netip.IPv4Unspecified():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		return netip.IPv6Loopback()
	}
	return ip
}
