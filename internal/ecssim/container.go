package ecssim

import (
	"fmt"
	"net/netip"
	"slices"
)

// container is a container's state.
type container struct {
	name, health string
	// last is PENDING (not created), CREATED, RUNNING or STOPPED.
	last     string
	bindings []binding
	dockerIP netip.Addr
	// terminating tells that it got SIGTERM before the others of its task.
	terminating bool
	// holds tells that it has the host ports of its bindings and the docker address, which a stopped one only had.
	holds bool
}

// binding is a published port, or a range of them.
type binding struct {
	containerPort, hostPort         uint16
	containerRangeEnd, hostRangeEnd uint16 // 0 for a single port
	protocol                        string
	bindIP                          string
}

// complete tells whether all containers have been started.
func (s state) complete() bool {
	return !slices.ContainsFunc(s.containers, func(c container) bool { return c.last == "PENDING" || c.last == "CREATED" })
}

// runContainer is a container's start: in bridge mode it has its bindings and its docker address from now on.
func (t *task) runContainer(spec ContainerSpec, c *container) {
	c.last, c.holds = "RUNNING", true
	c.bindings = t.bind(spec)
	if t.def.NetworkMode == "bridge" {
		c.dockerIP = t.at.dockerAddress()
	}
	if spec.HealthCheck {
		c.health = "HEALTHY"
	}
}

// bind publishes a container's ports in bridge mode, and in host mode as far as the world shows bindings there.
func (t *task) bind(spec ContainerSpec) []binding {
	if t.def.NetworkMode != "bridge" && (t.def.NetworkMode != "host" || !t.def.HostBindings) {
		return nil
	}
	var all []binding
	for _, p := range spec.Ports {
		if p.Unpublished {
			continue
		}
		b := binding{containerPort: p.Container, hostPort: p.Host, protocol: p.protocol(), bindIP: "0.0.0.0"}
		if t.def.NetworkMode == "host" {
			b.hostPort = p.Container
		}
		if b.hostPort == 0 {
			b.hostPort = t.at.hostPort()
		}
		if p.End > p.Container {
			b.containerRangeEnd = p.End
			for range p.End - p.Container {
				b.hostRangeEnd = t.at.hostPort()
			}
			b.hostPort = b.hostRangeEnd - (p.End - p.Container)
		}
		t.at.ports[b.hostPort] = true
		all = append(all, b)
		if t.at.ipv6.IsValid() {
			b.bindIP = "::"
			all = append(all, b)
		}
	}
	return all
}

// letGo gives back what a container has of its instance. What it had is still shown.
func (t *task) letGo(c *container) {
	if !c.holds || t.at == nil {
		return
	}
	c.holds = false
	if c.dockerIP.IsValid() {
		delete(t.at.dockerIPs, c.dockerIP)
		if c.dockerIP.Less(t.at.dockerFrom) {
			t.at.dockerFrom = c.dockerIP
		}
	}
	for _, b := range c.bindings {
		for p := b.hostPort; p <= max(b.hostPort, b.hostRangeEnd); p++ {
			delete(t.at.ports, p)
			t.at.portsFrom = min(t.at.portsFrom, p)
		}
	}
}

// dockerAddress takes the lowest free address, so that a stopped container's is soon used again. It is the zero Addr where
// all are taken.
func (i *instance) dockerAddress() netip.Addr {
	for a := i.dockerFrom; i.docker.Contains(a); a = a.Next() {
		if !i.dockerIPs[a] {
			i.dockerIPs[a], i.dockerFrom = true, a
			return a
		}
	}
	return netip.Addr{}
}

// containerStatuses are what SetContainer takes.
func containerStatuses() []string { return []string{"PENDING", "CREATED", "RUNNING", "STOPPED"} }

// SetContainer makes a container of a started task PENDING (not created), CREATED (there, but nothing listens yet), RUNNING
// or STOPPED. The task goes on, as with a container that isn't essential; once it has been RUNNING it stays so. An empty ID is
// the oldest started task.
func (w *World) SetContainer(clusterName, name, id, containerName, status string) error {
	if !slices.Contains(containerStatuses(), status) {
		return fmt.Errorf("a container can't be %q; there are %v", status, containerStatuses())
	}
	known := false
	err := w.onTask(clusterName, name, id, func(t *task) {
		i := slices.IndexFunc(t.def.Containers, func(c ContainerSpec) bool { return c.Name == containerName })
		if known = i >= 0; known {
			w.setContainer(t, i, status)
		}
	})
	if err == nil && !known {
		err = fmt.Errorf("the service %s/%s has no container %s", clusterName, name, containerName)
	}
	return err
}

func (w *World) setContainer(t *task, index int, status string) {
	w.change(t, func(s *state) {
		c := &s.containers[index]
		if c.last == status {
			return
		}
		t.letGo(c)
		if status != "STOPPED" {
			*c = container{name: c.name, health: "UNKNOWN"}
		}
		c.last = status
		if status == "RUNNING" {
			t.runContainer(t.def.Containers[index], c)
		}
	})
	w.started(t)
}

// RestartContainers restarts a task's running containers, as a restart policy does: the task stays, its bridge host ports and
// docker addresses change.
func (w *World) RestartContainers(clusterName, name, id string) error {
	return w.onTask(clusterName, name, id, w.restart)
}

func (w *World) restart(t *task) {
	w.change(t, func(s *state) {
		before := slices.Clone(s.containers)
		for i, spec := range t.def.Containers {
			if before[i].last == "RUNNING" {
				t.runContainer(spec, &s.containers[i])
			}
		}
		for i := range before { // only now, so that they don't get the same again
			if before[i].last == "RUNNING" {
				t.letGo(&before[i])
				t.hold(s.containers[i])
			}
		}
	})
}

// hold takes the host ports of a container's bindings.
func (t *task) hold(c container) {
	for _, b := range c.bindings {
		for p := b.hostPort; p <= max(b.hostPort, b.hostRangeEnd); p++ {
			t.at.ports[p] = true
		}
	}
}
