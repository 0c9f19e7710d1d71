package ecs

import (
	"math/rand/v2"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

const (
	// motion is how long after a change a service is read as one in motion.
	motion = 30 * time.Second
	// backoff is the pause after a service's first fault; it doubles with each further one, up to maxBackoff.
	backoff, maxBackoff = time.Second, 5 * time.Second
)

// Schedule says when what is read. Without one an Inventory reads everything each time, as who reads once wants it.
type Schedule struct {
	// Refs are all services that will be read, as not all are at a time.
	Refs []mesh.ServiceRef
	// Rate is the call budget in calls a second, and Wait the least pause between two reads.
	Rate float64
	Wait time.Duration
	// Sidecar is the name of nightjar's own container: each task that has one is taken for a reader of the same account.
	Sidecar string
	// OwnCluster and OwnService name the service whose tasks all read as this one does; "" where unknown.
	OwnCluster, OwnService string
	// Random is from 0 to 1, evenly; nil for chance. It spreads out what would else happen everywhere at once.
	Random func() float64
}

func (s *Schedule) random() float64 {
	if s.Random != nil {
		return s.Random()
	}
	return rand.Float64() //nolint:gosec // no secret
}

// around is an interval with a tenth more or less, so that readers that started together drift apart.
func (s *Schedule) around() float64 {
	if s == nil {
		return 1
	}
	return 0.9 + 0.2*s.random()
}

// watch is what the schedule knows of a service.
type watch struct {
	// read tells that its tasks are read: it is one of the services of refs, and not only the own one.
	read bool
	// version is that of the description which the last list followed, and listed when that was; zero before the first.
	version string
	listed  time.Time
	// tasksDue is when its tasks are looked through again.
	tasksDue time.Time
	// changed is when something of its tasks last changed, or was first seen.
	changed time.Time
	// reads counts its good readings, and changes how often something differed of which it is built.
	reads, changes int
	// factor varies its intervals.
	factor float64
	// fails counts faults in a row, and notBefore is when it is asked for again.
	fails     int
	notBefore time.Time
}

// moving tells whether it changed so lately that more is to be expected. ECS is eventually consistent, so a list right after
// a change may still be of before.
func (w *watch) moving(now time.Time) bool { return now.Sub(w.changed) < motion }

// stretched is an interval as it is for this service.
func (w *watch) stretched(d time.Duration) time.Duration { return time.Duration(float64(d) * w.factor) }

// describeDue tells whether a service is to be described.
func (w *watch) describeDue(now time.Time, d *describedService, every Intervals) bool {
	switch {
	case now.Before(w.notBefore):
		return false
	case d == nil:
		return true
	case !w.read: // of the own service the count is of interest
		return now.Sub(d.at) >= w.stretched(max(listAge, every.Services))
	case w.moving(now), d.service.hasTaskSets():
		return now.Sub(d.at) >= w.stretched(every.Moving)
	default:
		return now.Sub(d.at) >= w.stretched(every.Services)
	}
}

// listDue tells whether the tasks of a service that was described are to be listed: when the description shows that something
// moved, again and again for a while after that, both where the account affords it, and else seldom.
func (w *watch) listDue(now time.Time, d *describedService, every Intervals, afforded bool) bool {
	since := now.Sub(w.listed)
	switch {
	case now.Before(w.notBefore):
		return false
	case w.listed.IsZero(), since >= w.stretched(every.Lists):
		return true
	case !afforded:
		return false
	case d.service.Version != w.version:
		return true
	case w.moving(now):
		return since >= max(w.stretched(every.Moving), w.listed.Sub(w.changed))
	default:
		return false
	}
}

// failed puts the next try off. What failed together is due together again, as it shares calls.
func (w *watch) failed(now time.Time, factor float64) {
	w.notBefore = now.Add(time.Duration(factor * float64(min(maxBackoff, backoff<<min(w.fails, 10)))))
	w.fails++
}

// follows is what following changes costs.
type follows struct {
	// calls were made at the time of, by lists that followed a change or were the first.
	calls float64
	at    time.Time
	// factor varies the pause after them.
	factor float64
}

// affords tells whether more changes may be followed: many sidecars see the same change, and each has but its share of what the
// account can spare.
func (f *follows) affords(now time.Time, every Intervals) bool {
	return every.Follow == 0 || now.Sub(f.at) >= time.Duration(f.factor*float64(after(f.calls, every.Follow)))
}
