package xds

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// loadAssignment translates the endpoints of a service. A service without any has an empty assignment, which is the only
// way to empty an Envoy cluster: Envoy ignores the removal of an assignment, and answers 503 for an empty one.
//
// The health of ECS is not passed on: unhealthy tasks are left out of mesh.Service, as Envoy's panic threshold would use
// them if they were sent as UNHEALTHY. Where Envoy checks ports itself, as for own containers, it is, for the health path to
// tell the truth: the only endpoint there is serves on, by that threshold. That nightjar finds a port closed is not: Envoy's own
// check decides.
//
// Endpoints of the zone first go first: Envoy sends to priority 1 only what 1.4 times the share of those in priority 0 that work
// doesn't cover. "" is for no zone.
func loadAssignment(s *mesh.Service, policy mesh.Policy, first string) (*Resource, error) {
	zones := map[string][]*endpointv3.LbEndpoint{}
	for _, e := range s.Endpoints {
		if !e.Addr.IsValid() {
			return nil, fmt.Errorf("making the endpoints of %q: task %s has no address", s.Name, e.Task)
		}
		at := lbEndpoint(e.Addr)
		if policy.HealthCheck && e.Health == mesh.Unhealthy {
			at.HealthStatus = corev3.HealthStatus_UNHEALTHY
		}
		zones[e.Zone] = append(zones[e.Zone], at)
	}
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: clusterName(s.Name)}
	for _, zone := range slices.Sorted(maps.Keys(zones)) {
		group := &endpointv3.LocalityLbEndpoints{Locality: &corev3.Locality{Zone: zone}, LbEndpoints: zones[zone]}
		if first != "" && zone != first {
			group.Priority = 1
		}
		assignment.Endpoints = append(assignment.Endpoints, group)
	}
	r, err := newResource(assignment.GetClusterName(), assignment)
	if err != nil {
		return nil, err
	}
	// One that AWS denies was never read either: what an Envoy holds of it is better than nothing.
	r.Unread = s.State == mesh.Unread || s.State == mesh.Denied
	return r, nil
}

func lbEndpoint(addr netip.AddrPort) *endpointv3.LbEndpoint {
	return &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
		Endpoint: &endpointv3.Endpoint{Address: socketAddress(addr)},
	}}
}

func socketAddress(addr netip.AddrPort) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       addr.Addr().String(),
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(addr.Port())},
	}}}
}
