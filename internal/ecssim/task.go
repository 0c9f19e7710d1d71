package ecssim

import (
	"net/netip"
	"slices"
	"time"
)

// How long versions of a task are kept to be shown late, and stopped tasks at all.
const (
	lateAtMost  = time.Minute
	keepStopped = time.Hour // Source: Amazon ECS API reference, DescribeTasks
)

// task is a task. What the APIs show of it is a version of its state, as they may show it late.
type task struct {
	arn, id string
	cluster *cluster
	service *service // nil for run-task
	def     Definition
	at      *instance  // nil on Fargate
	ip      netip.Addr // awsvpc

	versions []version
	phase    Phase
	// stopping marks that its end has begun.
	stopping bool
	// leaving marks that it is to be replaced, as its instance drains.
	leaving bool
}

// version is the state of a task from a time on.
type version struct {
	from time.Time
	state
}

// state is what the APIs show of a task.
type state struct {
	number              int
	last, desired       string
	interfaceKnown      bool // attachments have their address
	stopCode, stopCause string
	created             time.Time
	started             time.Time
	stopping, stopped   time.Time // when its end began, and when it was over
	startedBy, group    string
	containers          []container
}

// current is the task's present state.
func (t *task) current() state { return t.versions[len(t.versions)-1].state }

// change makes a new version of the task's state.
func (w *World) change(t *task, how func(*state)) {
	s := t.current()
	s.containers = append([]container(nil), s.containers...)
	s.number++
	how(&s)
	t.versions = append(t.versions, version{w.now, s})
	for len(t.versions) > 1 && t.versions[1].from.Before(w.now.Add(-lateAtMost)) {
		t.versions = t.versions[1:]
	}
}

// seen is the task as it was at a time; false where it was not there yet, or is forgotten.
func (t *task) seen(at time.Time) (state, bool) {
	for i := len(t.versions) - 1; i >= 0; i-- {
		if v := t.versions[i]; !v.from.After(at) {
			return v.state, v.stopped.IsZero() || at.Before(v.stopped.Add(keepStopped))
		}
	}
	return state{}, false
}

// start starts a task of a definition, or returns false where no instance has room for it.
func (w *World) start(c *cluster, s *service, def Definition, startedBy, group string) bool {
	var at *instance
	if def.onInstance() {
		if at = c.place(def.fixedPorts()); at == nil {
			return false
		}
	}
	t := &task{id: w.id(), cluster: c, service: s, def: def, at: at}
	t.arn = w.arn("task", c.name, t.id)
	if at != nil {
		at.tasks++
		for _, port := range def.fixedPorts() {
			at.fixed[port] = true
		}
	}
	if def.NetworkMode == "awsvpc" {
		t.ip = c.address()
	}
	first := state{number: 1, last: "PROVISIONING", desired: "RUNNING", created: w.now, startedBy: startedBy, group: group}
	for _, spec := range def.Containers {
		first.containers = append(first.containers, container{name: spec.Name, last: "PENDING", health: "UNKNOWN"})
	}
	t.versions = []version{{w.now, first}}
	w.tasks[t.arn] = t
	w.order = append(w.order, t)
	if s != nil {
		s.tasks = append(s.tasks, t)
		w.tell(s, "has started 1 tasks: (task %s).", t.id)
	}
	w.after(w.timing.Provision, func() { w.pending(t) })
	return true
}

// fixedPorts are the tcp ports of its instance that a task asks for: fixed host ports and, in host mode, all that it declares.
func (d Definition) fixedPorts() []uint16 {
	var ports []uint16
	for _, spec := range d.Containers {
		for _, p := range spec.Ports {
			switch {
			case p.protocol() != "tcp" || p.Unpublished:
			case d.NetworkMode == "host":
				ports = append(ports, p.Container)
			case d.NetworkMode == "bridge" && p.Host != 0:
				ports = append(ports, p.Host)
			}
		}
	}
	return ports
}

// place chooses the instance with the fewest tasks of those where the fixed ports are free; nil where there is none.
func (c *cluster) place(fixed []uint16) *instance {
	var best *instance
	for _, i := range c.instances {
		if len(fixed) > 0 && !i.takes() || slices.ContainsFunc(fixed, func(p uint16) bool { return i.fixed[p] }) {
			continue
		}
		if best == nil || !best.takes() && i.takes() || i.tasks < best.tasks && i.takes() {
			best = i
		}
	}
	return best
}

func (w *World) pending(t *task) {
	if t.stopping {
		return
	}
	w.change(t, func(s *state) { s.last, s.interfaceKnown = "PENDING", true })
	w.after(w.timing.Pull, func() { w.activate(t) })
}

