package control

import (
	"cmp"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// Status is what a Loop knows at one moment.
type Status struct {
	Started time.Time
	// Published tells whether a mesh has been published.
	Published bool
	// Wait is the pause after each read.
	Wait     time.Duration
	Services []ServiceStatus
	Proxies  []mesh.Proxy
}

// ServiceStatus is what a Loop knows of one service.
type ServiceStatus struct {
	// Service is what is served.
	Service *mesh.Service
	// Answered tells whether AWS has answered for it since start, well or with a definite error.
	Answered bool
	// Own tells that it is a container of the own task, for which AWS isn't asked and nobody waits.
	Own bool
	// ReadAt is when it was last read well, ChangedAt when it last changed; zero for never.
	ReadAt, ChangedAt time.Time
	// Err and FailingSince tell of a fault that lasts.
	Err          error
	FailingSince time.Time
}

// Status tells what is known now.
func (l *Loop) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{Started: l.started, Published: l.mesh != nil, Wait: l.Wait}
	for i, r := range l.records {
		s.Services = append(s.Services, ServiceStatus{
			Service: cmp.Or(r.shown, r.service), Answered: r.answered, Own: i >= len(l.Refs), ReadAt: r.readAt, ChangedAt: r.changedAt,
			Err: r.err, FailingSince: r.failingSince,
		})
	}
	for _, p := range l.Proxies {
		p.Routes = mesh.InMatchOrder(p.Routes)
		s.Proxies = append(s.Proxies, p)
	}
	return s
}

// answered tells whether AWS has answered for every service; the records are locked.
func (l *Loop) answered() bool {
	for _, r := range l.records[:len(l.Refs)] {
		if !r.answered {
			return false
		}
	}
	return true
}
