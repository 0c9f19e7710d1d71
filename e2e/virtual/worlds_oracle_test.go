package virtual

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/control"
	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// How late what AWS answers may be: see ecssim's view.
const (
	rudeLateness = 300 * time.Millisecond
	listLateness = 10 * time.Second
	// blip is how long after it didn't serve for a while a place may be taken for one that doesn't.
	blip = time.Minute
)

// oracle knows the truth from the simulated world, and judges what is published by it. Of nightjar it knows only what it asked
// of AWS and when, and which readings were good.
type oracle struct {
	world *randomWorld
	sim   *ecssim.Sim
	start time.Time

	mu sync.Mutex
	// run numbers the nightjars that were started one after another.
	run      int
	moving   time.Duration // how often what moves is read
	services map[string]*watched
	// places are all that were ever seen.
	places map[spot]*place
	// held are the tasks that have each address now.
	held map[netip.AddrPort][]ecssim.Place
	late []span // of late lists
	last string // what happened last
	// wrong is what was found.
	wrong []string
}

type span struct{ from, to time.Time }

// spot is a task at an address.
type spot struct {
	task string
	at   netip.AddrPort
}

// place is what was seen of a spot.
type place struct {
	// serves tells whether it does, and changed since when.
	serves  bool
	changed time.Time
	// first tells that it never stopped since it began to serve, and ran that its task was RUNNING at some time.
	first, ran bool
	// status is all that says whether it serves.
	status string
	// taskOver tells that its task is to stop or is not of the primary task set: else the container isn't there any more.
	taskOver bool
	// shown are the ends of the good readings that showed that it doesn't serve; again are those after the first which looked
	// for tasks of its service anew: a description of a service says nothing of which of its tasks serve.
	shown, again    []time.Time
	healthy, shared bool
	started         time.Time
	// of is the ECS-CLUSTER/NAME of its service.
	of string
	// running is since when its task was seen RUNNING there.
	running time.Time
	// seen are the ends of the good readings in which its task was described as it is.
	seen []time.Time
}

// watched is a service that is read.
type watched struct {
	routed
	published []mesh.Endpoint
	// allWrong is when last nothing of what was published served, or AWS said that the service isn't there.
	allWrong time.Time
	// known are the spots that this nightjar published and that served ever since.
	known map[spot]bool
	// missing counts the last good descriptions in a row that didn't show the service ACTIVE.
	missing int
	// described are the good readings with a description of the service, since the happenings ended.
	described int
}

func newOracle(w *randomWorld, sim *ecssim.Sim) *oracle {
	o := &oracle{world: w, sim: sim, start: time.Now(), services: map[string]*watched{}, places: map[spot]*place{}}
	for _, r := range w.routed {
		o.services[r.ref.Name()] = &watched{routed: r, known: map[spot]bool{}}
	}
	return o
}

// restarted tells that another nightjar runs from now on, which knows nothing.
func (o *oracle) restarted() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.run++
	for _, w := range o.services {
		w.published, w.known, w.missing = nil, map[spot]bool{}, 0
	}
	return o.run
}

// fail notes what is wrong, once for each moment.
func (o *oracle) fail(format string, args ...any) {
	if len(o.wrong) < 10 {
		o.wrong = append(o.wrong, fmt.Sprintf("%8s ", time.Since(o.start).Round(time.Millisecond))+fmt.Sprintf(format, args...)+" (last: "+o.last+")")
	}
}

// failures are what was wrong.
func (o *oracle) failures() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.wrong)
}

// happened tells of something that just happened.
func (o *oracle) happened(h happening) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = h.String()
	if h.step != nil && h.step.Fault == ecssim.LateList {
		o.late = append(o.late, span{time.Now(), time.Now().Add(h.step.For)})
	}
}

// published judges a mesh at the moment in which it is published.
func (o *oracle) published(run int, m *mesh.Mesh) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if run != o.run {
		return
	}
	for _, w := range o.services {
		w.published = m.Service(w.ref.Name()).Endpoints
	}
	o.judge()
}

// check judges what is published now.
func (o *oracle) check() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.judge()
}

