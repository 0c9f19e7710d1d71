package ecs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// fakeAWS is an API with a world in it.
type fakeAWS struct {
	mu        sync.Mutex
	services  map[string]Service // by ECS-CLUSTER/NAME
	lists     map[string][]string
	tasks     map[string]Task
	instances map[string]ContainerInstance
	fail      map[string]error // by call, or by call and ECS-CLUSTER/NAME or task
	calls     map[string]int
}

func newFakeAWS() *fakeAWS {
	return &fakeAWS{
		services: map[string]Service{}, lists: map[string][]string{}, tasks: map[string]Task{}, fail: map[string]error{}, calls: map[string]int{},
		instances: map[string]ContainerInstance{"ci": {ARN: "ci", InstanceID: "i-1"}},
	}
}

// add adds tasks to a service, which it makes where there is none.
func (f *fakeAWS) add(cluster, name string, tasks ...Task) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := cluster + "/" + name
	s := f.services[key]
	s.Name, s.Status, s.RunningCount = name, "ACTIVE", s.RunningCount+len(tasks)
	f.services[key] = s
	if f.lists[key] == nil {
		f.lists[key] = []string{}
	}
	for _, t := range tasks {
		t.Group = "service:" + name
		f.tasks[t.ARN] = t
		f.lists[key] = append(f.lists[key], t.ARN)
	}
}

// change changes the world between reads.
func (f *fakeAWS) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
}

