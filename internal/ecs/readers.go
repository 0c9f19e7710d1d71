package ecs

import (
	"context"
	"slices"
	"time"
)

// withOwn are the services to describe: those that are read, and the own one, whose count of tasks is that of the sidecars
// which read as this one does.
func (r *round) withOwn() []serviceKey {
	key, known := r.schedule.own()
	if !known || slices.Contains(r.keys, key) {
		return r.keys
	}
	if r.watches[key] == nil {
		r.watches[key] = r.newWatch()
	}
	return append(slices.Clone(r.keys), key)
}

func (s *Schedule) own() (serviceKey, bool) {
	if s == nil || s.OwnCluster == "" || s.OwnService == "" {
		return serviceKey{}, false
	}
	return serviceKey{s.OwnCluster, s.OwnService}, true
}

// Size is what reading costs as things are, and how many read by the same schedule: the tasks of the own service, and every task
// seen that has a container of nightjar's name.
func (inv *Inventory) Size(s *Schedule) Size {
	size := Size{Services: map[string]int{}, Tasks: map[string]int{}, Strangers: map[string]int{}, Readers: 1}
	own, known := s.own()
	for key, d := range inv.services {
		if !inv.watches[key].read {
			size.Strangers[key.cluster] = d.service.RunningCount
			continue
		}
		size.Services[key.cluster]++
		size.Tasks[key.cluster] += max(len(inv.lists[key]), d.service.RunningCount)
	}
	for cluster, wide := range inv.wide {
		size.Strangers[cluster] = max(size.Strangers[cluster], len(wide.strangers))
	}
	readers := 0
	for _, t := range inv.tasks {
		if t.of != own && s.isReader(t.task) {
			readers++
		}
	}
	if d := inv.services[own]; known && d != nil {
		readers += d.service.RunningCount
	}
	size.Readers = max(1, readers)
	return size
}

// isReader tells whether a task has a nightjar of its own.
func (s *Schedule) isReader(t Task) bool {
	return s != nil && s.Sidecar != "" && slices.ContainsFunc(t.Containers, func(c Container) bool { return c.Name == s.Sidecar })
}

// repaceEvery is how often the intervals are fitted to what there is to read.
const repaceEvery = time.Second

// repace fits the intervals to what there is to read now. Without a schedule only the ages count that bound what may be shared.
func (inv *Inventory) repace(now time.Time) {
	if inv.schedule == nil {
		inv.every = Intervals{Lists: listAge, Tasks: taskAge}
		return
	}
	if now.Sub(inv.pacedAt) < repaceEvery {
		return
	}
	inv.pacedAt = now
	size := inv.Size(inv.schedule)
	inv.every = IntervalsFor(size, inv.schedule.Rate)
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.pace = NewPace(size, inv.schedule.Rate, inv.schedule.Wait)
}

// Pace is what reading costs now, and how fresh it is for that. It is safe for concurrent use.
func (inv *Inventory) Pace() Pace {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.pace
}

// waitForStart puts off what a start costs, once: not at all where few read, else by chance, so that many that start together
// spread out. Before any task was seen each of those that run may have a sidecar that starts now too.
func (r *round) waitForStart(ctx context.Context) {
	if r.schedule == nil || r.started || len(r.services) == 0 {
		return
	}
	r.started = true
	size := r.Size(r.schedule)
	for _, tasks := range size.Tasks {
		size.Readers += tasks
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(r.schedule.random() * float64(Spread(size)))):
	}
	r.now = time.Now()
}
