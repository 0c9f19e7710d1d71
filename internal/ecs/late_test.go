package ecs

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// serves tells whether any reading of a while shows that a task serves.
func serves(t *testing.T, inv *Inventory, span time.Duration, task string, refs ...mesh.ServiceRef) bool {
	t.Helper()
	seen := false
	for range int(span / (100 * time.Millisecond)) {
		for _, r := range inv.Read(t.Context(), refs) {
			if r.Err == nil && !r.NotAsked {
				seen = seen || slices.ContainsFunc(r.Service.Endpoints, func(e mesh.Endpoint) bool { return e.Task == task })
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return seen
}

// TestATaskThatAListNamesAgainIsDescribedAnew has services that are listed together, which keeps what is known of all tasks for a while.
func TestATaskThatAListNamesAgainIsDescribedAnew(t *testing.T) {
	for _, name := range []string{"described", "unknown"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAWS()
				var refs []mesh.ServiceRef
				for _, service := range []string{"a", "b", "c"} {
					f.add("c1", service, bridgeTask(service+"1", 1), bridgeTask(service+"2", 2))
					refs = append(refs, refTo("c1", service))
				}
				inv := NewInventory(f, steady(10))
				paced(t, inv, time.Minute, refs...)
				list := f.lists["c1/a"]
				for last := inv.wide["c1"].at; inv.wide["c1"].at.Equal(last); {
					paced(t, inv, 100*time.Millisecond, refs...)
				}
				for last := inv.tasks[list[1]].at; inv.tasks[list[1]].at.Equal(last); {
					paced(t, inv, 100*time.Millisecond, refs...)
				}

				f.change(func() {
					f.lists["c1/a"] = list[:1]
					f.services["c1/a"] = Service{Name: "a", Status: "ACTIVE", RunningCount: 1, Version: "left"}
					stopped := f.tasks[list[1]]
					stopped.DesiredStatus = "STOPPED"
					f.tasks[stopped.ARN] = stopped
					if name == "unknown" {
						delete(f.tasks, stopped.ARN)
					}
				})
				paced(t, inv, 2*time.Second, refs...)
				if inv.tasks[list[1]] == nil {
					t.Fatal("nothing is known of it any more")
				}
				f.change(func() { f.lists["c1/a"] = list }) // it is of before
				if serves(t, inv, 4*time.Second, "a2", refs...) {
					t.Error("a task that had left serves again, by what was known of it")
				}
			})
		})
	}
}

func TestNoDescriptionOfBeforeBringsATaskBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1), bridgeTask("a2", 2))
		inv := NewInventory(f, nil)
		list := f.lists["c1/a"]
		set := func(desired string, version int64) {
			f.change(func() {
				task := f.tasks[list[1]]
				task.DesiredStatus, task.Version = desired, version
				f.tasks[task.ARN] = task
			})
		}
		shows := func(what string, want bool) {
			t.Helper()
			if got := serves(t, inv, time.Second, "a2", refTo("c1", "a")); got != want {
				t.Errorf("%s: it serves: %v", what, got)
			}
		}
		set("RUNNING", 2)
		shows("it runs", true)
		set("STOPPED", 3)
		time.Sleep(taskAge)
		shows("it is to stop", false)
		set("RUNNING", 2)
		shows("a description of before", false)
		f.change(func() { f.lists["c1/a"] = list[:1] })
		shows("it is listed no more", false)
		f.change(func() { f.lists["c1/a"] = list })
		shows("a list and a description of before", false)
	})
}

func TestWhatIsGoneIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		inv := NewInventory(f, nil)
		f.add("c1", "broken", bridgeTask("kept", 9))
		next := func(n int) {
			f.change(func() { f.lists["c1/a"], f.services["c1/a"] = []string{}, Service{} })
			f.add("c1", "a", bridgeTask(fmt.Sprint("t", n), 1))
			inv.Read(t.Context(), []mesh.ServiceRef{refTo("c1", "a"), refTo("c1", "broken")})
			f.change(func() { f.fail["ServiceTasks c1/broken"] = ErrThrottled })
		}
		for n := range 100 {
			next(n)
		}
		if len(inv.tasks) != 2 || len(inv.instances) != 1 {
			t.Errorf("%d tasks and %d instances are kept, want the present one and that of the service that can't be read", len(inv.tasks), len(inv.instances))
		}
		time.Sleep(remembered)
		next(100)
		if len(inv.versions) != 1 {
			t.Errorf("%d versions are kept, want that of the present task", len(inv.versions))
		}
	})
}
