package ecs

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// witnesses counts the readings of a while that show nothing and don't repeat an earlier one.
func witnesses(t *testing.T, inv *Inventory, span time.Duration, ref mesh.ServiceRef) int {
	t.Helper()
	n := 0
	for range int(span / (100 * time.Millisecond)) {
		r := inv.Read(t.Context(), []mesh.ServiceRef{ref})[0]
		if !r.NotAsked && r.Err == nil && !r.Repeats && len(r.Service.Endpoints) == 0 {
			n++
		}
		time.Sleep(100 * time.Millisecond)
	}
	return n
}

func TestWhatShowsNothingIsSeenAgainOnlyWhereItIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1))
		inv := NewInventory(f, steady(1))
		paced(t, inv, time.Minute, refTo("c1", "a"))

		whole := f.services["c1/a"]
		f.change(func() { delete(f.services, "c1/a") })
		services, tasks := f.calls["Services"], f.calls["Tasks"]
		n := witnesses(t, inv, 20*time.Second, refTo("c1", "a"))
		if asked := f.calls["Services"] - services; n != asked || n < 5 {
			t.Errorf("a service that is MISSING is seen so %d times, and asked for %d times", n, asked)
		}
		if f.calls["Tasks"] > tasks+1 { // one before it is known
			t.Error("the tasks of a service that isn't there are described")
		}

		f.change(func() { f.services["c1/a"] = whole })
		paced(t, inv, time.Minute, refTo("c1", "a"))
		f.change(func() {
			ended := f.tasks["arn:aws:ecs:eu-west-1:1:task/c1/a1"]
			ended.Containers = slices.Clone(ended.Containers)
			ended.Containers[0].LastStatus = "STOPPED"
			f.tasks[ended.ARN] = ended
		})
		before := f.calls["Tasks"] + f.calls["ServiceTasks"]
		n = witnesses(t, inv, 20*time.Second, refTo("c1", "a"))
		if asked := f.calls["Tasks"] + f.calls["ServiceTasks"] - before; n < 2 || n > asked {
			t.Errorf("a task without its container is seen %d times, and asked for %d times", n, asked)
		}
	})
}

func TestAnEmptyListBesideRunningTasksIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1))
		inv := NewInventory(f, steady(1))
		paced(t, inv, time.Minute, refTo("c1", "a"))
		whole := f.lists["c1/a"]
		f.change(func() { f.lists["c1/a"] = nil })
		for begin := time.Now(); ; {
			if inv.Read(t.Context(), []mesh.ServiceRef{refTo("c1", "a")})[0].Err != nil {
				break
			}
			if time.Since(begin) > time.Minute {
				t.Fatal("an empty list beside a running task is no fault")
			}
			time.Sleep(100 * time.Millisecond)
		}
		f.change(func() { f.lists["c1/a"] = whole })
		before := f.calls["ContainerInstances"]
		if n := witnesses(t, inv, time.Minute, refTo("c1", "a")); n > 0 {
			t.Errorf("the list is believed %d times after all", n)
		}
		if f.calls["ContainerInstances"] > before {
			t.Error("the machines of its tasks are forgotten")
		}
	})
}

func TestAListOfLongAgoTakesAwayNothingThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("new", 1))
		inv := NewInventory(f, steady(1))
		paced(t, inv, time.Minute, refTo("c1", "a"))
		old := bridgeTask("old", 2)
		old.Group, old.DesiredStatus = "service:a", "STOPPED"
		f.change(func() { f.tasks[old.ARN], f.lists["c1/a"] = old, []string{old.ARN} })
		for range 1200 {
			r := inv.Read(t.Context(), []mesh.ServiceRef{refTo("c1", "a")})[0]
			if !r.NotAsked && r.Err == nil && len(r.Service.Endpoints) != 1 {
				t.Fatalf("one of one running task: %+v", r.Service)
			}
			time.Sleep(100 * time.Millisecond)
		}

		// And where none runs it is believed.
		f.change(func() { f.noneRuns("c1/a") })
		if n := witnesses(t, inv, time.Minute, refTo("c1", "a")); n < 2 {
			t.Errorf("seen %d times", n)
		}
	})
}

func TestTasksOfAListOfLongAgoThatHaveStoppedLeaveNoServiceEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("old", 1))
		inv := NewInventory(f, steady(1))
		paced(t, inv, time.Minute, refTo("c1", "a"))
		old := bridgeTask("old", 1)
		old.Group, old.DesiredStatus, old.LastStatus = "service:a", "STOPPED", "STOPPED"
		f.change(func() { f.tasks[old.ARN] = old }) // another runs by now, which the list doesn't name yet
		if n := witnesses(t, inv, time.Minute, refTo("c1", "a")); n > 0 {
			t.Errorf("believed %d times", n)
		}
		f.change(func() { f.noneRuns("c1/a") })
		if n := witnesses(t, inv, time.Minute, refTo("c1", "a")); n < 2 {
			t.Errorf("where none runs it is believed: seen %d times", n)
		}
	})
}

// TestAListOfLongAgoThatNamesATaskThatRunsAndDoesNotServeLeavesNoServiceEmpty has tasks of two containers, of which one has stopped.
func TestAListOfLongAgoThatNamesATaskThatRunsAndDoesNotServeLeavesNoServiceEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		half := bridgeTask("half", 1)
		half.Containers = []Container{
			{Name: "web", LastStatus: "STOPPED"},
			{Name: "side", LastStatus: "RUNNING", Bindings: []Binding{{ContainerPort: 81, HostPort: 3}}},
		}
		f.add("c1", "a", half, bridgeTask("new", 2))
		web := refTo("c1", "a")
		web.Container, web.Port = "web", 8080
		inv := NewInventory(f, steady(1))
		if r := paced(t, inv, time.Minute, web)[0]; len(r.Service.Endpoints) != 1 {
			t.Fatalf("%+v", r)
		}
		whole := f.lists["c1/a"]
		late := func() { f.lists["c1/a"] = whole[:1] }
		f.change(late)
		if n := witnesses(t, inv, time.Minute, web); n > 0 {
			t.Errorf("believed %d times", n)
		}

		// Nor where that comes to light only after its reading has failed for another reason.
		f.change(func() { f.lists["c1/a"] = whole })
		paced(t, inv, time.Minute, web)
		f.change(func() { late(); f.fail["Tasks"] = ErrThrottled })
		if n := witnesses(t, inv, 40*time.Second, web); n > 0 {
			t.Errorf("believed %d times, and it can't be described", n)
		}
		f.change(func() { delete(f.fail, "Tasks") })
		if n := witnesses(t, inv, time.Minute, web); n > 0 {
			t.Errorf("believed %d times after a fault", n)
		}

		f.change(func() {
			s := f.services["c1/a"]
			s.RunningCount = 1
			f.services["c1/a"] = s
		})
		if n := witnesses(t, inv, time.Minute, web); n < 2 {
			t.Errorf("where no other runs it is believed: seen %d times", n)
		}
	})
}
