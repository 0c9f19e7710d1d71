package ecs

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

func TestTasksThatStartedOneByOneAreSoonDescribedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		inv := NewInventory(f, nil)
		for n := range 5 {
			f.add("c1", "a", bridgeTask(fmt.Sprint("a", n), uint16(1+n)))
			read(t, inv, refTo("c1", "a"))
			time.Sleep(time.Second)
		}
		for range 10 { // to fall into step
			read(t, inv, refTo("c1", "a"))
			time.Sleep(time.Second)
		}
		before := f.calls["Tasks"]
		for range 60 {
			read(t, inv, refTo("c1", "a"))
			time.Sleep(time.Second)
		}
		if got := f.calls["Tasks"] - before; got != 12 {
			t.Fatalf("%d calls in a minute, want one in 5 s", got)
		}
	})
}

func TestATaskDescribedBeforeItsTimeHoldsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "quiet", bridgeTask("q1", 1))
		f.add("c1", "busy", changed(bridgeTask("b1", 2), func(t *Task) { t.LastStatus = "PENDING" }))
		inv := NewInventory(f, nil)
		read(t, inv, refTo("c1", "quiet"), refTo("c1", "busy"))
		time.Sleep(3 * time.Second) // q1 is due soon
		f.change(func() { f.fail["Tasks"] = errors.New("throttled") })
		got := inv.Read(t.Context(), []mesh.ServiceRef{refTo("c1", "quiet"), refTo("c1", "busy")})
		if got[0].Err != nil || len(got[0].Service.Endpoints) != 1 || got[1].Err == nil {
			t.Fatalf("quiet: %v, busy: %v", got[0].Err, got[1].Err)
		}
		time.Sleep(2 * time.Second)
		if got := inv.Read(t.Context(), []mesh.ServiceRef{refTo("c1", "quiet")}); got[0].Err == nil {
			t.Fatal("after 5 s without a description what is known no longer holds")
		}
	})
}

func TestAFailedDescribeServicesStrikesOnlyThoseInIt(t *testing.T) {
	f := newFakeAWS()
	var refs []mesh.ServiceRef
	for n := range 25 {
		name := fmt.Sprintf("s%02d", n)
		f.add("c1", name, bridgeTask(name, uint16(1+n)))
		refs = append(refs, refTo("c1", name))
	}
	f.fail["Services c1/s12"] = errors.New("s12: a failure that AWS does not name")
	for n, r := range NewInventory(f, nil).Read(t.Context(), refs) {
		if struck := n >= 10 && n < 20; (r.Err != nil) != struck {
			t.Errorf("%s: %v", r.Ref.Name(), r.Err)
		}
	}
}

func TestAFailedInstanceReadStrikesOnlyWhoNeedsIt(t *testing.T) {
	f := newFakeAWS()
	on := func(service string, machines int) {
		for n := range machines {
			id := fmt.Sprint(service, n)
			f.instances[id] = ContainerInstance{ARN: id, InstanceID: "i-1"}
			f.add("c1", service, changed(bridgeTask(id, 1+uint16(n)), func(t *Task) { t.ContainerInstance = id }))
		}
	}
	on("a", together)
	on("b", 1)
	f.fail["ContainerInstances b0"] = errors.New("throttled")
	got := NewInventory(f, nil).Read(t.Context(), []mesh.ServiceRef{refTo("c1", "a"), refTo("c1", "b")})
	if got[0].Err != nil || len(got[0].Service.Endpoints) != together {
		t.Errorf("a: %v", got[0].Err)
	}
	if got[1].Err == nil || !strings.Contains(got[1].Err.Error(), "throttled") {
		t.Errorf("b: %+v", got[1])
	}
}

func TestAChangeOfThePrimaryTaskSetIsSeenAtTheNextRead(t *testing.T) {
	for _, controller := range []string{"CODE_DEPLOY", "EXTERNAL"} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeAWS()
			blue := bridgeTask("blue", 1)
			green := changed(bridgeTask("green", 2), func(t *Task) { t.StartedBy = "ecs-svc/2" })
			f.add("c1", "a", blue, green)
			sets := func(all ...TaskSet) {
				f.change(func() {
					s := f.services["c1/a"]
					s.Controller, s.TaskSets = controller, all
					f.services["c1/a"] = s
				})
			}
			sets() // an answer that is late has none
			inv := NewInventory(f, nil)
			read(t, inv, refTo("c1", "a"))
			sets(TaskSet{ID: "ecs-svc/1", Status: "PRIMARY"}, TaskSet{ID: "ecs-svc/2", Status: "ACTIVE"})
			if got := read(t, inv, refTo("c1", "a"))[0].Endpoints; len(got) != 1 || got[0].Task != "blue" {
				t.Errorf("%s: %+v", controller, got)
			}
			sets(TaskSet{ID: "ecs-svc/1", Status: "ACTIVE"}, TaskSet{ID: "ecs-svc/2", Status: "PRIMARY"})
			if got := read(t, inv, refTo("c1", "a"))[0].Endpoints; len(got) != 1 || got[0].Task != "green" {
				t.Errorf("%s: %+v", controller, got)
			}
		})
	}
}