func (o *oracle) judge() {
	o.look()
	for _, w := range o.services {
		for _, e := range w.published {
			o.serving(w, e)
			o.foreign(w, e)
		}
		o.notEmpty(w)
	}
}

// look looks at the truth as it is now.
func (o *oracle) look() {
	o.sim.World.Advance(time.Now())
	o.held = map[netip.AddrPort][]ecssim.Place{}
	serving, there := map[spot]bool{}, map[string]bool{}
	for _, t := range o.sim.World.Truth() {
		fine := t.Desired == "RUNNING" && t.Last == "RUNNING" && t.Serves
		there[t.Task] = there[t.Task] || fine
		if t.At.IsValid() {
			o.held[t.At] = append(o.held[t.At], t)
			serving[spot{t.Task, t.At}] = fine
			o.note(t)
		}
	}
	for s, p := range o.places {
		p.shared = len(o.held[s.at]) > 1
		switch now := time.Now(); {
		case serving[s] && !p.serves:
			p.serves, p.changed, p.shown, p.again = true, now, nil, nil
		case !serving[s] && p.serves:
			p.serves, p.changed, p.first, p.taskOver, p.seen = false, now, false, !there[s.task], nil
		}
	}
	for _, w := range o.services {
		o.remember(w)
	}
}

// note notes what there is to know of a place that is there.
func (o *oracle) note(t ecssim.Place) {
	now := time.Now()
	p := o.places[spot{t.Task, t.At}]
	if p == nil {
		p = &place{changed: now, first: true, of: t.Cluster + "/" + t.Service}
		o.places[spot{t.Task, t.At}] = p
	}
	status := fmt.Sprint(t.Desired, t.Last, t.Serves)
	if p.first && !p.serves && status != p.status { // when its task runs its task set may be the primary one no more
		p.changed, p.taskOver, p.shown, p.again = now, true, nil, nil
	}
	p.status, p.started, p.healthy = status, t.Started, t.Health != "UNHEALTHY"
	p.ran = p.ran || t.Desired == "RUNNING" && t.Last == "RUNNING"
	if t.Last == "RUNNING" && p.running.IsZero() {
		p.running = now
	}
}

// remember keeps what of a service is known to serve.
func (o *oracle) remember(w *watched) {
	now := time.Now()
	wrong := len(w.published) > 0
	for _, e := range w.published {
		s := spot{e.Task, e.Addr}
		wrong = wrong && !o.serves(s)
		if p := o.places[s]; p != nil && p.serves && (p.first || now.Sub(p.changed) > blip) {
			w.known[s] = true
		}
	}
	if wrong {
		w.allWrong = now
	}
	for s := range w.known {
		if !o.serves(s) {
			delete(w.known, s)
		}
	}
}

func (o *oracle) serves(s spot) bool { return o.places[s] != nil && o.places[s].serves }

// serving holds: "A stopped task leaves with the first good read of its service after the stop; with the second where the first
// shows the service empty, INACTIVE or MISSING; without a good read never." And: "A container that [...] comes back on another
// host port, is followed [...] at the next round", which describes its task.
func (o *oracle) serving(w *watched, e mesh.Endpoint) {
	p := o.places[spot{e.Task, e.Addr}]
	switch {
	case p == nil || !p.ran:
		o.fail("%s: %s of %s never served", w.ref.Name(), e.Addr, e.Task)
		return
	case p.of != w.ref.Cluster+"/"+w.ref.Service:
		o.fail("%s: %s of %s is of %s", w.ref.Name(), e.Addr, e.Task, p.of)
		return
	case p.serves:
		return
	}
	enough := past(p.shown) > 0
	if !w.allWrong.Before(p.changed) {
		enough = past(p.again) > 0
	}
	if enough {
		o.fail("(a) %s: %s of %s doesn't serve since %s, which good readings showed that ended at %s", w.ref.Name(), e.Addr, e.Task,
			o.time(p.changed), o.times(p.shown))
	}
}