// activate is the moment in which the containers run, all but those that are held.
func (w *World) activate(t *task) {
	if t.stopping {
		return
	}
	t.phase = Serving
	w.change(t, func(s *state) {
		for i, spec := range t.def.Containers {
			if !spec.Held {
				t.runContainer(spec, &s.containers[i])
			}
		}
	})
	w.started(t)
}

// started brings a task on whose containers have all been started. With a load balancer or a registry it is registered there
// before it is RUNNING.
func (w *World) started(t *task) {
	if now := t.current(); now.last != "PENDING" || !now.complete() {
		return
	}
	registered := t.service != nil && len(t.service.loadBalancers)+len(t.service.registries) > 0
	if !registered {
		w.change(t, func(s *state) { s.started = w.now })
		w.run(t)
		return
	}
	w.change(t, func(s *state) { s.last, s.started = "ACTIVATING", w.now })
	w.after(w.timing.Register, func() { w.run(t) })
}

// run is the moment in which the task is RUNNING.
func (w *World) run(t *task) {
	if t.stopping {
		return
	}
	w.change(t, func(s *state) { s.last = "RUNNING" })
	if t.service != nil {
		s := t.service
		w.reconcile(s)
		w.after(s.overlap, func() { w.reconcile(s) })
	}
}

// stop stops a task as ECS does: desired STOPPED at once, SIGTERM later, gone in the end.
func (w *World) stop(t *task, code, cause string) {
	if t.stopping {
		return
	}
	t.stopping = true
	if t.service != nil {
		w.tell(t.service, "has stopped 1 running tasks: (task %s).", t.id)
	}
	w.desireStopped(t, code, cause)
	if t.phase != Serving {
		w.after(0, func() { w.gone(t) })
		return
	}
	delay := w.timing.SIGTERM
	if t.service != nil && len(t.service.loadBalancers) > 0 {
		delay = w.timing.Deregister
	}
	w.after(delay, func() {
		if t.phase == Serving {
			t.phase = Terminating
		}
		w.change(t, func(s *state) { s.last = "STOPPING" })
		w.after(w.timing.Exit, func() { w.gone(t) })
	})
}

// desireStopped is the beginning of a task's end.
func (w *World) desireStopped(t *task, code, cause string) {
	w.change(t, func(s *state) {
		s.desired, s.stopCode, s.stopCause, s.stopping = "STOPPED", code, cause, w.now
		if s.last == "RUNNING" {
			s.last = "DEACTIVATING"
		}
	})
}

// gone is the end of a task: its containers have ended.
func (w *World) gone(t *task) {
	t.phase = Dead
	w.change(t, func(s *state) {
		s.last = "DEPROVISIONING"
		for i := range s.containers {
			s.containers[i].last = "STOPPED"
		}
	})
	w.after(100*time.Millisecond, func() {
		w.change(t, func(s *state) { s.last, s.stopped = "STOPPED", w.now })
		w.release(t)
		w.placeAgain(t.cluster)
		w.after(keepStopped+lateAtMost, func() { w.forget(t) })
		if t.service != nil {
			w.reconcile(t.service)
		}
	})
}

// release gives back what the task has of its subnet and its instance.
func (w *World) release(t *task) {
	delete(t.cluster.taken, t.ip)
	if t.at == nil {
		return
	}
	t.at.tasks--
	for _, port := range t.def.fixedPorts() {
		delete(t.at.fixed, port)
	}
	w.change(t, func(s *state) {
		for i := range s.containers {
			t.letGo(&s.containers[i])
		}
	})
}

func (w *World) forget(t *task) {
	delete(w.tasks, t.arn)
	w.order = without(w.order, t)
	if t.service != nil {
		t.service.tasks = without(t.service.tasks, t)
	}
}

func without(tasks []*task, t *task) []*task {
	return slices.DeleteFunc(tasks, func(o *task) bool { return o == t })
}

// die is a task whose essential container ends by itself: nothing answers any more, and ECS learns of it later.
func (w *World) die(t *task) {
	t.phase = Dead
	w.after(w.timing.Report, func() {
		if t.stopping {
			return
		}
		t.stopping = true
		w.change(t, func(s *state) {
			s.desired, s.last, s.stopping = "STOPPED", "STOPPING", w.now
			s.stopCode, s.stopCause = "EssentialContainerExited", "Essential container in task exited"
		})
		w.gone(t)
		if t.service != nil {
			w.reconcile(t.service)
		}
	})
}
