package ecs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

const (
	// machineAge is how soon an ECS Anywhere machine without an address is asked for again; an EC2 instance that has none
	// is new and asked for at taskAge. One with an address of EC2's never is.
	machineAge = 30 * time.Second
	// addressAge is how long an address is believed that an attribute of the machine told, which its owner may change.
	addressAge = time.Minute
	// together and servicesTogether are how many share one call, and with it its failure.
	// Source: ECS API reference: DescribeTasks and DescribeContainerInstances up to 100, DescribeServices up to 10.
	together, servicesTogether = 100, 10
	// remembered is how long a task's version is known after it was last described: no answer of before that comes so late.
	remembered = 5 * time.Minute
)

// Inventory reads services whole. It remembers what doesn't change, and reads what may have: schedule.go says when what is
// due, pace.go how often that is. It is not safe for concurrent use.
type Inventory struct {
	api      API
	schedule *Schedule // nil: everything is due

	services  map[serviceKey]*describedService
	watches   map[serviceKey]*watch
	lists     map[serviceKey][]string // the last whole one, by service
	believed  map[serviceKey][]string // that of its last good reading
	wide      map[string]*wideList    // by ECS cluster
	tasks     map[string]*describedTask
	versions  map[string]taskVersion
	unknown   map[string]time.Time // listed tasks that DescribeTasks doesn't know, and when it was asked
	instances map[string]*foundInstance
	built     map[mesh.ServiceRef]builtService
	// keys are the services of the last read, in order, and asOf those of its refs.
	keys, asOf []serviceKey
	// started tells that the start was put off, see waitForStart.
	started bool
	every   Intervals
	follows follows

	mu   sync.Mutex // guards pace
	pace Pace
	// pacedAt is when the intervals were last fitted to the size.
	pacedAt time.Time
}

// serviceKey names an ECS service.
type serviceKey struct{ cluster, name string }

type describedService struct {
	service Service
	found   bool
	// noCluster marks that AWS does not know the ECS cluster.
	noCluster bool
	at        time.Time
}

// active tells whether the service has tasks worth listing. DRAINING is one that is being deleted.
func (d *describedService) active() bool {
	return d != nil && d.found && (d.service.Status == "ACTIVE" || d.service.Status == "DRAINING")
}

type describedTask struct {
	task Task
	// of is the service whose list names it.
	of serviceKey
	at time.Time
}

// taskVersion is the highest version of a task that was seen, and when.
type taskVersion struct {
	version int64
	at      time.Time
}

// builtService is what was built of a ref, when its ECS service had been read and had changed so often.
type builtService struct {
	service        *mesh.Service
	reads, changes int
}

type foundInstance struct {
	instance *Instance
	at       time.Time
}

// NewInventory makes an Inventory that knows nothing yet. Without a schedule each Read reads everything.
func NewInventory(api API, schedule *Schedule) *Inventory {
	inv := &Inventory{
		api: api, schedule: schedule, services: map[serviceKey]*describedService{}, watches: map[serviceKey]*watch{},
		lists: map[serviceKey][]string{}, believed: map[serviceKey][]string{}, wide: map[string]*wideList{}, tasks: map[string]*describedTask{},
		versions: map[string]taskVersion{}, unknown: map[string]time.Time{}, instances: map[string]*foundInstance{},
		built: map[mesh.ServiceRef]builtService{},
	}
	if schedule != nil {
		inv.watch(schedule.Refs)
	}
	return inv
}

// watch begins to watch the services of refs.
func (inv *Inventory) watch(refs []mesh.ServiceRef) {
	for _, ref := range refs {
		if key := keyOf(ref); inv.watches[key] == nil {
			inv.watches[key] = inv.newWatch()
		}
		inv.watches[keyOf(ref)].read = true
	}
}

// Read reads of the services of refs what is due: one reading each, in the same order, whole or an error. One service's error
// holds back no other. One of which nothing was due is marked as not asked for. A service that did not change is the same
// *mesh.Service as before.
func (inv *Inventory) Read(ctx context.Context, refs []mesh.ServiceRef) []mesh.Reading {
	r := &round{
		Inventory: inv, now: time.Now(), keys: inv.keysOf(refs), errs: map[serviceKey]error{}, asked: map[serviceKey]bool{},
		described: map[serviceKey]bool{}, looked: map[serviceKey]bool{},
	}
	inv.repace(r.now)

	r.describeServices(ctx, r.dueServices())
	r.waitForStart(ctx)
	r.listTasks(ctx, r.dueLists())
	r.describeTasks(ctx)
	r.findInstances(ctx)
	r.confirmLost(ctx)
	r.settle()
	readings := r.build(refs)
	if r.following {
		inv.follows = follows{calls: r.spent, at: r.now, factor: inv.schedule.around()}
	}
	if len(r.asked) > 0 {
		r.forget()
	}
	return readings
}