func (f *fakeAWS) called(names ...string) error {
	f.calls[names[0]]++
	for i := range names {
		if err := f.fail[strings.Join(names[:i+1], " ")]; err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeAWS) Services(_ context.Context, cluster string, names []string) (map[string]Service, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("Services", cluster); err != nil {
		return nil, err
	}
	found := map[string]Service{}
	for _, n := range names {
		if err := f.fail["Services "+cluster+"/"+n]; err != nil {
			return nil, err
		}
		if s, ok := f.services[cluster+"/"+n]; ok {
			found[n] = s
		}
	}
	return found, nil
}

func (f *fakeAWS) ServiceTasks(_ context.Context, cluster, service string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("ServiceTasks", cluster+"/"+service); err != nil {
		return nil, err
	}
	list, ok := f.lists[cluster+"/"+service]
	if !ok {
		return nil, fmt.Errorf("listing: %w", ErrNotFound)
	}
	return slices.Clone(list), nil
}

func (f *fakeAWS) ClusterTasks(_ context.Context, cluster string, pages int) ([]string, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("ClusterTasks", cluster); err != nil {
		return nil, false, err
	}
	var all []string
	for key, list := range f.lists {
		if strings.HasPrefix(key, cluster+"/") {
			all = append(all, list...)
		}
	}
	slices.Sort(all)
	return all[:min(len(all), 100*pages)], len(all) <= 100*pages, nil
}

func (f *fakeAWS) Tasks(_ context.Context, _ string, arns []string) (map[string]Task, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("Tasks"); err != nil {
		return nil, err
	}
	found := map[string]Task{}
	for _, arn := range arns {
		if err := f.fail["Tasks "+arn]; err != nil {
			return nil, err
		}
		if t, ok := f.tasks[arn]; ok {
			found[arn] = t
		}
	}
	return found, nil
}

func (f *fakeAWS) ContainerInstances(_ context.Context, _ string, arns []string) (map[string]ContainerInstance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("ContainerInstances"); err != nil {
		return nil, err
	}
	found := map[string]ContainerInstance{}
	for _, arn := range arns {
		if err := f.fail["ContainerInstances "+arn]; err != nil {
			return nil, err
		}
		if i, ok := f.instances[arn]; ok {
			found[arn] = i
		}
	}
	return found, nil
}

func (f *fakeAWS) InstanceAddrs(_ context.Context, ids []string) (map[string]InstanceAddr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("InstanceAddrs"); err != nil {
		return nil, err
	}
	found := map[string]InstanceAddr{}
	for _, id := range ids {
		if !strings.HasPrefix(id, "i-") {
			return nil, fmt.Errorf("EC2 was asked for %s", id)
		}
		if id != "i-gone" {
			found[id] = InstanceAddr{IPv4: netip.MustParseAddr("10.0.0.7")}
		}
	}
	return found, nil
}

func refTo(cluster, name string) mesh.ServiceRef {
	return mesh.ServiceRef{Cluster: cluster, Service: name, ServiceVar: "SERVICE_ARN_1", ContainerVar: "SERVICE_CONTAINER_1", PortVar: "SERVICE_PORT_1"}
}

// read reads and expects no error.
func read(t *testing.T, inv *Inventory, refs ...mesh.ServiceRef) []*mesh.Service {
	t.Helper()
	var services []*mesh.Service
	for _, r := range inv.Read(t.Context(), refs) {
		if r.Err != nil {
			t.Fatalf("%s: %v", r.Ref.Name(), r.Err)
		}
		services = append(services, r.Service)
	}
	return services
}

// What AWS tells of since when may come late: it is no change of the service.
func TestSinceWhenIsNoChangeOfATaskLeftOut(t *testing.T) {
	f := newFakeAWS()
	f.add("c1", "a", bridgeTask("a1", 1), changed(bridgeTask("a2", 2), func(t *Task) { t.DesiredStatus = "STOPPED" }))
	inv := NewInventory(f, nil)
	first := read(t, inv, refTo("c1", "a"))
	stopping := time.Unix(1_700_000_000, 0)
	f.change(func() {
		arn := f.lists["c1/a"][1]
		task := f.tasks[arn]
		task.StoppingAt = stopping
		f.tasks[arn] = task
	})
	if again := read(t, inv, refTo("c1", "a")); again[0] != first[0] {
		t.Fatal("what did not change is the same value")
	}
}

func TestOneServicesErrorHoldsBackNoOther(t *testing.T) {
	f := newFakeAWS()
	f.add("c1", "a", bridgeTask("a1", 1))
	f.add("c1", "b", bridgeTask("b1", 2))
	f.add("c2", "a", bridgeTask("x1", 3))
	f.fail["ServiceTasks c1/a"] = errors.New("throttled")
	f.fail["Services c3"] = errors.New("broken")
	readings := NewInventory(f, nil).Read(t.Context(), []mesh.ServiceRef{refTo("c1", "a"), refTo("c1", "b"), refTo("c2", "a"), refTo("c3", "a")})
	for i, want := range []string{"throttled", "", "", "broken"} {
		r := readings[i]
		if want == "" && (r.Err != nil || len(r.Service.Endpoints) != 1) || want != "" && (r.Err == nil || r.Service != nil) {
			t.Errorf("%s: %+v, %v", r.Ref.Name(), r.Service, r.Err)
		}
	}
	f.fail = map[string]error{"Tasks": fmt.Errorf("describing: %w", ErrDenied)}
	if r := NewInventory(f, nil).Read(t.Context(), []mesh.ServiceRef{refTo("c1", "b")})[0]; !r.Definite || !errors.Is(r.Err, ErrDenied) {
		t.Errorf("denied: %+v", r)
	}
	f.fail = map[string]error{"InstanceAddrs": errors.New("broken")}
	f.add("c1", "fargate", awsvpcTask("f1", "10.0.1.5", "app"))
	port := refTo("c1", "fargate")
	port.Port = 80
	readings = NewInventory(f, nil).Read(t.Context(), []mesh.ServiceRef{refTo("c1", "b"), port})
	if readings[0].Err == nil || readings[1].Err != nil {
		t.Errorf("an instance read that fails strikes only who needs it: %v, %v", readings[0].Err, readings[1].Err)
	}
}

func TestWhatListAndDescribeDisagreeOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1), bridgeTask("a2", 2))
		inv := NewInventory(f, nil)
		read(t, inv, refTo("c1", "a"))
		known := "arn:aws:ecs:eu-west-1:1:task/c1/a1"
		f.change(func() {
			delete(f.tasks, known)
			f.lists["c1/a"] = append(f.lists["c1/a"], "arn:aws:ecs:eu-west-1:1:task/c1/new")
		})
		time.Sleep(taskAge)
		got := read(t, inv, refTo("c1", "a"))[0]
		if len(got.Endpoints) != 2 {
			t.Errorf("a task that was known and is listed stays: %+v", got.Endpoints)
		}
		if len(got.Excluded) != 1 || got.Excluded[0].Task != "new" || !strings.Contains(got.Excluded[0].Reason, "does not know it yet") {
			t.Errorf("a task that was never described is left out: %+v", got.Excluded)
		}
		f.add("c1", "a", bridgeTask("new", 9))
		if got := read(t, inv, refTo("c1", "a"))[0]; len(got.Endpoints) != 3 {
			t.Errorf("it is asked for again at the next read: %+v", got)
		}
	})
}

func TestAnEmptyListIsBelievedOnlyWithoutRunningTasks(t *testing.T) {
	f := newFakeAWS()
	f.add("c1", "a", bridgeTask("a1", 1))
	inv := NewInventory(f, nil)
	read(t, inv, refTo("c1", "a"))
	f.change(func() { f.lists["c1/a"] = []string{} })
	r := inv.Read(t.Context(), []mesh.ServiceRef{refTo("c1", "a")})[0]
	if r.Err == nil || !strings.Contains(r.Err.Error(), "shows fewer running tasks than the service has, and none that serves: runningCount is 1, and 0 are listed") {
		t.Fatalf("%+v", r)
	}
	f.change(func() { f.services["c1/a"] = Service{Name: "a", Status: "ACTIVE"} })
	if got := read(t, inv, refTo("c1", "a"))[0]; len(got.Endpoints) != 0 || got.State != mesh.Active {
		t.Fatalf("%+v", got)
	}
}