// foreign holds: an address is never another service's after the first good reading of that other one that shows the newer task
// there; what a good reading of the service itself shows, serving holds.
func (o *oracle) foreign(w *watched, e mesh.Endpoint) {
	own := o.places[spot{e.Task, e.Addr}]
	if own == nil || own.serves {
		return // in host mode tasks of one service collide
	}
	for _, t := range o.held[e.Addr] {
		p := o.places[spot{t.Task, t.At}]
		if p.of != own.of && p.started.After(own.started) && past(p.seen) > 0 {
			o.fail("(b) %s: %s of %s is %s of %s by now, which a good reading showed that ended at %s", w.ref.Name(), e.Addr, e.Task, t.Task, p.of, o.times(p.seen))
		}
	}
}

// notEmpty holds: no fault of AWS empties a route. A service that is MISSING in two good reads is empty by "How long".
func (o *oracle) notEmpty(w *watched) {
	if len(w.published) > 0 {
		return
	}
	for s := range w.known {
		if p := o.places[s]; p.healthy && !p.shared {
			o.fail("(c) %s: nothing is published, and %s of %s was and serves since %s", w.ref.Name(), s.at, s.task, o.time(p.changed))
		}
	}
	w.known = map[spot]bool{}
}

// settled holds, when all is quiet: what is published is the truth.
func (o *oracle) settled() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.judge()
	for _, w := range o.services {
		var got, want, sick []string
		shared := false
		for _, places := range o.held {
			for _, t := range places {
				p := o.places[spot{t.Task, t.At}]
				if p.of != w.ref.Cluster+"/"+w.ref.Service || t.Container != w.container || t.ContainerPort != w.port || !p.serves {
					continue
				}
				shared = shared || p.shared
				if p.healthy {
					want = append(want, t.Task+" at "+t.At.String())
				} else {
					sick = append(sick, t.Task+" at "+t.At.String())
				}
			}
		}
		if len(want) == 0 {
			want = sick
		}
		for _, e := range w.published {
			got = append(got, e.Task+" at "+e.Addr.String())
		}
		slices.Sort(got)
		slices.Sort(want)
		switch {
		case shared && (len(got) == 0) == (len(want) == 0): // one of those that collide; that it serves, (a) holds
		case !slices.Equal(got, want):
			o.fail("(d) %s: published is [%s], the truth is [%s]", w.ref.Name(), strings.Join(got, ", "), strings.Join(want, ", "))
		}
	}
}

// past counts the times before now: what is shown now is published in this moment.
func past(times []time.Time) int {
	n := 0
	for _, t := range times {
		if t.Before(time.Now()) {
			n++
		}
	}
	return n
}

func (o *oracle) time(t time.Time) string { return t.Sub(o.start).Round(time.Millisecond).String() }

func (o *oracle) times(all []time.Time) string {
	var words []string
	for _, t := range all[:min(3, len(all))] {
		words = append(words, o.time(t))
	}
	return strings.Join(words, ", ")
}

// lateness is how much later than a moment a reading must have begun to show for sure what was then.
func (o *oracle) lateness(moment time.Time) time.Duration {
	if o.world.file.Polite && !o.listsLate(moment) {
		return 0
	}
	// A description that shows it may be followed by a list that doesn't yet: the next list does.
	d := rudeLateness + o.moving*11/10 + o.world.wait
	if o.listsLate(moment) {
		d += listLateness
	}
	return d
}

func (o *oracle) listsLate(since time.Time) bool {
	return slices.ContainsFunc(o.late, func(s span) bool { return !s.to.Before(since) })
}

// observed is what one nightjar asks and reads, as an oracle sees it.
type observed struct {
	*oracle
	run int
	ecs.API
	control.Reader
	inventory *ecs.Inventory

	mu       sync.Mutex
	services map[string]bool // described in this reading, ECS-CLUSTER/NAME; true where ACTIVE
	tasks    map[string]bool // described in this reading, by ID
	looked   map[string]bool // their tasks were listed or described in this reading, ECS-CLUSTER/NAME
	listed   map[string]bool // and those whose tasks were listed; ECS-CLUSTER/ where that was of all of it
}

func (o *observed) api(api ecs.API) ecs.API {
	o.API = api
	return o
}