// keysOf are the services of refs in order, each once. Most reads are of the same refs as the one before.
func (inv *Inventory) keysOf(refs []mesh.ServiceRef) []serviceKey {
	if slices.EqualFunc(refs, inv.asOf, func(ref mesh.ServiceRef, key serviceKey) bool { return keyOf(ref) == key }) {
		return inv.keys
	}
	inv.watch(refs)
	inv.asOf = make([]serviceKey, 0, len(refs))
	for _, ref := range refs {
		inv.asOf = append(inv.asOf, keyOf(ref))
	}
	inv.keys = slices.Clone(inv.asOf)
	slices.SortFunc(inv.keys, compareKeys)
	inv.keys = slices.Compact(inv.keys)
	return inv.keys
}

func keyOf(ref mesh.ServiceRef) serviceKey { return serviceKey{ref.Cluster, ref.Service} }

// round is one Read.
type round struct {
	*Inventory
	now   time.Time
	keys  []serviceKey
	mu    sync.Mutex // guards what concurrent calls write
	errs  map[serviceKey]error
	asked map[serviceKey]bool // something of it was read
	// described are the services that were, and looked those whose tasks were listed or described.
	described, looked map[serviceKey]bool
	// spent are the calls for tasks, and following tells that a change was why.
	spent     float64
	following bool
}

// fail notes the first error of a service.
func (r *round) fail(key serviceKey, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[key] = true
	if r.errs[key] == nil {
		r.errs[key] = err
	}
}

// settle counts what was read, and puts off what failed.
func (r *round) settle() {
	factor := r.schedule.around()
	for key := range r.asked {
		w := r.watches[key]
		switch {
		case r.errs[key] != nil:
			w.failed(r.now, factor)
			w.changed = r.now // what changed meanwhile is seen soon
		default:
			w.fails, r.believed[key] = 0, r.lists[key]
			if !r.services[key].active() || r.lists[key] != nil {
				w.reads++
			}
		}
	}
}

// build decides on every ref. A service may have several, which are not always read together.
func (r *round) build(refs []mesh.ServiceRef) []mesh.Reading {
	readings, now := make([]mesh.Reading, 0, len(refs)), time.Now()
	for _, ref := range refs {
		reading := mesh.Reading{Ref: ref, At: now}
		switch key := keyOf(ref); {
		case r.errs[key] != nil:
			reading.Err, reading.Definite = r.errs[key], errors.Is(r.errs[key], ErrDenied)
		case r.watches[key].reads == r.built[ref].reads:
			reading.NotAsked = true
		default:
			reading.Service, reading.Err = r.rebuilt(ref, r.watches[key])
			reading.Repeats = !r.witnessed(key)
		}
		readings = append(readings, reading)
	}
	return readings
}

// witnessed tells whether what could show that a service has nothing that serves was read in this round.
func (r *round) witnessed(key serviceKey) bool {
	if r.looked[key] {
		return true
	}
	return r.described[key] && (!r.services[key].active() || len(r.lists[key]) == 0)
}

// rebuilt is a service built of what is known of it now. What did not change is the same as before.
func (r *round) rebuilt(ref mesh.ServiceRef, w *watch) (*mesh.Service, error) {
	b := r.built[ref]
	b.reads = w.reads
	var err error
	if b.service == nil || b.changes != w.changes {
		var s *mesh.Service
		if s, err = r.service(ref); err == nil {
			if b.service == nil || !b.service.Equal(s) {
				b.service = s
			}
			b.changes = w.changes
		}
	}
	r.built[ref] = b
	if err != nil {
		return nil, err
	}
	return b.service, nil
}

