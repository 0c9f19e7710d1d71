package control

import (
	"slices"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// record is what is known of one service.
type record struct {
	// service is what is served: the last that was believed.
	service *mesh.Service
	// shown is what of it is served: all but the endpoints whose address another task has by now. It is made of shownOf, without
	// shownLost.
	shown, shownOf *mesh.Service
	shownLost      []mesh.Endpoint
	// answered tells whether AWS has answered at all: well, or with a definite error.
	answered bool
	// readAt is the time of the last good reading, changedAt that of the last change.
	readAt, changedAt time.Time
	// err and failingSince tell of the fault that keeps it from being read now.
	err          error
	failingSince time.Time
	// doubted marks that the last good reading showed nothing where there was something.
	doubted bool
}

// verdict is what became of a reading, where somebody should know.
type verdict struct {
	service string
	// failed is the fault that begins with this reading.
	failed error
	// unread tells that it was not read since the start.
	unread bool
	// recovered tells that a fault ended.
	recovered bool
	// doubted tells that the reading was not believed yet.
	doubted bool
}

// judge takes a reading. An error keeps what was. A reading that shows nothing is believed when the next good one says so
// too: a service that vanishes at once is more often a slip of AWS than the truth. So it is after a start: an Envoy may hold
// endpoints from before.
func (r *record) judge(reading mesh.Reading) verdict {
	if reading.NotAsked {
		return verdict{}
	}
	if reading.Err != nil {
		return r.fail(reading)
	}
	v := verdict{recovered: r.err != nil}
	r.err, r.failingSince = nil, time.Time{}
	empty := len(reading.Service.Endpoints) == 0 && (len(r.service.Endpoints) > 0 || !r.answered)
	if empty && (!r.doubted || reading.Repeats) && !reading.Certain {
		v.doubted = r.answered && !r.doubted
		r.doubted = true
		return v
	}
	r.doubted, r.answered, r.readAt = false, true, reading.At
	r.replace(reading.Service, reading.At)
	return v
}

func (r *record) fail(reading mesh.Reading) verdict {
	var v verdict
	if r.err == nil {
		v.failed, v.unread = reading.Err, r.readAt.IsZero()
		r.failingSince = reading.At
	}
	r.err = reading.Err
	if reading.Definite && !r.answered {
		r.answered = true
		r.replace(&mesh.Service{Name: r.service.Name, State: mesh.Denied, Problem: reading.Err.Error()}, reading.At)
	}
	return v
}

// replace keeps the old value where nothing changed, so that nobody downstream looks at it again.
func (r *record) replace(s *mesh.Service, at time.Time) {
	if !r.service.Equal(s) {
		r.service, r.changedAt = dated(s, r.service, at), at
	}
}

// dated tells since when each task is excluded, where AWS doesn't: as before for the same reason, else from this reading on.
func dated(s, before *mesh.Service, at time.Time) *mesh.Service {
	if !slices.ContainsFunc(s.Excluded, func(e mesh.Excluded) bool { return e.Since.IsZero() }) {
		return s
	}
	known := make(map[[2]string]time.Time, len(before.Excluded))
	for _, e := range before.Excluded {
		known[[2]string{e.Task, e.Reason}] = e.Since
	}
	now := *s
	now.Excluded = slices.Clone(s.Excluded) // a Service is never changed
	for i, e := range now.Excluded {
		if !e.Since.IsZero() {
			continue
		}
		now.Excluded[i].Since = at
		if since, same := known[[2]string{e.Task, e.Reason}]; same {
			now.Excluded[i].Since = since
		}
	}
	return &now
}

// show takes away the endpoints that are another's by now. The value stays the same while nothing changes.
func (r *record) show(owners mesh.Owners) *mesh.Service {
	lost := owners.Lost(r.service)
	if r.shownOf == r.service && slices.Equal(r.shownLost, lost) {
		return r.shown
	}
	r.shown, r.shownOf, r.shownLost = r.service, r.service, lost
	if len(lost) > 0 {
		r.shown = owners.Without(r.service, lost)
	}
	return r.shown
}
