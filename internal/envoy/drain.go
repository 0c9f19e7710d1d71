package envoy

import "time"

const (
	// grace is how long ingress serves on at least after its health path turned 503: others that route here learn of the end
	// in about a read of AWS and a second, 2.4 s where nothing else reads the account.
	grace = 3 * time.Second
	// quiet is how long no request may have come before it counts as nothing being sent here any more.
	quiet = time.Second
	// lastSteps is how much of the drain time is for its last steps, at most two fifths of it: what is in flight then has half of
	// that, and Envoy's end the other, which takes 30 ms where the machine isn't busy.
	lastSteps = 2 * time.Second
)

// Task is what the own task is known to do. The zero value is for where nothing tells.
type Task struct {
	// Stopping tells that its end has begun.
	Stopping bool
	// Apps counts the containers that Envoy serves, and Gone those of them that have stopped.
	Apps, Gone int
}

// step is how far an Envoy is on its way out.
type step int

const (
	// serving: nobody wants its end.
	serving step = iota
	// draining: the health path answers 503, and clients of ingress are asked with each answer to go elsewhere (Connection:
	// close, GOAWAY). All is served on, new connections too.
	draining
	// closing: ingress takes no new connection, and the last requests end.
	closing
	// leaving: Envoy ends.
	leaving
)

// moment is what is known at a time.
type moment struct {
	now time.Time
	// asked is when SIGTERM came; zero before.
	asked time.Time
	task  Task
	// load is nil where Envoy doesn't tell.
	load *Load
}

// drain is the order in which an Envoy leaves. It decides, and does nothing.
//
// Envoy 1.40 (measured): POST /healthcheck/fail alone makes it say Connection: close and GOAWAY with each answer of a listener
// whose drain_type is DEFAULT, as ingress has. POST /drain_listeners?graceful adds nothing to that but to close the port after
// --drain-time-s, so it isn't used: the port is closed as the last step, when what still comes has to go elsewhere anyway.
type drain struct {
	// time is the most that it may take from SIGTERM on.
	time time.Duration
	step step
	// since is when the health path turned 503.
	since time.Time
	// needed tells that it closes though somebody may still need it, as the drain time is over.
	needed bool
	// before counts the apps that had stopped before the task's end began, as those do that only prepare something.
	before int
	// ingress and all watch the answered requests of ingress, and of both directions.
	ingress, all movement
}

// movement is a count that moves while requests come.
type movement struct {
	count uint64
	moved time.Time
}

func (m *movement) see(count uint64, now time.Time) {
	if m.moved.IsZero() || count != m.count {
		m.count, m.moved = count, now
	}
}

func (m *movement) still(now time.Time) bool { return !m.moved.IsZero() && now.Sub(m.moved) >= quiet }

// next is the step that is due, and why; the step it is in, where none is.
func (d *drain) next(m moment) (due step, why string) {
	if m.load != nil {
		d.ingress.see(m.load.Ingress.Answered, m.now)
		d.all.see(m.load.Ingress.Answered+m.load.Egress.Answered, m.now)
	}
	if !m.task.Stopping {
		d.before = m.task.Gone
	}
	over := !m.now.Before(d.alarm(m))
	switch d.step {
	case serving:
		switch {
		case !m.asked.IsZero():
			return draining, "SIGTERM"
		case m.task.Stopping:
			return draining, "the task is being stopped"
		}
	case draining:
		if m.asked.IsZero() { // SIGTERM comes, at the latest after the apps
			break
		}
		if over {
			d.needed = true
			return closing, "the drain time is over"
		}
		if why := d.over(m); why != "" {
			return closing, why
		}
	case closing:
		if over || !d.needed && m.load != nil && !m.load.busy() {
			return leaving, "" // why was said when it closed
		}
	case leaving:
	}
	return d.step, ""
}

// over tells why nobody needs this Envoy any more; "" while somebody may.
func (d *drain) over(m moment) string {
	apps := m.task.Stopping && m.task.Apps > d.before
	switch {
	case m.load == nil || m.load.busy():
		return ""
	case apps && m.task.Gone == m.task.Apps:
		return "the apps have stopped, and nothing is in flight"
	case !m.load.Ingress.There && !m.load.Egress.There:
		return "there is nothing to serve"
	case m.now.Sub(d.since) < grace:
		return ""
	case !m.load.Egress.There && d.ingress.still(m.now):
		return "nothing is in flight, and nothing comes"
	case apps:
		return "" // an app that is ending may need egress at any moment
	case d.all.still(m.now):
		return "nothing is in flight, and nothing comes"
	default:
		return ""
	}
}

// end is when the drain time is over, and Envoy must be gone.
func (d *drain) end(m moment) time.Time { return m.asked.Add(d.time) }

// alarm is when the next step is due whatever is in flight; only after SIGTERM.
func (d *drain) alarm(m moment) time.Time {
	last := min(lastSteps, d.time*2/5)
	if d.step == closing {
		last /= 2
	}
	return d.end(m).Add(-last)
}
