// Package owntask reads the containers of the own task, for ingress, from the task metadata endpoint. Nothing waits for AWS
// here: a container is known as soon as ECS creates it, whatever the state of the account.
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

// Reader reads services that are containers of the own task. It is not safe for concurrent use.
type Reader struct {
	// Fetch asks the task metadata endpoint.
	Fetch func(context.Context) (*taskmeta.Task, error)
	// Targets tells the container ports that the target groups of the own service name, where nothing else tells a port;
	// nil where the own service isn't known.
	Targets *Targets
	// Taken are the ports where nightjar and Envoy listen in the containers' network, each with the variable that says so.
	Taken map[uint16]string
	// Closed tells whether nothing listens at an address; nil to leave ports untried.
	Closed func(context.Context, netip.AddrPort) bool
}

// Read reads the containers of refs: one reading each, in the same order. An endpoint that fails is an error for all.
func (r *Reader) Read(ctx context.Context, refs []mesh.ServiceRef) []mesh.Reading {
	task, err := r.Fetch(ctx)
	now := time.Now()
	readings := make([]mesh.Reading, 0, len(refs))
	for _, ref := range refs {
		reading := mesh.Reading{Ref: ref, At: now, Err: err, Certain: true}
		if err == nil {
			reading.Service = r.service(ctx, ref, task)
		}
		readings = append(readings, reading)
	}
	if err == nil {
		r.tryPorts(ctx, task, readings)
	}
	return readings
}

// service is a container of the task at its port. One that isn't created yet has no endpoint.
func (r *Reader) service(ctx context.Context, ref mesh.ServiceRef, task *taskmeta.Task) *mesh.Service {
	s := &mesh.Service{Name: ref.Name(), State: mesh.Active}
	exclude := func(reason string) *mesh.Service {
		s.Excluded = []mesh.Excluded{{
			Task: task.ID(), Reason: reason, Zone: task.AvailabilityZone, Revision: task.Family + ":" + task.Revision,
		}}
		return s
	}
	container, created := task.Container(ref.Container)
	if !created {
		return exclude(fmt.Sprintf("its container %s is not created yet, or no container has that name (%s)", ref.Container, ref.ContainerVar))
	}
	if container.KnownStatus == "STOPPED" {
		return exclude(fmt.Sprintf("its container %s is STOPPED", ref.Container))
	}
	port, problem := r.port(ctx, ref, container)
	if by := r.Taken[port]; problem == "" && by != "" {
		problem = fmt.Sprintf("the port %d of the container %s is %s's too, so that Envoy would call itself: change %s, or the container's port",
			port, ref.Container, by, by)
	}
	if problem != "" {
		s.Problem = problem
		return exclude(problem)
	}
	host, found := Address(task, container)
	if !found {
		return exclude(fmt.Sprintf("its container %s has no address yet", ref.Container))
	}
	s.Endpoints = []mesh.Endpoint{{
		Addr: netip.AddrPortFrom(host, port), Task: task.ID(), Health: health(container), Container: ref.Container, Port: port,
		Zone: task.AvailabilityZone, Revision: task.Family + ":" + task.Revision, Since: started(container),
	}}
	return s
}

// port is the port that is set, else the one tcp port that the endpoint shows for the container, else the one that a target
// group names.
func (r *Reader) port(ctx context.Context, ref mesh.ServiceRef, c taskmeta.Container) (port uint16, problem string) {
	if ref.Port != 0 {
		return ref.Port, ""
	}
	shown := tcpPorts(c)
	if len(shown) == 1 {
		return shown[0], ""
	}
	named, without := r.Targets.of(ctx, ref.Container)
	switch {
	case len(named) == 1:
		return named[0], ""
	case len(named) > 1:
		return 0, fmt.Sprintf("target groups name the ports %v of the container %s: set %s to one of them", named, ref.Container, ref.PortVar)
	case len(shown) > 1:
		return 0, fmt.Sprintf("the container %s has the ports %v%s: set %s to one of them", ref.Container, shown, without, ref.PortVar)
	default:
		return 0, fmt.Sprintf("the task metadata endpoint shows no tcp port of the container %s%s: set %s", ref.Container, without, ref.PortVar)
	}
}

// tcpPorts are the container's tcp ports that the endpoint shows, each once.
func tcpPorts(c taskmeta.Container) []uint16 {
	var ports []uint16
	for _, p := range c.Ports {
		if cmp.Or(p.Protocol, "tcp") == "tcp" && p.ContainerPort != 0 && !slices.Contains(ports, p.ContainerPort) {
			ports = append(ports, p.ContainerPort)
		}
	}
	slices.Sort(ports)
	return ports
}

// Address is where the task's other containers reach a container: in awsvpc and host mode all share one network; in bridge
// mode it is the container's docker address, so no port needs to be published. It is false where the container has none yet.
//
// Source: Amazon ECS developer guide, "Task networking options"; task metadata endpoint version 4.
func Address(task *taskmeta.Task, c taskmeta.Container) (netip.Addr, bool) {
	if task.NetworkMode() != "bridge" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	for _, n := range c.Networks {
		for _, text := range slices.Concat(n.IPv4Addresses, n.IPv6Addresses) {
			host, err := netip.ParseAddr(text)
			host = host.Unmap() // first: ::ffff:0.0.0.0 is unspecified too
			if err == nil && host.Zone() == "" && !host.IsUnspecified() && !host.IsMulticast() {
				return host, true
			}
		}
	}
	return netip.Addr{}, false
}

// started is when a container started; zero where the endpoint doesn't tell.
func started(c taskmeta.Container) time.Time {
	at, err := time.Parse(time.RFC3339Nano, c.StartedAt)
	if err != nil {
		return time.Time{}
	}
	return at
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
