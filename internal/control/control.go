// Package control is the loop: it reads services, judges each reading against the last good one, and publishes the mesh
// when it changed. It keeps the last good mesh, so no fault of AWS empties a route.
package control

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// startPatience is how long the first publish waits for services that AWS has not answered for, as the contract's "Ready"
// says. After it, what was read is published.
const startPatience = 30 * time.Second

// Reader reads services. A reading is whole for its service, or an error: never part of one. One service's error holds
// back no other. There is one reading for each ref, in the same order, also when the context ends.
type Reader interface {
	Read(ctx context.Context, refs []mesh.ServiceRef) []mesh.Reading
}

// Publisher makes the mesh what every connected Envoy will see. It never waits for an Envoy; the latest mesh wins.
type Publisher interface {
	Publish(m *mesh.Mesh) error
}

// Observer is told what happens, for metrics. Its methods must not block.
type Observer interface {
	// Changed counts a change of what a service serves.
	Changed(service string)
}

// Options are what a Loop needs. All are required.
type Options struct {
	Reader    Reader
	Publisher Publisher
	Observer  Observer
	Log       *slog.Logger
	// Refs are the services to read, each once.
	Refs []mesh.ServiceRef
	// Proxies are the Envoys' views, whose routes name the services of Refs.
	Proxies []mesh.Proxy
	// Wait is the pause between the end of a read and the next one.
	Wait time.Duration
	// Own is a second source that is read beside: the containers of the own task, which wait for no AWS call. Without refs
	// it is left alone.
	Own Source
}

// Source is something to read on its own.
type Source struct {
	Reader Reader
	Refs   []mesh.ServiceRef
	// Wait is the pause between the end of a read and the next one.
	Wait time.Duration
}

// Loop reads and publishes until it is told to end. Make one with New.
type Loop struct {
	Options
	published chan struct{} // closed at the first publish

	publishing sync.Mutex // orders the publishes of both sources

	mu      sync.Mutex
	records []record // of Refs, then of Own.Refs
	outages outages
	mesh    *mesh.Mesh
	started time.Time
}

// New makes a Loop. Its error tells what in the refs and proxies contradicts itself.
func New(o Options) (*Loop, error) {
	l := &Loop{Options: o, published: make(chan struct{}), started: time.Now(), records: make([]record, 0, len(o.Refs)+len(o.Own.Refs))}
	for _, ref := range slices.Concat(o.Refs, o.Own.Refs) {
		l.records = append(l.records, record{service: &mesh.Service{Name: ref.Name(), State: mesh.Unread}})
	}
	if _, err := l.assemble(); err != nil {
		return nil, err
	}
	return l, nil
}

// Published is closed when the mesh was published for the first time.
func (l *Loop) Published() <-chan struct{} { return l.published }

// Run reads and publishes until the context ends.
func (l *Loop) Run(ctx context.Context) {
	var sources sync.WaitGroup
	if len(l.Own.Refs) > 0 {
		all := make([]int, len(l.Own.Refs))
		for i := range all {
			all[i] = len(l.Refs) + i
		}
		sources.Go(func() { again(ctx, l.Own.Wait, func() { l.group(ctx, l.Own.Reader, all) }) })
	}
	if len(l.Refs) > 0 {
		sources.Go(func() { again(ctx, l.Wait, func() { l.once(ctx) }) })
	}
	sources.Wait()
}

