package ecs

import (
	"net/netip"
	"slices"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// claims are the addresses that the tasks of a service have: an awsvpc task all of its interface's, others the host ports of
// all their containers, and what they serve at.
func claims(g gathered, serving []candidate) []mesh.Claim {
	var all []mesh.Claim
	for _, t := range g.tasks {
		if t.DesiredStatus != running || t.LastStatus == "STOPPED" {
			continue
		}
		if isAWSVPC(t) {
			if host, err := interfaceAddr(t, ""); err == nil {
				all = append(all, claimOf(t, netip.AddrPortFrom(host, 0)))
			}
			continue
		}
		host, err := instanceAddr(g.instances[t.ContainerInstance])
		if err != nil {
			continue
		}
		for _, port := range hostPorts(t) {
			all = append(all, claimOf(t, netip.AddrPortFrom(host, port)))
		}
	}
	for _, c := range serving {
		if !isAWSVPC(c.task) {
			all = append(all, claimOf(c.task, c.endpoint.Addr))
		}
	}
	mesh.SortClaims(all)
	return slices.Compact(all)
}

func claimOf(t Task, addr netip.AddrPort) mesh.Claim {
	return mesh.Claim{Addr: addr, Task: taskID(t.ARN), Started: t.StartedAt, Created: t.CreatedAt}
}

// hostPorts are the ports of its machine that a task's containers have.
func hostPorts(t Task) []uint16 {
	var ports []uint16
	for _, c := range t.Containers {
		if c.LastStatus == "STOPPED" {
			continue // its bindings are those that it had
		}
		for _, b := range c.Bindings {
			low, high, isRange := portRange(b.HostPortRange)
			if !isRange {
				low, high = b.HostPort, b.HostPort
			}
			for port := int(low); port <= int(high) && port > 0; port++ {
				ports = append(ports, uint16(port))
			}
		}
	}
	return ports
}
