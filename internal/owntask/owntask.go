// Package owntask reads the containers of the own task, for ingress, from the task metadata endpoint. Nothing of it asks
// AWS: a container is known as soon as ECS creates it, whatever the state of the account.
package owntask

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// Reader reads services that are containers of the own task.
type Reader struct {
	// Fetch asks the task metadata endpoint.
	Fetch func(context.Context) (*taskmeta.Task, error)
}

// Read reads the containers of refs: one reading each, in the same order. An endpoint that fails is an error for all.
func (r *Reader) Read(ctx context.Context, refs []mesh.ServiceRef) []mesh.Reading {
	task, err := r.Fetch(ctx)
	now := time.Now()
	readings := make([]mesh.Reading, 0, len(refs))
	for _, ref := range refs {
		reading := mesh.Reading{Ref: ref, At: now, Err: err, Certain: true}
		if err == nil {
			reading.Service = service(ref, task)
		}
		readings = append(readings, reading)
	}
	return readings
}

// service is a container of the task at its port. One that isn't created yet has no endpoint: whether its port is open is
// for Envoy's TCP checks to find.
func service(ref mesh.ServiceRef, task *taskmeta.Task) *mesh.Service {
	s := &mesh.Service{Name: ref.Name(), State: mesh.Active}
	exclude := func(reason string) *mesh.Service {
		s.Excluded = []mesh.Excluded{{Task: task.ID(), Reason: reason}}
		return s
	}
	i := slices.IndexFunc(task.Containers, func(c taskmeta.Container) bool { return c.Name == ref.Container })
	if i < 0 {
		return exclude(fmt.Sprintf("its container %s is not created yet", ref.Container))
	}
	container := task.Containers[i]
	if container.KnownStatus == "STOPPED" {
		return exclude(fmt.Sprintf("its container %s is STOPPED", ref.Container))
	}
	port, problem := portOf(ref, container)
	if problem != "" {
		s.Problem = problem
		return exclude(problem)
	}
	host, found := hostOf(task.NetworkMode(), container)
	if !found {
		return exclude(fmt.Sprintf("its container %s has no address yet", ref.Container))
	}
	s.Endpoints = []mesh.Endpoint{{
		Addr: netip.AddrPortFrom(host, port), Task: task.ID(), Health: health(container), Zone: task.AvailabilityZone,
		Revision: task.Family + ":" + task.Revision,
	}}
	return s
}

// portOf is the port that is set, else the one tcp port that the endpoint shows for the container.
func portOf(ref mesh.ServiceRef, c taskmeta.Container) (port uint16, problem string) {
	if ref.Port != 0 {
		return ref.Port, ""
	}
	var ports []uint16
	for _, p := range c.Ports {
		if cmp.Or(p.Protocol, "tcp") == "tcp" && p.ContainerPort != 0 && !slices.Contains(ports, p.ContainerPort) {
			ports = append(ports, p.ContainerPort)
		}
	}
	switch len(ports) {
	case 1:
		return ports[0], ""
	case 0:
		return 0, fmt.Sprintf("the metadata endpoint shows no tcp port of the container %s: set %s", ref.Container, ref.PortVar)
	default:
		return 0, fmt.Sprintf("the container %s has the ports %v: set %s to one of them", ref.Container, ports, ref.PortVar)
	}
}

// hostOf is where Envoy reaches the container: all of a task share one network in awsvpc and host mode; in bridge mode it
// is the container's docker address, so no port needs to be published.
//
// Source: Amazon ECS developer guide, "Task networking options"; task metadata endpoint version 4.
func hostOf(mode string, c taskmeta.Container) (netip.Addr, bool) {
	if mode == "awsvpc" || mode == "host" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	for _, n := range c.Networks {
		for _, text := range slices.Concat(n.IPv4Addresses, n.IPv6Addresses) {
			if host, err := netip.ParseAddr(text); err == nil && host.Zone() == "" && !host.IsUnspecified() {
				return host, true
			}
		}
	}
	return netip.Addr{}, false
}

func health(c taskmeta.Container) mesh.Health {
	switch c.Health.Status {
	case "HEALTHY":
		return mesh.Healthy
	case "UNHEALTHY":
		return mesh.Unhealthy
	default:
		return mesh.HealthUnknown
	}
}
