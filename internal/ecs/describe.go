package ecs

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"
)

// dueServices are those to describe. A call that isn't full takes along others of its ECS cluster, the oldest descriptions
// first: they cost nothing there.
func (r *round) dueServices() []serviceKey {
	keys, due, rest := r.withOwn(), map[string][]serviceKey{}, map[string][]serviceKey{}
	isDue := func(key serviceKey) bool {
		return r.schedule == nil || r.watches[key].describeDue(r.now, r.services[key], r.every)
	}
	if !slices.ContainsFunc(keys, isDue) {
		return nil // as mostly
	}
	for _, key := range keys {
		if isDue(key) {
			due[key.cluster] = append(due[key.cluster], key)
		} else if w := r.watches[key]; w.read && !r.now.Before(w.notBefore) {
			rest[key.cluster] = append(rest[key.cluster], key)
		}
	}
	var all []serviceKey
	for cluster, keys := range due {
		room := (servicesTogether - len(keys)%servicesTogether) % servicesTogether
		next := rest[cluster]
		slices.SortStableFunc(next, func(a, b serviceKey) int { return r.services[a].at.Compare(r.services[b].at) })
		all = append(all, append(keys, next[:min(room, len(next))]...)...)
	}
	slices.SortFunc(all, compareKeys)
	return all
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
			r.asked[key] = true
			if err != nil && !noCluster {
				if r.errs[key] == nil {
					r.errs[key] = err
				}
				continue
			}
			s, ok := found[name]
			r.described[key] = true
			r.take(key, &describedService{service: s, found: ok, noCluster: noCluster, at: time.Now()})
		}
	})
}

// take takes a description, and notes whether it differs from the one before.
func (r *round) take(key serviceKey, now *describedService) {
	w, before := r.watches[key], r.services[key]
	r.services[key] = now
	if before == nil || before.found != now.found || before.service.Version != now.service.Version {
		w.changed = r.now
	}
	if before == nil || before.found != now.found || before.noCluster != now.noCluster || !reflect.DeepEqual(before.service, now.service) {
		w.changes++
	}
}

// describeTasks describes the tasks that are new, in motion or not looked at for a while.
func (r *round) describeTasks(ctx context.Context) {
	asked, owner := r.tasksToDescribe()
	failed := map[string]error{}
	concurrently(batches(asked, together), func(b batch) {
		found, err := r.api.Tasks(ctx, b.cluster, b.names)
		now := time.Now()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, arn := range b.names {
			r.asked[owner[arn]] = true
			r.watches[owner[arn]].changes++
			t, described := r.newest(found, arn)
			switch known := r.tasks[arn]; {
			case err != nil && (r.taskDue(known) || known.inMotion()):
				failed[arn] = err
			case err != nil: // it was asked for before its time: what is known of it still holds
			case described:
				r.tasks[arn] = &describedTask{task: t, of: owner[arn], at: now}
				r.looked[owner[arn]] = true
				delete(r.unknown, arn)
			case known != nil: // listed and not described: what was stays, and it is asked for again soon
				known.at = now.Add(r.every.Moving - r.every.Tasks)
			default:
				r.unknown[arn] = now
			}
		}
	})
	for arn, err := range failed {
		r.fail(owner[arn], err)
	}
}

// newest is a task of an answer. AWS's answers may be late: one of before what was seen already is none, so that what has stopped
// doesn't come back.
func (r *round) newest(found map[string]Task, arn string) (Task, bool) {
	t, described := found[arn]
	if !described || t.Version < r.versions[arn].version {
		return Task{}, false
	}
	r.versions[arn] = taskVersion{t.Version, r.now}
	return t, true
}

// tasksToDescribe are the ARNs of the tasks to describe by ECS cluster, and whose each is. A call that isn't full takes
// along tasks that are due soon: they cost nothing there, and from then on are due together.
func (r *round) tasksToDescribe() (asked map[string][]string, owner map[string]serviceKey) {
	asked, owner = map[string][]string{}, map[string]serviceKey{}
	soon, moving := map[string][]string{}, map[string]int{}
	for _, key := range r.keys {
		if r.errs[key] != nil || r.schedule != nil && r.now.Before(r.watches[key].notBefore) {
			continue
		}
		if !r.services[key].active() {
			continue // what shows it gone is to be shown again: a look at its tasks would only repeat it
		}
		fresh := r.watches[key].listed.Equal(r.now) || r.watches[key].fails > 0
		if !fresh && r.schedule != nil && r.now.Before(r.watches[key].tasksDue) {
			continue // of a thousand tasks none needs a look
		}
		r.watches[key].tasksDue = r.now.Add(r.every.Moving / 2)
		for _, arn := range r.lists[key] {
			owner[arn] = key
			switch t := r.tasks[arn]; {
			case t == nil && time.Since(r.unknown[arn]) < r.every.Moving:
			case t == nil, fresh && t.inMotion() && !t.at.After(r.now): // it was not described just now, with the list
				moving[key.cluster]++
				asked[key.cluster] = append(asked[key.cluster], arn)
			case r.taskDue(t):
				asked[key.cluster] = append(asked[key.cluster], arn)
			case time.Since(t.at) >= r.every.Tasks/2:
				soon[key.cluster] = append(soon[key.cluster], arn)
			}
		}
	}
	for cluster, due := range asked {
		r.spent += pages(moving[cluster], together)
		room := (together - len(due)%together) % together
		next := soon[cluster]
		slices.SortStableFunc(next, func(a, b string) int { return r.tasks[a].at.Compare(r.tasks[b].at) })
		asked[cluster] = append(due, next[:min(room, len(next))]...)
	}
	return asked, owner
}

// taskDue tells whether a task is to be described whatever its service does: a new one, or one not looked at for a while.
func (r *round) taskDue(d *describedTask) bool { return d == nil || time.Since(d.at) >= r.every.Tasks }

// inMotion tells whether a task is not yet, or no longer, what it is to be.
func (d *describedTask) inMotion() bool {
	return d != nil && (lives(d.task) != "" ||
		slices.ContainsFunc(d.task.Containers, func(c Container) bool { return c.LastStatus == "PENDING" }))
}