func (o *observed) reader(r control.Reader) control.Reader {
	o.Reader = r
	o.inventory, _ = r.(*ecs.Inventory)
	return o
}

// Services implements ecs.API.
func (o *observed) Services(ctx context.Context, cluster string, names []string) (map[string]ecs.Service, error) {
	found, err := o.API.Services(ctx, cluster, names)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, name := range names {
		if err == nil || errors.Is(err, ecs.ErrNotFound) {
			o.services[cluster+"/"+name] = found[name].Status == "ACTIVE"
		}
	}
	return found, err
}

// ServiceTasks implements ecs.API.
func (o *observed) ServiceTasks(ctx context.Context, cluster, service string) ([]string, error) {
	arns, err := o.API.ServiceTasks(ctx, cluster, service)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.looked[cluster+"/"+service] = o.looked[cluster+"/"+service] || err == nil
	o.listed[cluster+"/"+service] = true
	return arns, err
}

// ClusterTasks implements ecs.API.
func (o *observed) ClusterTasks(ctx context.Context, cluster string, most int) ([]string, bool, error) {
	arns, whole, err := o.API.ClusterTasks(ctx, cluster, most)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.listed[cluster+"/"] = true
	return arns, whole, err
}

// Tasks implements ecs.API.
func (o *observed) Tasks(ctx context.Context, cluster string, arns []string) (map[string]ecs.Task, error) {
	found, err := o.API.Tasks(ctx, cluster, arns)
	o.mu.Lock()
	defer o.mu.Unlock()
	for arn := range found {
		o.tasks[arn[strings.LastIndex(arn, "/")+1:]] = true
	}
	return found, err
}

// Read implements control.Reader.
func (o *observed) Read(ctx context.Context, refs []mesh.ServiceRef) []mesh.Reading {
	begun := time.Now()
	o.services, o.tasks, o.looked, o.listed = map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	readings := o.Reader.Read(ctx, refs)
	o.oracle.mu.Lock()
	defer o.oracle.mu.Unlock()
	if o.run == o.oracle.run && ctx.Err() == nil {
		o.moving = o.inventory.Pace().Every.Moving
		o.read(begun, readings)
	}
	return readings
}

// patience is how long the list may wait that follows a description, until the account's share has paid for those before.
const patience = 20 * time.Second

// followed tells whether a reading looked what a description of a service means, or should have by now.
func (o *observed) followed(p *place, now time.Time) bool {
	cluster, _, _ := strings.Cut(p.of, "/")
	return !o.services[p.of] || o.listed[p.of] || o.listed[cluster+"/"] || now.Sub(p.changed) > patience
}

// read notes what good readings, which began at a time and end now, have shown.
func (o *observed) read(begun time.Time, readings []mesh.Reading) {
	now := time.Now()
	good := map[string]bool{}
	for _, r := range readings {
		if r.Err != nil || r.NotAsked {
			continue
		}
		name := r.Ref.Cluster + "/" + r.Ref.Service
		good[name] = true
		w := o.oracle.services[r.Ref.Name()]
		active, described := o.services[name]
		switch {
		case described && active:
			w.missing = 0
			w.described++
		case described:
			w.described++
			w.allWrong = now // by what this reading shows, so that the second counts
			if w.missing++; w.missing >= 2 {
				w.known = map[spot]bool{}
			}
		}
	}
	for s, p := range o.places {
		o.looked[p.of] = o.looked[p.of] || o.tasks[s.task]
	}
	for s, p := range o.places {
		_, described := o.services[p.of]
		afterChange := !begun.Before(p.changed.Add(o.lateness(p.changed)))
		switch {
		case !good[p.of]:
		case !p.serves && afterChange && (p.taskOver && described && o.followed(p, now) || !p.taskOver && o.tasks[s.task]):
			if len(p.shown) > 0 && (o.looked[p.of] || described && !o.services[p.of]) {
				p.again = append(p.again, now)
			}
			p.shown = append(p.shown, now)
		}
		if good[p.of] && o.tasks[s.task] && !p.running.IsZero() && !begun.Before(p.running.Add(o.lateness(p.running))) {
			p.seen = append(p.seen, now)
		}
	}
}
