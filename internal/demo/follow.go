package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

// followEvery is how soon a change of the world reaches the backends.
const followEvery = 10 * time.Millisecond

// Backends are real HTTP servers in the place of a simulated world's containers: each listens while its app does, ends
// gracefully at SIGTERM and is cut off at its death.
type Backends struct {
	// Opens is how long after its container runs an app begins to listen, and Lingers how long it goes on as before after
	// SIGTERM. The world's time from SIGTERM to the end must allow for that.
	Opens, Lingers time.Duration
	// Plays tells which containers are played; nil for all.
	Plays func(ecssim.App) bool

	world   *ecssim.World
	running map[place]*Backend
	turned  map[place]turn
	failed  func(error)
	stopped sync.WaitGroup

	mu    sync.Mutex
	since map[string]time.Time // task → since when it serves
}

// turn is when an app was first seen in a phase.
type turn struct {
	phase ecssim.Phase
	at    time.Time
}

// place is a port of a container at an address.
type place struct {
	task, container string
	at              netip.AddrPort
}

// NewBackends makes the backends of a world. Failed is told, once each, what could not be started.
func NewBackends(w *ecssim.World, failed func(error)) *Backends {
	return &Backends{world: w, running: map[place]*Backend{}, turned: map[place]turn{}, failed: failed, since: map[string]time.Time{}}
}

// Run follows the world until the context ends, and then stops all backends.
func (b *Backends) Run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		b.follow()
		select {
		case <-ctx.Done():
			for _, backend := range b.running {
				if backend != nil {
					backend.Kill()
				}
			}
			b.stopped.Wait()
			return
		case <-tick.C:
		}
	}
}

// Since is when a task began to serve; false where it never did.
func (b *Backends) Since(task string) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, ok := b.since[task]
	return t, ok
}

// follow brings the backends to what the world is now. A port that could not be opened is nil, so that it is tried once.
func (b *Backends) follow() {
	b.world.Advance(time.Now())
	serving, there := map[place]bool{}, map[place]bool{}
	for _, app := range b.world.Apps() {
		if b.Plays != nil && !b.Plays(app) {
			continue
		}
		for _, p := range app.Ports {
			at := place{app.Task, app.Container, p.At}
			there[at] = true
			serving[at] = b.serves(at, app.Phase)
			if _, known := b.running[at]; !known && serving[at] {
				b.start(at, app, p)
			}
		}
	}
	maps.DeleteFunc(b.turned, func(at place, _ turn) bool { return !there[at] })
	for at, backend := range b.running {
		if serving[at] {
			continue
		}
		delete(b.running, at)
		if backend == nil {
			continue
		}
		backend.refuse() // at once, as whoever comes next may listen there
		b.stopped.Go(func() {
			if !there[at] {
				backend.Kill()
				return
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := backend.Stop(ctx); err != nil {
				b.failed(err)
			}
		})
	}
}

// serves tells whether an app listens that is in a phase.
func (b *Backends) serves(at place, phase ecssim.Phase) bool {
	t, known := b.turned[at]
	if !known || t.phase != phase {
		t = turn{phase, time.Now()}
		b.turned[at] = t
	}
	if phase == ecssim.Serving {
		return time.Since(t.at) >= b.Opens
	}
	return b.running[at] != nil && time.Since(t.at) < b.Lingers
}

// hint says what to change in a world whose container can't listen.
func hint(at netip.AddrPort, err error) string {
	switch {
	case !at.Addr().IsValid():
		return "; give the container's instance an address in the world file"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "; use addresses of 127.0.0.0/8 in the world file, which a Linux machine has all"
	case errors.Is(err, syscall.EADDRINUSE):
		return "; another program listens there, maybe another simulator: use addresses of your own in the world file"
	default:
		return ""
	}
}

func (b *Backends) start(at place, app ecssim.App, p ecssim.AppPort) {
	who := Identity{
		Service: app.Cluster + "/" + app.Service, Task: app.Task, Revision: app.Revision, Container: app.Container, Port: p.ContainerPort,
	}
	backend, err := StartBackend(who, p.At)
	b.running[at] = backend
	if err != nil {
		b.running[at] = nil
		b.failed(fmt.Errorf("the world and this machine disagree: %w%s", err, hint(p.At, err)))
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.since[app.Task]; !known {
		b.since[app.Task] = time.Now()
	}
}
