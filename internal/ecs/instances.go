package ecs

import (
	"context"
	"slices"
	"strings"
	"time"
)

// findInstances finds the machines of the tasks that have no network interface of their own. An address that EC2 told is kept
// for the life of the container instance's ARN, one that an attribute told for addressAge. Where all tasks have one, as on
// Fargate, nothing is asked.
func (r *round) findInstances(ctx context.Context) {
	wanted := map[string][]string{} // ECS cluster → ARNs
	needs := map[string][]serviceKey{}
	for _, key := range r.keys {
		if !r.asked[key] || r.errs[key] != nil {
			continue
		}
		for _, arn := range r.lists[key] {
			t := r.tasks[arn]
			if t == nil || t.task.ContainerInstance == "" || isAWSVPC(t.task) || lives(t.task) != "" {
				continue
			}
			instance := t.task.ContainerInstance
			if !r.instances[instance].due() {
				continue
			}
			if len(needs[instance]) == 0 {
				wanted[key.cluster] = append(wanted[key.cluster], instance)
			}
			needs[instance] = append(needs[instance], key)
		}
	}
	concurrently(batches(wanted, together), func(b batch) {
		found, err := r.instancesOf(ctx, b.cluster, b.names)
		for _, arn := range b.names {
			switch before := r.found(arn); {
			case err == nil:
				r.remember(b.cluster, arn, before.again(found[arn]))
			case before != nil && before.instance.reachable(): // it serves as it did, and is asked for at its next turn
				r.remember(b.cluster, arn, before.again(before.instance))
			default:
				for _, key := range needs[arn] {
					r.fail(key, err)
				}
			}
		}
	})
}

// found is what is known of a machine.
func (r *round) found(arn string) *foundInstance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.instances[arn]
}

// remember keeps what is known of a machine from now on. Any service of the ECS cluster may have tasks there.
func (r *round) remember(cluster, arn string, now *foundInstance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.instances[arn]
	r.instances[arn] = now
	if before != nil && same(before.instance, now.instance) {
		return
	}
	for key, w := range r.watches {
		if key.cluster == cluster {
			w.changes++
		}
	}
}

func same(a, b *Instance) bool { return a == b || a != nil && b != nil && *a == *b }

// again is the machine after it was asked for once more. An address that is missing now takes none away: the tasks run on.
func (f *foundInstance) again(found *Instance) *foundInstance {
	if f != nil && f.instance.reachable() && !found.reachable() {
		found = f.instance
	}
	return &foundInstance{instance: found, at: time.Now()}
}

// due tells whether the machine is to be asked for.
func (f *foundInstance) due() bool {
	switch {
	case f == nil:
		return true
	case f.instance.reachable() && f.instance.Address != "":
		return time.Since(f.at) >= addressAge
	case f.instance.reachable():
		return false
	case f.instance != nil && strings.HasPrefix(f.instance.ID, "mi-"):
		return time.Since(f.at) >= machineAge
	default:
		return time.Since(f.at) >= taskAge
	}
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
