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

// AppPort is a port on which an app listens: the container port, and where it is reached. A published port of a container with
// a docker address has two.
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
			if now.containers[i].last != "RUNNING" {
				continue
			}
			phase := t.phase
			if now.containers[i].terminating {
				phase = Terminating
			}
			a := App{
				Cluster: t.cluster.name, Task: t.id, Container: spec.Name, Phase: phase,
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
	switch t.def.NetworkMode {
	case "bridge":
		return append(t.published(c), t.inside(spec, c)...)
	case "host":
		return portsAt(spec, t.at.ipv4)
	case "awsvpc":
		return portsAt(spec, t.ip)
	default:
		return nil
	}
}

// portsAt are a container's tcp ports at an address that is the container's own or shared by all of them.
func portsAt(spec ContainerSpec, host netip.Addr) []AppPort {
	var ports []AppPort
	for _, p := range spec.Ports {
		if p.protocol() != "tcp" {
			continue
		}
		for n := p.Container; n <= max(p.Container, p.End); n++ {
			ports = append(ports, AppPort{n, netip.AddrPortFrom(host, n)})
		}
	}
	return ports
}

// published are a bridge container's tcp ports at the instance.
func (t *task) published(c container) []AppPort {
	var ports []AppPort
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

// inside are a bridge container's tcp ports at its docker address, where this machine has that.
func (t *task) inside(spec ContainerSpec, c container) []AppPort {
	if !t.at.dockerReal || !c.dockerIP.IsValid() {
		return nil
	}
	return portsAt(spec, c.dockerIP)
}
