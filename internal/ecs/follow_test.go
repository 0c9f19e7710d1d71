package ecs

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// BenchmarkReadOfWhichNothingIsDue is what most reads are, ten times a second: 30 services with 20 tasks each.
func BenchmarkReadOfWhichNothingIsDue(b *testing.B) {
	f := newFakeAWS()
	var refs []mesh.ServiceRef
	for n := range 30 {
		name := fmt.Sprintf("s%d", n)
		for task := range 20 {
			f.add("c1", name, bridgeTask(fmt.Sprintf("%s-%d", name, task), 1))
		}
		refs = append(refs, refTo("c1", name))
	}
	inv := NewInventory(f, steady(0.01))
	inv.Read(b.Context(), refs)
	for b.Loop() {
		inv.Read(b.Context(), refs)
	}
}

// TestManySidecarsFollowOneServiceByWhatTheAccountAffords has a service that moves without end, as in a long deployment.
func TestManySidecarsFollowOneServiceByWhatTheAccountAffords(t *testing.T) {
	for _, test := range []struct{ sidecars, least, most int }{{1, 30, 130}, {60, 3, 16}, {200, 1, 6}} {
		t.Run(fmt.Sprint(test.sidecars), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAWS()
				f.add("c1", "a", bridgeTask("a1", 1), bridgeTask("a2", 2))
				f.services["c1/me"] = Service{Name: "me", Status: "ACTIVE", RunningCount: test.sidecars}
				s := steady(10)
				s.Rate, s.OwnCluster, s.OwnService = 1, "c1", "me"
				inv := NewInventory(f, s)
				paced(t, inv, 2*time.Minute, refTo("c1", "a"))
				before := f.calls["ServiceTasks"] + f.calls["Tasks"]
				for range 60 {
					f.change(func() { f.moved("c1/a") })
					paced(t, inv, time.Second, refTo("c1", "a"))
				}
				if n := f.calls["ServiceTasks"] + f.calls["Tasks"] - before; n < test.least || n > test.most {
					t.Errorf("%d calls for tasks in a minute, want %d to %d", n, test.least, test.most)
				}
			})
		})
	}
}
