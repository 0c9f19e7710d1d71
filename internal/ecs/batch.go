package ecs

import (
	"cmp"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"
)

// batch is what one call asks for in an ECS cluster. Its failure strikes those in it, and no others.
type batch struct {
	cluster string
	names   []string
}

// batches are the calls that ask for names by ECS cluster, each for up to size of them.
func batches(byCluster map[string][]string, size int) []batch {
	var all []batch
	for _, cluster := range slices.Sorted(maps.Keys(byCluster)) {
		for names := range slices.Chunk(byCluster[cluster], size) {
			all = append(all, batch{cluster, names})
		}
	}
	return all
}

// concurrently calls do for each of many, up to 32 at a time, and waits for all.
func concurrently[T any](many []T, do func(T)) {
	const atATime = 32
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
