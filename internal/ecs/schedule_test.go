package ecs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// steady is a schedule without chance.
func steady(rate float64) *Schedule {
	return &Schedule{Rate: rate, Wait: 100 * time.Millisecond, Sidecar: "nightjar", Random: func() float64 { return 0.5 }}
}

// paced reads every 100 ms for a while, as control does, and returns the last readings that were asked for.
func paced(t *testing.T, inv *Inventory, span time.Duration, refs ...mesh.ServiceRef) []mesh.Reading {
	t.Helper()
	last := make([]mesh.Reading, len(refs))
	for range int(span / (100 * time.Millisecond)) {
		for i, r := range inv.Read(t.Context(), refs) {
			if !r.NotAsked {
				last[i] = r
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return last
}

// moved makes a service's description differ, as it does in AWS whenever a task of it moves.
func (f *fakeAWS) moved(key string) {
	s := f.services[key]
	s.Version += "."
	f.services[key] = s
}

// noneRuns makes a service's description say that no task runs.
func (f *fakeAWS) noneRuns(key string) {
	s := f.services[key]
	s.RunningCount = 0
	f.services[key] = s
}

func TestQuietServicesAreReadByTheirDescriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1), bridgeTask("a2", 2))
		f.add("c1", "b", bridgeTask("b1", 3))
		f.add("c1", "c", bridgeTask("c1", 4))
		inv := NewInventory(f, steady(1))
		refs := []mesh.ServiceRef{refTo("c1", "a"), refTo("c1", "b"), refTo("c1", "c")}
		first := paced(t, inv, time.Minute, refs...)
		before := map[string]int{}
		for call, n := range f.calls {
			before[call] = n
		}
		again := paced(t, inv, 10*time.Minute, refs...)
		for i := range refs {
			if again[i].Service != first[i].Service {
				t.Error("what did not change is the same value")
			}
			if age := time.Since(again[i].At); age > 2*time.Second {
				t.Errorf("%s was last read %s ago", again[i].Ref.Name(), age)
			}
		}
		calls := 0
		for call, n := range f.calls {
			calls += n - before[call]
			t.Logf("%s: %d in ten minutes", call, n-before[call])
		}
		if calls > 600 || f.calls["Services"]-before["Services"] < 300 || f.calls["ServiceTasks"] > 0 {
			t.Errorf("%d calls in 600 s at one a second: %v", calls, f.calls)
		}
	})
}

func TestAChangeOfAQuietServiceIsFollowedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1))
		f.add("c1", "b", bridgeTask("b1", 2))
		inv := NewInventory(f, steady(1))
		refs := []mesh.ServiceRef{refTo("c1", "a"), refTo("c1", "b")}
		paced(t, inv, 5*time.Minute, refs...)
		f.add("c1", "a", bridgeTask("a2", 3))
		f.change(func() { f.moved("c1/a") })
		if got := paced(t, inv, 1800*time.Millisecond, refs...)[0]; got.Service == nil || len(got.Service.Endpoints) != 2 {
			t.Errorf("not followed within 1.8 s: %+v", got.Service)
		}
	})
}

// The list right after a change may still be of before: nothing but another list shows that.
func TestAListThatIsLateIsTakenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1))
		inv := NewInventory(f, steady(1))
		paced(t, inv, 5*time.Minute, refTo("c1", "a"))
		f.change(func() { f.moved("c1/a") }) // the description is new, the list is not
		paced(t, inv, 3*time.Second, refTo("c1", "a"))
		f.add("c1", "a", bridgeTask("a2", 3))
		if got := paced(t, inv, 5*time.Second, refTo("c1", "a"))[0]; got.Service == nil || len(got.Service.Endpoints) != 2 {
			t.Errorf("not followed: %+v", got.Service)
		}
	})
}

func TestOneListOfTheECSClusterServesSeveralServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		var refs []mesh.ServiceRef
		for n := range 5 {
			name := fmt.Sprint("s", n)
			f.add("c1", name, bridgeTask(name, uint16(n+1)))
			refs = append(refs, refTo("c1", name))
		}
		stranger := bridgeTask("stranger", 99)
		f.add("c1", "other", stranger)
		inv := NewInventory(f, steady(10))
		for i, r := range paced(t, inv, time.Minute, refs...) {
			if r.Service == nil || len(r.Service.Endpoints) != 1 || r.Service.Endpoints[0].Task != fmt.Sprint("s", i) {
				t.Errorf("%s: %+v", r.Ref.Name(), r)
			}
		}
		if f.calls["ServiceTasks"] > 0 || f.calls["ClusterTasks"] == 0 {
			t.Errorf("%v", f.calls)
		}
		// A task of ours that nobody can describe yet is nobody's, and is asked for again.
		f.change(func() {
			f.lists["c1/s0"] = append(f.lists["c1/s0"], "arn:aws:ecs:eu-west-1:1:task/c1/late")
			f.moved("c1/s0")
			f.moved("c1/s1")
		})
		paced(t, inv, 2*time.Second, refs...)
		f.change(func() {
			f.tasks["arn:aws:ecs:eu-west-1:1:task/c1/late"] = changed(bridgeTask("late", 77), func(t *Task) { t.Group = "service:s0" })
		})
		if got := paced(t, inv, 10*time.Second, refs...)[0]; got.Service == nil || len(got.Service.Endpoints) != 2 {
			t.Errorf("%+v", got)
		}
		// Many tasks of others make it dearer than single lists.
		f.change(func() {
			for n := range 600 {
				f.lists["c1/other"] = append(f.lists["c1/other"], fmt.Sprint("arn:aws:ecs:eu-west-1:1:task/c1/x", n))
			}
		})
		before := f.calls["ClusterTasks"]
		paced(t, inv, 5*time.Minute, refs...)
		if tried := f.calls["ClusterTasks"] - before; tried > 1 || f.calls["ServiceTasks"] == 0 {
			t.Errorf("tried %d times; %v", tried, f.calls)
		}
	})
}

func TestAFaultIsAskedForAgainSoonButNotAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1))
		inv := NewInventory(f, steady(100))
		paced(t, inv, time.Minute, refTo("c1", "a"))
		f.change(func() { f.fail["Services"] = errors.New("500") })
		before := f.calls["Services"]
		if got := paced(t, inv, 30*time.Second, refTo("c1", "a"))[0]; got.Err == nil {
			t.Error("no error")
		}
		if n := f.calls["Services"] - before; n < 6 || n > 12 {
			t.Errorf("asked %d times in 30 s of fault", n)
		}
		f.change(func() { delete(f.fail, "Services") })
		if got := paced(t, inv, 6*time.Second, refTo("c1", "a"))[0]; got.Err != nil || got.Service == nil {
			t.Errorf("%+v", got)
		}
	})
}

// TestAPartThatIsReadHidesNoPartThatIsNot has services that are described often, and tasks that can't be and are seldom due.
func TestAPartThatIsReadHidesNoPartThatIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		var refs []mesh.ServiceRef
		for n := range 25 {
			name := fmt.Sprintf("s%02d", n)
			f.add("c1", name, bridgeTask(name, uint16(n+1)))
			refs = append(refs, refTo("c1", name))
		}
		schedule := steady(0.1)
		schedule.Random = rand.New(rand.NewPCG(1, 2)).Float64
		inv := NewInventory(f, schedule)
		paced(t, inv, 10*time.Minute, refs...)
		f.change(func() { f.fail["Tasks"] = errors.New("broken") })
		failing := map[string]bool{}
		for range 3000 {
			for _, r := range inv.Read(t.Context(), refs) {
				name := r.Ref.Name()
				if failing[name] && !r.NotAsked && r.Err == nil {
					t.Fatalf("%s is read, though its tasks can't be", name)
				}
				failing[name] = failing[name] || r.Err != nil
			}
			time.Sleep(100 * time.Millisecond)
		}
		if len(failing) != len(refs) {
			t.Errorf("%d of %d services fail", len(failing), len(refs))
		}
	})
}

