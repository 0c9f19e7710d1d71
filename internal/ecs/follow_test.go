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

func TestWhenTheTasksOfAServiceAreListed(t *testing.T) {
	every := Intervals{Moving: time.Second, Lists: 10 * time.Minute}
	now := time.Now()
	quiet := watch{version: "1", listed: now.Add(-5 * time.Minute), changed: now.Add(-6 * time.Minute), factor: 1}
	for _, test := range []struct {
		name       string
		watch      func(w *watch)
		version    string
		afforded   bool
		wantListed bool
	}{
		{"nothing moved", nil, "1", true, false},
		{"it was never listed", func(w *watch) { w.listed = time.Time{} }, "1", false, true},
		{"the list is old", func(w *watch) { w.listed = now.Add(-every.Lists) }, "1", false, true},
		{"its last try failed just now", func(w *watch) { w.notBefore = now.Add(time.Second) }, "2", true, false},
		// A change that was seen long ago and could not be afforded then: the service is not in motion any more.
		{"the description is newer than the list", nil, "2", true, true},
		{"it is, and the account has nothing left for it", nil, "2", false, false},
		{"it is in motion", func(w *watch) { w.listed, w.changed = now.Add(-2*time.Second), now.Add(-3*time.Second) }, "1", true, true},
		{"it is, and was listed just now", func(w *watch) { w.listed, w.changed = now.Add(-time.Second/2), now.Add(-time.Second) }, "1", true, false},
	} {
		w := quiet
		if test.watch != nil {
			test.watch(&w)
		}
		d := &describedService{service: Service{Version: test.version}}
		if got := w.listDue(now, d, every, test.afforded); got != test.wantListed {
			t.Errorf("%s: due is %v", test.name, got)
		}
	}
}
