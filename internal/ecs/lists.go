package ecs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

const (
	// wideRetry is how long an ECS cluster with too many tasks of others is not listed as a whole again.
	wideRetry = 10 * time.Minute
	// widest is how many pages a list of an ECS cluster may have: they come one after another.
	widest = 20
	// shared is how long a list may serve others too that were never listed yet, as at a start, where services are read in
	// groups. They are in motion then, and soon listed again.
	shared = 15 * time.Second
)

// wideList is what listing an ECS cluster as a whole has shown.
type wideList struct {
	// strangers are the tasks that are none of the services read.
	strangers map[string]bool
	// notBefore is when it is tried again; zero where it pays.
	notBefore time.Time
	// pages are those of the last list.
	pages int
	// last is the last whole list, taken at the time of.
	last []string
	at   time.Time
}

// dueLists are the active services whose tasks are to be listed. With a quiet one, or where that costs nothing, others of the
// same ECS cluster that are due soon are taken along: one list may serve them all, and from then on they are due together.
func (r *round) dueLists() []serviceKey {
	var due, soon []serviceKey
	clusters := map[string]bool{}
	afforded := r.follows.affords(r.now, r.every)
	for _, key := range r.keys {
		d, w := r.services[key], r.watches[key]
		switch {
		case r.errs[key] != nil || !d.active():
		case r.schedule == nil:
			due = append(due, key)
		case w.listDue(r.now, d, r.every, afforded):
			due = append(due, key)
			wide := r.wide[key.cluster]
			clusters[key.cluster] = clusters[key.cluster] || wide != nil && wide.pages == 1 || r.now.Sub(w.listed) >= w.stretched(r.every.Lists)
			r.following = r.following || w.moving(r.now) || d.service.Version != w.version
		case r.now.Sub(w.listed) >= r.every.Lists/2 && !r.now.Before(w.notBefore) && r.wide[key.cluster].pays(r.now):
			soon = append(soon, key)
		}
	}
	for _, key := range soon {
		if clusters[key.cluster] {
			due = append(due, key)
		}
	}
	return due
}

// pays tells whether the ECS cluster may be listed as a whole.
func (l *wideList) pays(now time.Time) bool { return l == nil || !now.Before(l.notBefore) }

// listTasks lists the tasks of services: those of an ECS cluster together where that takes fewer calls.
func (r *round) listTasks(ctx context.Context, due []serviceKey) {
	byCluster := map[string][]serviceKey{}
	for _, key := range due {
		byCluster[key.cluster] = append(byCluster[key.cluster], key)
	}
	var alone []serviceKey
	for cluster, keys := range byCluster {
		if !r.listWide(ctx, cluster, keys) {
			alone = append(alone, keys...)
		}
	}
	r.spent += float64(len(alone))
	concurrently(alone, func(key serviceKey) {
		arns, err := r.api.ServiceTasks(ctx, key.cluster, key.name)
		if err != nil && !errors.Is(err, ErrNotFound) {
			r.fail(key, err)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.list(key, arns)
	})
	r.confirmEmpty(ctx, due)
}

// list takes a list for whole.
func (r *round) list(key serviceKey, arns []string) {
	w := r.watches[key]
	if !slices.Equal(r.lists[key], arns) {
		w.changed = r.now
		w.changes++
		r.comeBack(key, arns)
	}
	if arns == nil {
		arns = []string{} // nil is none yet
	}
	r.asked[key], r.looked[key] = true, true
	r.lists[key], w.listed, w.version = arns, r.now, r.services[key].service.Version
}

// comeBack forgets what was known of tasks that are named again after a list without them: one of the lists is of long ago, and
// only a description of now shows which.
func (r *round) comeBack(key serviceKey, arns []string) {
	if r.lists[key] == nil {
		return // the first list
	}
	for _, arn := range without(arns, r.lists[key]) {
		if t := r.tasks[arn]; t != nil && t.at.Before(r.now) {
			delete(r.tasks, arn)
		}
	}
}

// without are those of arns that are not among others.
func without(arns, others []string) []string {
	among := make(map[string]bool, len(others))
	for _, arn := range others {
		among[arn] = true
	}
	return slices.DeleteFunc(slices.Clone(arns), func(arn string) bool { return among[arn] })
}

// listWide lists an ECS cluster as a whole, for several services of it, and tells whether it did. Whose a task is, its
// description tells, so those of others are described once.
func (r *round) listWide(ctx context.Context, cluster string, keys []serviceKey) bool {
	wide := r.wide[cluster]
	if wide == nil {
		wide = &wideList{strangers: map[string]bool{}}
		r.wide[cluster] = wide
	}
	if r.now.Sub(wide.at) < shared && !slices.ContainsFunc(keys, func(key serviceKey) bool { return !r.watches[key].listed.IsZero() }) {
		r.share(wide.last, keys)
		return true
	}
	most := min(widest, len(keys)-1)
	if r.schedule == nil || !wide.pays(r.now) || max(wide.pages, r.pagesOf(keys)) > most {
		return false
	}
	arns, whole, err := r.api.ClusterTasks(ctx, cluster, most)
	r.spent += max(1, pages(len(arns), listed))
	if err == nil && !whole {
		wide.notBefore = r.now.Add(wideRetry)
		return false
	}
	if err == nil {
		err = r.describeUnknown(ctx, wide, cluster, arns)
	}
	if err != nil {
		for _, key := range keys {
			r.fail(key, err)
		}
		return true
	}
	wide.last, wide.at, wide.pages = arns, r.now, int(pages(len(arns), listed))
	r.share(arns, keys)
	return true
}

// share gives each service its own tasks of a list of their ECS cluster.
func (r *round) share(arns []string, keys []serviceKey) {
	own := make(map[serviceKey][]string, len(keys))
	for _, arn := range arns {
		if t := r.tasks[arn]; t != nil {
			own[t.of] = append(own[t.of], arn)
		}
	}
	for _, key := range keys {
		r.list(key, own[key])
	}
}

// pagesOf is on how many pages at least the tasks of services are.
func (r *round) pagesOf(keys []serviceKey) int {
	tasks := 0
	for _, key := range keys {
		tasks += r.services[key].service.RunningCount
	}
	return max(1, int(pages(tasks, listed)))
}

// describeUnknown describes the tasks of a list that are not known yet. Those that DescribeTasks doesn't know either are asked
// for again with the next list: whose they are nobody can tell.
func (r *round) describeUnknown(ctx context.Context, wide *wideList, cluster string, arns []string) error {
	strangers := map[string]bool{}
	var unknown []string
	for _, arn := range arns {
		switch {
		case wide.strangers[arn]:
			strangers[arn] = true
		case r.tasks[arn] == nil:
			unknown = append(unknown, arn)
		}
	}
	wide.strangers = strangers
	var failed error
	asked := batches(map[string][]string{cluster: unknown}, together)
	r.spent += float64(len(asked))
	concurrently(asked, func(b batch) {
		found, err := r.api.Tasks(ctx, cluster, b.names)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			failed = err
			return
		}
		for _, arn := range b.names {
			t, described := r.newest(found, arn)
			key, read := r.ownerOf(cluster, t)
			switch {
			case described && read:
				r.tasks[arn] = &describedTask{task: t, of: key, at: time.Now()}
				r.watches[key].changes++
			case described:
				strangers[arn] = true
			default:
				r.unsettled(cluster)
			}
		}
	})
	return failed
}

