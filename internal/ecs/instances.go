package ecs

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// findInstances finds the machines of the tasks that have no network interface of their own. Their address is kept for
// the life of the container instance's ARN. Where all tasks have one, as on Fargate, nothing is asked.
func (r *round) findInstances(ctx context.Context) {
	wanted := map[string][]string{} // ECS cluster → ARNs
	needs := map[string][]serviceKey{}
	for _, key := range r.keys {
		for _, arn := range r.lists[key] {
			t := r.tasks[arn]
			if t == nil || t.task.ContainerInstance == "" || isAWSVPC(t.task) || lives(t.task) != "" {
				continue
			}
			instance := t.task.ContainerInstance
			if found := r.instances[instance]; found != nil && (found.instance.reachable() || time.Since(found.at) < instanceAge) {
				continue
			}
			if len(needs[instance]) == 0 {
				wanted[key.cluster] = append(wanted[key.cluster], instance)
			}
			needs[instance] = append(needs[instance], key)
		}
	}
	concurrently(slices.Sorted(maps.Keys(wanted)), func(cluster string) {
		found, err := r.instancesOf(ctx, cluster, wanted[cluster])
		for _, arn := range wanted[cluster] {
			if err != nil {
				for _, key := range needs[arn] {
					r.fail(key, err)
				}
				continue
			}
			r.mu.Lock()
			r.instances[arn] = &foundInstance{instance: found[arn], at: time.Now()}
			r.mu.Unlock()
		}
	})
}

// reachable tells whether the instance has an address.
func (i *Instance) reachable() bool {
	_, err := instanceAddr(i)
	return err == nil
}

// instancesOf looks container instances up by ARN, and the EC2 instances behind them. Machines outside of AWS ("mi-…")
// are unknown to EC2 and never asked for there.
func (r *round) instancesOf(ctx context.Context, cluster string, arns []string) (map[string]*Instance, error) {
	described, err := r.api.ContainerInstances(ctx, cluster, arns)
	if err != nil {
		return nil, err
	}
	found := make(map[string]*Instance, len(described))
	var ids []string
	for arn, d := range described {
		found[arn] = &Instance{ID: d.InstanceID, Address: d.Attributes[addressAttribute]}
		if found[arn].Address == "" && strings.HasPrefix(d.InstanceID, "i-") {
			ids = append(ids, d.InstanceID)
		}
	}
	if len(ids) == 0 {
		return found, nil
	}
	slices.Sort(ids)
	addrs, err := r.api.InstanceAddrs(ctx, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	for _, i := range found {
		i.Private = addrs[i.ID]
	}
	return found, nil
}

// concurrently calls do for each of many, up to 16 at a time, and waits for all.
func concurrently[T any](many []T, do func(T)) {
	const atATime = 16
	var group errgroup.Group
	group.SetLimit(atATime)
	for _, one := range many {
		group.Go(func() error {
			do(one)
			return nil
		})
	}
	_ = group.Wait() // do notes its own errors
}

func compareKeys(a, b serviceKey) int {
	return cmp.Or(cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.name, b.name))
}