func TestServicesThatAreNotThere(t *testing.T) {
	f := newFakeAWS()
	f.add("c1", "a")
	f.fail["Services c9"] = fmt.Errorf("asking: %w", ErrNotFound)
	f.services["c1/gone"] = Service{Name: "gone", Status: "INACTIVE"}
	inv := NewInventory(f, nil)
	got := read(t, inv, refTo("c1", "typo"), refTo("c9", "a"), refTo("c1", "gone"), refTo("c1", "a"))
	for i, want := range []struct {
		state   mesh.State
		problem string
	}{
		{mesh.Missing, "the ECS cluster c1 has no service typo: check SERVICE_ARN_1"},
		{mesh.Missing, "there is no ECS cluster c9"},
		{mesh.Inactive, "is INACTIVE: it was deleted"},
		{mesh.Active, ""},
	} {
		if got[i].State != want.state || !strings.Contains(got[i].Problem, want.problem) {
			t.Errorf("%s: %s %q", got[i].Name, got[i].State, got[i].Problem)
		}
	}
	f.change(func() { // deleted since it was described
		delete(f.lists, "c1/a")
		f.services["c1/a"] = Service{Name: "a", Status: "INACTIVE"}
	})
	if got := read(t, inv, refTo("c1", "a"))[0]; got.State != mesh.Inactive {
		t.Errorf("deleted meanwhile: %+v", got)
	}
	f.add("c1", "typo", bridgeTask("t1", 5))
	if got := read(t, inv, refTo("c1", "typo"))[0]; len(got.Endpoints) != 1 {
		t.Errorf("it appears at the next read: %+v", got)
	}
}

func TestWhatNoListShowsIsFollowedWithinSixSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1), bridgeTask("a2", 2))
		inv := NewInventory(f, nil)
		read(t, inv, refTo("c1", "a"))
		f.change(func() {
			sick := f.tasks["arn:aws:ecs:eu-west-1:1:task/c1/a1"]
			sick.Containers = slices.Clone(sick.Containers)
			sick.Containers[0].Health = "UNHEALTHY"
			f.tasks[sick.ARN] = sick
			moved := f.tasks["arn:aws:ecs:eu-west-1:1:task/c1/a2"]
			moved.Containers = []Container{{Name: "web", LastStatus: "RUNNING", Bindings: []Binding{{ContainerPort: 8080, HostPort: 77}}}}
			f.tasks[moved.ARN] = moved
		})
		begin := time.Now()
		for {
			got := read(t, inv, refTo("c1", "a"))[0].Endpoints
			if len(got) == 1 && got[0].Addr.Port() == 77 {
				break
			}
			if time.Since(begin) > 6*time.Second {
				t.Fatalf("not followed: %+v", got)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestTasksInMotionAreDescribedAtEveryRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		pending := bridgeTask("a1", 1)
		pending.LastStatus = "PENDING"
		f.add("c1", "a", pending)
		inv := NewInventory(f, nil)
		read(t, inv, refTo("c1", "a"))
		f.add("c1", "b")
		f.change(func() { f.tasks[pending.ARN] = changed(bridgeTask("a1", 1), func(t *Task) { t.Group = "service:a" }) })
		if got := read(t, inv, refTo("c1", "a"))[0]; len(got.Endpoints) != 1 {
			t.Fatalf("%+v", got)
		}
	})
}

func TestAFargateOnlyWorldNeedsNoInstanceReads(t *testing.T) {
	f := newFakeAWS()
	f.add("c1", "a", awsvpcTask("a1", "10.0.1.5", "app"))
	f.fail["ContainerInstances"], f.fail["InstanceAddrs"] = ErrDenied, ErrDenied
	port := refTo("c1", "a")
	port.Port = 80
	if got := read(t, NewInventory(f, nil), port)[0]; len(got.Endpoints) != 1 || f.calls["ContainerInstances"]+f.calls["InstanceAddrs"] != 0 {
		t.Fatalf("%+v %v", got, f.calls)
	}
}

func TestMachinesOutsideOfAWSAreNotAskedForAtEC2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		f.instances["ci"] = ContainerInstance{ARN: "ci", InstanceID: "mi-1"}
		f.add("c1", "a", bridgeTask("a1", 32768))
		inv := NewInventory(f, nil)
		if got := read(t, inv, refTo("c1", "a"))[0]; len(got.Endpoints) != 0 || !strings.Contains(got.Excluded[0].Reason, "nightjar.address") {
			t.Fatalf("%+v", got)
		}
		f.change(func() {
			f.instances["ci"] = ContainerInstance{ARN: "ci", InstanceID: "mi-1", Attributes: map[string]string{"nightjar.address": "192.0.2.1"}}
		})
		time.Sleep(machineAge)
		if got := read(t, inv, refTo("c1", "a"))[0]; len(got.Endpoints) != 1 || f.calls["InstanceAddrs"] != 0 {
			t.Fatalf("%+v %v", got, f.calls)
		}
	})
}