// again does something until the context ends, with a pause after each time.
func again(ctx context.Context, pause time.Duration, do func()) {
	for ctx.Err() == nil {
		do()
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// once is one round: it reads all services, in groups of which each is judged and published when it is read. Until all are
// answered for, the first is small and each next one twice as large: what the call budget affords is published soon, and many
// still share their calls.
func (l *Loop) once(ctx context.Context) {
	const firstGroup, usualGroup = 10, 50
	rest := l.order()
	size := usualGroup
	if len(rest) > 0 && !l.records[rest[0]].answered {
		size = firstGroup
	}
	for ; len(rest) > 0 && ctx.Err() == nil; size *= 2 {
		group := rest[:min(size, len(rest))]
		rest = rest[len(group):]
		l.group(ctx, l.Reader, group)
	}
}

// order is the order in which a round reads the services: those first that AWS has not answered for yet.
func (l *Loop) order() []int {
	var first, then []int
	for i := range l.Refs {
		if l.records[i].answered {
			then = append(then, i)
		} else {
			first = append(first, i)
		}
	}
	return append(first, then...)
}

// group reads, judges and publishes some services.
func (l *Loop) group(ctx context.Context, from Reader, group []int) {
	readings := l.read(ctx, from, group)
	if ctx.Err() != nil {
		return
	}
	if l.isPublished() && !slices.ContainsFunc(readings, func(r mesh.Reading) bool { return !r.NotAsked }) {
		l.report(nil) // time alone ends a fault
		return
	}
	l.mu.Lock()
	verdicts := make([]verdict, len(readings))
	for i, r := range readings {
		verdicts[i] = l.records[group[i]].judge(r)
		verdicts[i].service = r.Ref.Name()
	}
	l.mu.Unlock()
	l.report(verdicts)
	l.publish()
}

// isPublished tells whether a mesh has been published.
func (l *Loop) isPublished() bool {
	select {
	case <-l.published:
		return true
	default:
		return false
	}
}

// read reads a group. Before the first publish it ends when that is due at the latest.
func (l *Loop) read(ctx context.Context, from Reader, group []int) []mesh.Reading {
	if !l.isPublished() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, l.started.Add(startPatience))
		defer cancel()
	}
	refs := make([]mesh.ServiceRef, len(group))
	for i, n := range group {
		if n < len(l.Refs) {
			refs[i] = l.Refs[n]
		} else {
			refs[i] = l.Own.Refs[n-len(l.Refs)]
		}
	}
	return from.Read(ctx, refs)
}

// publish makes the mesh of what is known and publishes it if it changed. The first one waits until every service is
// answered for, or startPatience is over.
func (l *Loop) publish() {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	l.mu.Lock()
	wait := l.mesh == nil && !l.answered() && time.Since(l.started) < startPatience
	m, err := l.assemble()
	l.mu.Unlock()
	if wait {
		return
	}
	if err != nil { // New has made sure of it
		l.Log.Error("the mesh cannot be made; what is served stays", "error", err)
		return
	}
	first := l.mesh == nil
	changes, shares := mesh.Diff(l.mesh, m), mesh.DiffShares(l.mesh, m)
	if !first && same(l.mesh, m) {
		return
	}
	if err := l.Publisher.Publish(m); err != nil {
		l.Log.Error("a part of the mesh cannot be translated for Envoy; of it, what was served stays", "error", err)
	}
	l.mu.Lock()
	l.mesh = m
	l.mu.Unlock()
	for _, c := range changes {
		level := slog.LevelInfo
		if c.Ceased {
			level = slog.LevelWarn
		}
		l.Log.Log(context.Background(), level, c.String())
		l.Observer.Changed(c.Service)
	}
	for _, words := range shares {
		l.Log.Info(words)
	}
	if first {
		close(l.published)
	}
}

// assemble makes the mesh of what is known; the records are locked.
func (l *Loop) assemble() (*mesh.Mesh, error) {
	services := make([]*mesh.Service, 0, len(l.records))
	for _, r := range l.records {
		services = append(services, r.service)
	}
	owners := mesh.NewOwners(services)
	for i := range l.records {
		services[i] = l.records[i].show(owners)
	}
	return mesh.New(services, l.Proxies)
}

// same tells whether two meshes have the very same services; the proxies never change.
func same(a, b *mesh.Mesh) bool {
	for i := range b.Services {
		if a.Services[i] != b.Services[i] {
			return false
		}
	}
	return true
}

// report logs what began and what ended with these readings: a fault is one line when it begins and one when it ended, however
// many services it strikes and rounds it lasts.
func (l *Loop) report(verdicts []verdict) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range verdicts {
		switch {
		case v.failed != nil:
			l.outages.fail(v.service, v.failed, v.unread, now)
		case v.recovered:
			l.outages.recover(v.service, now)
		case v.doubted:
			l.Log.Info("AWS shows nothing for it; the last endpoints stay until a second read says so", "service", v.service)
		}
	}
	for _, o := range l.outages.begun() {
		l.Log.Warn("cannot read; "+o.effect()+"; reading goes on", "services", abridge(o.struck), "error", o.err)
	}
	for _, o := range l.outages.over(now) {
		l.Log.Info("reading works again", "services", abridge(o.struck), "after", o.quiet.Sub(o.began).Round(100*time.Millisecond))
	}
}

// abridge keeps a log line readable.
func abridge(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
