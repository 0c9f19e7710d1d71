package ecs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

const (
	// serviceAge is how old a description of a quiet service may get: its target groups and status seldom change.
	serviceAge = 30 * time.Second
	// taskAge is how old the description of a quiet task may get. No list shows that a container's health or, after its
	// restart, its host port changed; the contract follows both within 6 s.
	taskAge = 5 * time.Second
	// machineAge is how soon an ECS Anywhere machine without an address is asked for again; an EC2 instance that has none
	// is new and asked for at taskAge. One with an address never is.
	machineAge = 30 * time.Second
	// together and servicesTogether are how many share one call, and with it its failure.
	// Source: ECS API reference: DescribeTasks and DescribeContainerInstances up to 100, DescribeServices up to 10.
	together, servicesTogether = 100, 10
)

// Inventory reads services whole. It remembers what doesn't change, so that a quiet round costs one ListTasks a service.
// It is not safe for concurrent use.
type Inventory struct {
	api       API
	services  map[serviceKey]*describedService
	tasks     map[string]*describedTask
	instances map[string]*foundInstance
	built     map[string]*mesh.Service
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

type foundInstance struct {
	instance *Instance
	at       time.Time
}

// NewInventory makes an Inventory that knows nothing yet.
func NewInventory(api API) *Inventory {
	return &Inventory{
		api: api, services: map[serviceKey]*describedService{}, tasks: map[string]*describedTask{},
		instances: map[string]*foundInstance{}, built: map[string]*mesh.Service{},
	}
}

// Read reads the services of refs: one reading each, in the same order, whole or an error. One service's error holds
// back no other. A service that did not change is the same *mesh.Service as before.
func (inv *Inventory) Read(ctx context.Context, refs []mesh.ServiceRef) []mesh.Reading {
	r := &round{Inventory: inv, lists: map[serviceKey][]string{}, errs: map[serviceKey]error{}, fresh: map[serviceKey]bool{}}
	for _, ref := range refs {
		r.keys = append(r.keys, keyOf(ref))
	}
	slices.SortFunc(r.keys, compareKeys)
	r.keys = slices.Compact(r.keys)

	r.describeServices(ctx, r.dueServices())
	r.listTasks(ctx)
	r.confirmLists(ctx)
	r.describeTasks(ctx)
	r.findInstances(ctx)
	readings := r.build(refs)
	r.forget()
	return readings
}

func keyOf(ref mesh.ServiceRef) serviceKey { return serviceKey{ref.Cluster, ref.Service} }

// round is one Read.
type round struct {
	*Inventory
	mu    sync.Mutex // guards what concurrent calls write
	keys  []serviceKey
	lists map[serviceKey][]string
	errs  map[serviceKey]error
	fresh map[serviceKey]bool // described in this round
}

// fail notes the first error of a service.
func (r *round) fail(key serviceKey, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.errs[key] == nil {
		r.errs[key] = err
	}
}

// dueServices are those to describe: new ones, old descriptions, and those for which no list tells what changes: what is
// not active, and task sets.
func (r *round) dueServices() []serviceKey {
	var due []serviceKey
	for _, key := range r.keys {
		d := r.services[key]
		if !d.active() || time.Since(d.at) >= serviceAge || d.service.hasTaskSets() {
			due = append(due, key)
		}
	}
	return due
}

// describeServices describes services, some of one ECS cluster together.
func (r *round) describeServices(ctx context.Context, due []serviceKey) {
	names := map[string][]string{}
	for _, key := range due {
		names[key.cluster] = append(names[key.cluster], key.name)
	}
	concurrently(batches(names, servicesTogether), func(b batch) {
		found, err := r.api.Services(ctx, b.cluster, b.names)
		noCluster := errors.Is(err, ErrNotFound)
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, name := range b.names {
			key := serviceKey{b.cluster, name}
			if err != nil && !noCluster {
				if r.errs[key] == nil {
					r.errs[key] = err
				}
				continue
			}
			s, ok := found[name]
			r.services[key] = &describedService{service: s, found: ok, noCluster: noCluster, at: time.Now()}
			r.fresh[key] = true
		}
	})
}

// listTasks lists the tasks of the active services.
func (r *round) listTasks(ctx context.Context) {
	concurrently(r.keys, func(key serviceKey) {
		r.mu.Lock()
		skip := r.errs[key] != nil || !r.services[key].active()
		r.mu.Unlock()
		if skip {
			return
		}
		arns, err := r.api.ServiceTasks(ctx, key.cluster, key.name)
		if err != nil && !errors.Is(err, ErrNotFound) {
			r.fail(key, err)
			return
		}
		r.mu.Lock()
		r.lists[key] = arns
		r.mu.Unlock()
	})
}

// confirmLists describes services whose list is empty: it is believed only where the service has no running task either,
// or is gone.
func (r *round) confirmLists(ctx context.Context) {
	var doubtful, again []serviceKey
	for key, arns := range r.lists {
		if len(arns) > 0 {
			continue
		}
		doubtful = append(doubtful, key)
		if !r.fresh[key] {
			again = append(again, key)
		}
	}
	slices.SortFunc(again, compareKeys)
	r.describeServices(ctx, again)
	for _, key := range doubtful {
		if d := r.services[key]; r.errs[key] == nil && d.active() && d.service.RunningCount > 0 {
			r.fail(key, fmt.Errorf("reading the service %s/%s: ListTasks shows none of its %d running tasks (ECS is eventually consistent)",
				key.cluster, key.name, d.service.RunningCount))
		}
	}
}

// describeTasks describes the tasks that are new, in motion or not looked at for taskAge.
func (r *round) describeTasks(ctx context.Context) {
	asked, owner := r.tasksToDescribe()
	failed := map[string]error{}
	concurrently(batches(asked, together), func(b batch) {
		found, err := r.api.Tasks(ctx, b.cluster, b.names)
		now := time.Now()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, arn := range b.names {
			t, described := found[arn]
			switch known := r.tasks[arn]; {
			case err != nil && known.due():
				failed[arn] = err
			case err != nil: // it was asked for before its time: what is known of it still holds
			case described:
				r.tasks[arn] = &describedTask{task: t, of: owner[arn], at: now}
			case known != nil:
				known.at = time.Time{} // listed and not described: what was stays, and it is asked again
			}
		}
	})
	for key, arns := range r.lists {
		for _, arn := range arns {
			if err := failed[arn]; err != nil {
				r.fail(key, err)
			}
		}
	}
}

// tasksToDescribe are the ARNs of the tasks to describe by ECS cluster, and whose each is. A call that isn't full takes
// along tasks that are due soon: they cost nothing there, and from then on are due together.
func (r *round) tasksToDescribe() (asked map[string][]string, owner map[string]serviceKey) {
	asked, owner = map[string][]string{}, map[string]serviceKey{}
	soon := map[string][]string{}
	for _, key := range r.keys {
		for _, arn := range r.lists[key] {
			owner[arn] = key
			switch t := r.tasks[arn]; {
			case t.due():
				asked[key.cluster] = append(asked[key.cluster], arn)
			case time.Since(t.at) >= taskAge/2:
				soon[key.cluster] = append(soon[key.cluster], arn)
			}
		}
	}
	for cluster, due := range asked {
		room := (together - len(due)%together) % together
		next := soon[cluster]
		slices.SortStableFunc(next, func(a, b string) int { return r.tasks[a].at.Compare(r.tasks[b].at) })
		asked[cluster] = append(due, next[:min(room, len(next))]...)
	}
	return asked, owner
}

// due tells whether a task is to be described: a new one, one in motion, or one not looked at for a while.
func (d *describedTask) due() bool {
	return d == nil || time.Since(d.at) >= taskAge || lives(d.task) != "" ||
		slices.ContainsFunc(d.task.Containers, func(c Container) bool { return c.LastStatus == "PENDING" })
}

// build decides on every ref.
func (r *round) build(refs []mesh.ServiceRef) []mesh.Reading {
	readings := make([]mesh.Reading, 0, len(refs))
	now := time.Now()
	for _, ref := range refs {
		reading := mesh.Reading{Ref: ref, At: now}
		if err := r.errs[keyOf(ref)]; err != nil {
			reading.Err, reading.Definite = err, errors.Is(err, ErrDenied)
		} else {
			reading.Service = r.unchanged(r.service(ref))
		}
		readings = append(readings, reading)
	}
	return readings
}

// service decides on a ref whose service was read whole.
func (r *round) service(ref mesh.ServiceRef) *mesh.Service {
	key := keyOf(ref)
	d := r.services[key]
	switch {
	case d.noCluster:
		return &mesh.Service{Name: ref.Name(), State: mesh.Missing, Problem: fmt.Sprintf(
			"there is no ECS cluster %s in this account and Region: check %s (and AWS_REGION)", ref.Cluster, cmp.Or(ref.ClusterVar, ref.ServiceVar))}
	case !d.found:
		return &mesh.Service{Name: ref.Name(), State: mesh.Missing, Problem: fmt.Sprintf(
			"the ECS cluster %s has no service %s: check %s", ref.Cluster, ref.Service, variables(ref))}
	case !d.active():
		return &mesh.Service{Name: ref.Name(), State: mesh.Inactive, Problem: fmt.Sprintf(
			"the service %s of the ECS cluster %s is %s: it was deleted; check %s", ref.Service, ref.Cluster, d.service.Status, variables(ref))}
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
	return build(ref, g)
}

// variables are the settings that say which service it is.
func variables(ref mesh.ServiceRef) string {
	if ref.ClusterVar == "" || ref.ClusterVar == ref.ServiceVar {
		return ref.ServiceVar
	}
	return ref.ServiceVar + " and " + ref.ClusterVar
}

// unchanged returns the service as it was built before, where nothing changed.
func (r *round) unchanged(s *mesh.Service) *mesh.Service {
	if before := r.built[s.Name]; before != nil && before.Equal(s) {
		return before
	}
	r.built[s.Name] = s
	return s
}

// forget drops the tasks that the services read now no longer list, and the machines that no task needs, so that memory
// doesn't grow with time. A service that could not be read, or was not asked for, keeps what it had.
func (r *round) forget() {
	listed, used := map[string]bool{}, map[string]bool{}
	read := map[serviceKey]bool{}
	for _, key := range r.keys {
		read[key] = r.errs[key] == nil
		for _, arn := range r.lists[key] {
			listed[arn] = true
		}
	}
	maps.DeleteFunc(r.tasks, func(arn string, t *describedTask) bool { return read[t.of] && !listed[arn] })
	for _, t := range r.tasks {
		used[t.task.ContainerInstance] = true
	}
	maps.DeleteFunc(r.instances, func(arn string, _ *foundInstance) bool { return !used[arn] })
}
