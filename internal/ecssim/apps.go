package ecssim

import "net/netip"

// Phase is what the process in a container does.
type Phase int

// The phases of an app.
const (
	// Starting: nothing listens yet.
	Starting Phase = iota
	// Serving: it listens.
	Serving
	// Terminating: it got SIGTERM. A well-behaved app ends what it has and takes nothing new.
	Terminating
	// Dead: nothing is there.
	Dead
)

// App is a container's process, for whoever runs real servers in the place of the world's containers.
type App struct {
	Cluster, Service, Task, Container string
	// Revision is FAMILY:REVISION.
	Revision string
	Phase    Phase
	// Ports are where it listens.
	Ports []AppPort
}

// AppPort is a port on which an app listens: the container port, and where it is reached.
type AppPort struct {
	ContainerPort uint16
	At            netip.AddrPort
}

// Apps are the apps of all tasks that are Serving or Terminating, in order of the tasks' creation.
func (w *World) Apps() []App {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []App
	for _, t := range w.order {
		if t.phase != Serving && t.phase != Terminating {
			continue
		}
		now := t.current()
		for i, spec := range t.def.Containers {
			a := App{
				Cluster: t.cluster.name, Task: t.id, Container: spec.Name, Phase: t.phase,
				Revision: t.def.name(), Ports: t.listens(spec, now.containers[i]),
			}
			if t.service != nil {
				a.Service = t.service.name
			}
			if len(a.Ports) > 0 {
				all = append(all, a)
			}
		}
	}
	return all
}

// listens is where a container's ports are reached.
func (t *task) listens(spec ContainerSpec, c container) []AppPort {
	var ports []AppPort
	if t.def.NetworkMode != "bridge" {
		host := t.ip
		if t.def.NetworkMode == "host" {
			host = t.at.ipv4
		}
		for _, p := range spec.Ports {
			for n := p.Container; n <= max(p.Container, p.End); n++ {
				ports = append(ports, AppPort{n, netip.AddrPortFrom(host, n)})
			}
		}
		return ports
	}
	for _, b := range c.bindings {
		if b.bindIP == "::" || b.protocol != "tcp" {
			continue
		}
		for n := uint16(0); n <= max(b.containerRangeEnd, b.containerPort)-b.containerPort; n++ {
			ports = append(ports, AppPort{b.containerPort + n, netip.AddrPortFrom(t.at.ipv4, b.hostPort+n)})
		}
	}
	return ports
}