// ownerOf is the service that a task is of, and whether that is read here.
func (r *round) ownerOf(cluster string, t Task) (serviceKey, bool) {
	const group = "service:"
	if len(t.Group) <= len(group) || t.Group[:len(group)] != group {
		return serviceKey{}, false
	}
	key := serviceKey{cluster, t.Group[len(group):]}
	w := r.watches[key]
	return key, w != nil && w.read
}

// unsettled has the services of an ECS cluster listed again soon.
func (r *round) unsettled(cluster string) {
	for key, w := range r.watches {
		if key.cluster == cluster {
			w.changed = r.now
		}
	}
}

// confirmEmpty doubts the empty ones of lists that were just taken.
func (r *round) confirmEmpty(ctx context.Context, listed []serviceKey) {
	r.confirm(ctx, slices.DeleteFunc(slices.Clone(listed), func(key serviceKey) bool {
		return r.errs[key] != nil || len(r.lists[key]) > 0
	}))
}

// confirmLost doubts what shows nothing that serves where something did, and tasks that ran are listed no more; or where all that
// are listed have stopped. The list may be of long ago, also where it names a task that runs and doesn't serve.
func (r *round) confirmLost(ctx context.Context) {
	if len(r.asked) == 0 {
		return // as mostly
	}
	doubtful := map[serviceKey]bool{}
	for key := range r.looked {
		if len(r.lists[key]) > 0 && r.errs[key] == nil && r.allStopped(r.lists[key]) {
			doubtful[key] = true
		}
	}
	for ref, b := range r.built {
		if key := keyOf(ref); r.asked[key] && r.errs[key] == nil && r.lost(ref, b) {
			doubtful[key] = true
		}
	}
	r.confirm(ctx, slices.Collect(maps.Keys(doubtful)))
}

// lost tells whether a service that had endpoints has none by what is known now, and tasks that ran are listed no more.
func (r *round) lost(ref mesh.ServiceRef, b builtService) bool {
	key := keyOf(ref)
	if b.service == nil || len(b.service.Endpoints) == 0 || slices.Equal(r.believed[key], r.lists[key]) ||
		r.running(without(r.believed[key], r.lists[key])) == 0 {
		return false
	}
	s, err := r.service(ref)
	return err != nil || len(s.Endpoints) == 0
}

// running counts those of these tasks that were RUNNING when they were last described.
func (r *round) running(arns []string) int {
	n := 0
	for _, arn := range arns {
		if t := r.tasks[arn]; t != nil && lives(t.task) == "" {
			n++
		}
	}
	return n
}

// allStopped tells whether all of these tasks are known to have stopped: such a list is of long ago, whatever was listed before.
func (r *round) allStopped(arns []string) bool {
	return !slices.ContainsFunc(arns, func(arn string) bool { return r.tasks[arn] == nil || r.tasks[arn].task.LastStatus != "STOPPED" })
}

// confirm describes services whose list shows nothing that serves: it is believed only where the service has no more running tasks
// than are listed, or is gone. Else all is as before, and it is listed before anything else is believed.
func (r *round) confirm(ctx context.Context, doubtful []serviceKey) {
	slices.SortFunc(doubtful, compareKeys)
	r.describeServices(ctx, slices.DeleteFunc(slices.Clone(doubtful), func(key serviceKey) bool {
		return !r.services[key].at.Before(r.now)
	}))
	for _, key := range doubtful {
		d, listed := r.services[key], r.running(r.lists[key])
		if r.errs[key] != nil || !d.active() || d.service.RunningCount <= listed {
			continue
		}
		r.lists[key] = r.believed[key]
		r.watches[key].version = "doubted" // so that it is listed before it is believed
		r.fail(key, &Fault{
			Asked: fmt.Sprintf("the tasks of the service %s/%s", key.cluster, key.name), Permission: "ecs:ListTasks",
			Wrong: "the list shows fewer running tasks than the service has, and none that serves",
			Said:  fmt.Sprintf("runningCount is %d, and %d are listed", d.service.RunningCount, listed),
		})
	}
}