func TestAServiceThatIsMissingIsShownSoByDescribeServicesEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1))
		f.add("c1", "b", bridgeTask("b1", 2))
		inv := NewInventory(f, steady(1))
		refs := []mesh.ServiceRef{refTo("c1", "a"), refTo("c1", "b")}
		paced(t, inv, time.Minute, refs...)
		f.change(func() { delete(f.services, "c1/a") })
		missing := 0
		before := f.calls["Services"]
		for range 100 {
			for _, r := range inv.Read(t.Context(), refs) {
				if !r.NotAsked && r.Err == nil && r.Service.State == mesh.Missing {
					missing++
				}
			}
			if asked := f.calls["Services"] - before; missing > asked {
				t.Fatalf("%d readings show it missing after %d answers", missing, asked)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if missing < 2 {
			t.Errorf("%d readings show it missing", missing)
		}
	})
}

func TestNothingIsReadOfWhatIsNotDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1))
		inv := NewInventory(f, steady(1))
		refs := []mesh.ServiceRef{refTo("c1", "a")}
		inv.Read(t.Context(), refs)
		if r := inv.Read(t.Context(), refs)[0]; !r.NotAsked || r.Service != nil || r.Err != nil {
			t.Errorf("%+v", r)
		}
	})
}

func TestAServiceWithTwoPortsIsReadForBothInWhateverGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1))
		inv := NewInventory(f, steady(1))
		one, other := refTo("c1", "a"), refTo("c1", "a")
		other.Port = 8081
		for range 100 {
			a, b := inv.Read(t.Context(), []mesh.ServiceRef{one})[0], inv.Read(t.Context(), []mesh.ServiceRef{other})[0]
			if a.NotAsked != b.NotAsked {
				t.Fatalf("one was read: %v, the other: %v", !a.NotAsked, !b.NotAsked)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// sidecars gives each task a nightjar.
func sidecars(t Task) Task {
	t.Containers = append(slices.Clone(t.Containers), Container{Name: "nightjar", LastStatus: "RUNNING"})
	return t
}

func TestTheMoreReadersAreSeenTheLessEachReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		for n := range 60 {
			f.add("c1", "a", sidecars(awsvpcTask(fmt.Sprint("a", n), fmt.Sprint("10.0.0.", n), "app")))
		}
		ref := refTo("c1", "a")
		ref.Container, ref.Port = "app", 80
		inv := NewInventory(f, steady(1))
		paced(t, inv, 2*time.Minute, ref)
		if readers := inv.Size(inv.schedule).Readers; readers != 60 {
			t.Errorf("%d readers are seen, want 60", readers)
		}
		before := f.calls["Services"]
		paced(t, inv, time.Minute, ref)
		if n := f.calls["Services"] - before; 60*n > fleetRate*60*5/4 {
			t.Errorf("60 of these make %d calls a minute, more than %d a second", 60*n, fleetRate)
		}
		if words := inv.Pace().String(); !strings.Contains(words, "leaves room for 60 sidecars") {
			t.Error(words)
		}
	})
}

func TestTheOwnServicesTasksReadTooWhereverTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1))
		f.services["c9/me"] = Service{Name: "me", Status: "ACTIVE", RunningCount: 40}
		s := steady(1)
		s.OwnCluster, s.OwnService = "c9", "me"
		inv := NewInventory(f, s)
		paced(t, inv, time.Minute, refTo("c1", "a"))
		if readers := inv.Size(inv.schedule).Readers; readers != 40 {
			t.Errorf("%d readers, want 40", readers)
		}
		if f.calls["ServiceTasks"] == 0 || len(inv.lists) != 1 {
			t.Errorf("its tasks are none of our business: %v", f.calls)
		}
	})
}

// The own service is described to count readers; its tasks are strangers, described once where a list of the ECS cluster shows
// them.
func TestTheOwnServicesTasksAreNotReadOverAndOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1))
		f.add("c1", "b", bridgeTask("b1", 2))
		f.add("c1", "me", bridgeTask("m1", 3), bridgeTask("m2", 4))
		s := steady(1)
		s.OwnCluster, s.OwnService = "c1", "me"
		inv := NewInventory(f, s)
		refs := []mesh.ServiceRef{refTo("c1", "a"), refTo("c1", "b")}
		paced(t, inv, time.Minute, refs...)
		before := f.calls["Tasks"]
		paced(t, inv, 10*time.Minute, refs...)
		if n := f.calls["Tasks"] - before; n > 600/5+5 || f.calls["ClusterTasks"] == 0 {
			t.Errorf("tasks are described %d times in 10 minutes", n)
		}
	})
}