// service decides on a ref whose service was read whole.
func (r *round) service(ref mesh.ServiceRef) (*mesh.Service, error) {
	key := keyOf(ref)
	d := r.services[key]
	switch {
	case d.noCluster:
		return nothing(ref, mesh.Missing, fmt.Sprintf(
			"there is no ECS cluster %s in this account and Region: check %s (and AWS_REGION)",
			ref.Cluster, cmp.Or(ref.ClusterVar, ref.ServiceVar))), nil
	case !d.found:
		return nothing(ref, mesh.Missing, fmt.Sprintf(
			"the ECS cluster %s has no service %s: check %s", ref.Cluster, ref.Service, variables(ref))), nil
	case ref.Account != "" && accountOf(d.service.ARN) != ref.Account:
		return nothing(ref, mesh.Missing, fmt.Sprintf(
			"it is of the account %s, and the credentials are of the account %s, which has a service of that name too: check %s",
			ref.Account, accountOf(d.service.ARN), ref.ServiceVar)), nil
	case !d.active():
		return nothing(ref, mesh.Inactive, fmt.Sprintf(
			"the service %s of the ECS cluster %s is %s: it was deleted; check %s", ref.Service, ref.Cluster, d.service.Status, variables(ref))), nil
	}
	g := gathered{service: d.service, instances: map[string]*Instance{}}
	for _, arn := range r.lists[key] {
		t := r.tasks[arn]
		if t == nil {
			g.undescribed = append(g.undescribed, arn)
			continue
		}
		g.tasks = append(g.tasks, t.task)
		if found := r.instances[t.task.ContainerInstance]; found != nil {
			g.instances[t.task.ContainerInstance] = found.instance
		}
	}
	s := build(ref, g)
	if err := g.passedOver(s); err != nil {
		return nil, err
	}
	return s, nil
}

// nothing is a service without tasks.
func nothing(ref mesh.ServiceRef, state mesh.State, problem string) *mesh.Service {
	return &mesh.Service{Name: ref.Name(), State: state, Problem: problem}
}

// passedOver is an error where a service shows nothing only because AWS passes over what it lists: from that no emptiness may be
// invented. Where something else serves, what is passed over is excluded.
func (g gathered) passedOver(s *mesh.Service) error {
	if len(s.Endpoints) > 0 || g.service.RunningCount == 0 {
		return nil
	}
	fault := func(asked, permission, wrong string) error {
		return &Fault{
			Asked: asked + " of the service " + s.Name, Permission: permission, Wrong: wrong,
			Said: fmt.Sprintf("runningCount is %d", g.service.RunningCount),
		}
	}
	if len(g.undescribed) > 0 {
		return fault("the tasks", "ecs:DescribeTasks", "what is listed is not described")
	}
	for _, t := range g.tasks {
		if lives(t) != "" || isAWSVPC(t) || t.ContainerInstance == "" {
			continue
		}
		switch i := g.instances[t.ContainerInstance]; {
		case i == nil:
			return fault("the container instances", "ecs:DescribeContainerInstances", "those that its tasks run on are not described")
		case strings.HasPrefix(i.ID, "i-") && !i.reachable():
			return fault("the instances", "ec2:DescribeInstances", "those that its tasks run on have no address")
		}
	}
	return nil
}

// variables are the settings that say which service it is.
func variables(ref mesh.ServiceRef) string {
	switch ref.ClusterVar {
	case "":
		return ref.ServiceVar + ", or give it by its ARN if it is in another ECS cluster"
	case ref.ServiceVar:
		return ref.ServiceVar
	}
	return ref.ServiceVar + " and " + ref.ClusterVar
}

// forget drops the tasks that no list names any more, their versions some time later, and the machines that no task needs, so that
// memory doesn't grow with time.
func (r *round) forget() {
	listed, used := map[string]bool{}, map[string]bool{}
	for _, lists := range []map[serviceKey][]string{r.lists, r.believed} {
		for _, arns := range lists {
			for _, arn := range arns {
				listed[arn] = true
			}
		}
	}
	for _, wide := range r.wide { // of services that are to be read next
		if r.now.Sub(wide.at) >= shared {
			wide.last = nil
		}
		for _, arn := range wide.last {
			listed[arn] = true
		}
	}
	maps.DeleteFunc(r.tasks, func(arn string, _ *describedTask) bool { return !listed[arn] })
	maps.DeleteFunc(r.versions, func(_ string, v taskVersion) bool { return r.now.Sub(v.at) >= remembered })
	maps.DeleteFunc(r.unknown, func(arn string, _ time.Time) bool { return !listed[arn] })
	for _, t := range r.tasks {
		used[t.task.ContainerInstance] = true
	}
	maps.DeleteFunc(r.instances, func(arn string, _ *foundInstance) bool { return !used[arn] })
}

func (inv *Inventory) newWatch() *watch {
	w := &watch{factor: 1}
	if inv.schedule != nil {
		w.factor = inv.schedule.around()
	}
	return w
}
