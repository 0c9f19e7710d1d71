package ecssim

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// worldWith is a world with one ECS cluster c1 of two instances and one service web, which has just started.
func worldWith(t testing.TB, spec ServiceSpec) (*World, time.Time) {
	t.Helper()
	start := time.Unix(1_700_000_000, 0)
	return worldAt(t, spec, start), start
}

func worldAt(t testing.TB, spec ServiceSpec, start time.Time) *World {
	t.Helper()
	w := NewWorld("eu-west-1", "111122223333", start, DefaultTiming(), 1)
	w.AddCluster("c1", netip.MustParsePrefix("127.50.2.0/24"))
	for n := range 2 {
		i := Instance{ID: fmt.Sprintf("i-%d", n), Zone: "eu-west-1a", IPv4: netip.MustParseAddr(fmt.Sprintf("127.50.1.%d", n+1))}
		if err := w.AddInstance("c1", i); err != nil {
			t.Fatal(err)
		}
	}
	spec.Cluster, spec.Name = "c1", "web"
	if err := w.AddService(spec); err != nil {
		t.Fatal(err)
	}
	return w
}

func bridgeSpec(desired int) ServiceSpec {
	return ServiceSpec{Desired: desired, Overlap: 2 * time.Second, Definition: Definition{
		NetworkMode: "bridge", LaunchType: "EC2", Containers: []ContainerSpec{{Name: "app", Ports: []PortSpec{{Container: 8080}}}},
	}}
}

// life records the states of the oldest task for 5 s from a time on, with the time since then at which each began.
func life(w *World, from time.Time) []string {
	var steps []string
	last := ""
	for at := time.Duration(0); at <= 5*time.Second; at += 10 * time.Millisecond {
		w.Advance(from.Add(at))
		if now := w.order[0].current().last; now != last {
			steps = append(steps, fmt.Sprintf("%s %s", at, now))
			last = now
		}
	}
	return steps
}

func TestATasksLife(t *testing.T) {
	w, start := worldWith(t, bridgeSpec(1))
	if diff := cmp.Diff([]string{"0s PROVISIONING", "500ms PENDING", "1.5s RUNNING"}, life(w, start)); diff != "" {
		t.Error(diff)
	}
	if err := w.Scale("c1", "web", 0); err != nil {
		t.Fatal(err)
	}
	want := []string{"0s DEACTIVATING", "1s STOPPING", "1.2s DEPROVISIONING", "1.3s STOPPED"}
	if diff := cmp.Diff(want, life(w, start.Add(5*time.Second))); diff != "" {
		t.Error(diff)
	}
}

func TestWithALoadBalancerATaskIsRegisteredAndDeregistered(t *testing.T) {
	spec := bridgeSpec(1)
	spec.LoadBalancers = []Target{{"app", 8080}}
	w, start := worldWith(t, spec)
	want := []string{"0s PROVISIONING", "500ms PENDING", "1.5s ACTIVATING", "1.6s RUNNING"}
	if diff := cmp.Diff(want, life(w, start)); diff != "" {
		t.Error(diff)
	}
	if err := w.StopTask("c1", "web", ""); err != nil {
		t.Fatal(err)
	}
	w.Advance(start.Add(9 * time.Second))
	if got := w.Apps()[0].Phase; got != Serving {
		t.Errorf("it serves on while it is deregistered: %v", got)
	}
	want = []string{"0s DEACTIVATING", "1s STOPPING", "1.2s DEPROVISIONING", "1.3s STOPPED"}
	if diff := cmp.Diff(want, life(w, start.Add(9*time.Second))); diff != "" {
		t.Error(diff)
	}
}

func TestARollingDeploymentAlwaysHasEnoughThatServe(t *testing.T) {
	w, start := worldWith(t, bridgeSpec(3))
	w.Advance(start.Add(5 * time.Second))
	if err := w.Deploy("c1", "web", nil); err != nil {
		t.Fatal(err)
	}
	overlap := false
	for at := 5 * time.Second; at < 20*time.Second; at += 10 * time.Millisecond {
		w.Advance(start.Add(at))
		revisions := map[string]int{}
		for _, a := range w.Apps() {
			if a.Phase == Serving {
				revisions[a.Revision]++
			}
		}
		if revisions["web:1"]+revisions["web:2"] < 3 || len(w.order) > 6 {
			t.Fatalf("after %s: %v of %d tasks", at, revisions, len(w.order))
		}
		overlap = overlap || revisions["web:1"] == 3 && revisions["web:2"] == 3
	}
	if !overlap || len(w.Tasks("c1", "web")) != 3 {
		t.Errorf("overlap %v, %d tasks in the end", overlap, len(w.Tasks("c1", "web")))
	}
}

func TestADeadTaskIsReplaced(t *testing.T) {
	w, start := worldWith(t, bridgeSpec(2))
	w.Advance(start.Add(5 * time.Second))
	before := w.Tasks("c1", "web")
	if err := w.Kill("c1", "web"); err != nil {
		t.Fatal(err)
	}
	if n := len(w.Apps()); n != 1 {
		t.Errorf("%d apps listen right after", n)
	}
	w.Advance(start.Add(10 * time.Second))
	after := w.Tasks("c1", "web")
	if len(after) != 2 || slices.Contains(after, before[0]) || !slices.Contains(after, before[1]) {
		t.Errorf("%v became %v", before, after)
	}
}

func TestPortsInEveryForm(t *testing.T) {
	spec := bridgeSpec(1)
	spec.Definition.Containers[0].Ports = []PortSpec{
		{Container: 8080}, {Container: 53, Protocol: "udp"}, {Container: 90, Host: 9090}, {Container: 7000, End: 7002},
	}
	w, start := worldWith(t, spec)
	w.Advance(start.Add(5 * time.Second))
	var got []string
	for _, p := range w.Apps()[0].Ports {
		got = append(got, fmt.Sprintf("%d at %s", p.ContainerPort, p.At))
	}
	want := []string{
		"8080 at 127.50.1.1:32768", "90 at 127.50.1.1:9090",
		"7000 at 127.50.1.1:32770", "7001 at 127.50.1.1:32771", "7002 at 127.50.1.1:32772",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := w.RestartContainers("c1", "web", ""); err == nil {
		w.Advance(start.Add(6 * time.Second))
		if again := w.Apps()[0].Ports[0].At.Port(); again == 32768 {
			t.Error("a restarted container comes back on another host port")
		}
	}
}

// The times that AWS tells of a task don't depend on when it is asked.
func TestTheTimesOfATaskStayWhatTheyWere(t *testing.T) {
	tests := map[string]func(*World) error{
		"stopped": func(w *World) error { return w.StopTask("c1", "web", "") },
		"died":    func(w *World) error { return w.Kill("c1", "web") },
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			w, start := worldWith(t, bridgeSpec(1))
			w.Advance(start.Add(5 * time.Second))
			task := w.order[0]
			told := func(after time.Duration) taskAnswer {
				w.Advance(start.Add(after))
				return (&view{World: w, at: start.Add(after)}).taskAnswer(task, task.current())
			}
			if running := told(5 * time.Second); running.StoppingAt != nil || running.StoppedAt != nil || running.StartedAt == nil {
				t.Errorf("while it runs: stopping %v, stopped %v, started %v", running.StoppingAt, running.StoppedAt, running.StartedAt)
			}
			if err := end(w); err != nil {
				t.Fatal(err)
			}
			first, later := told(5500*time.Millisecond), told(time.Minute)
			if first.StoppingAt == nil || later.StoppingAt == nil || *first.StoppingAt != *later.StoppingAt {
				t.Errorf("it was to stop at %v, and later at %v", first.StoppingAt, later.StoppingAt)
			}
			if stopping := time.Time(*later.StoppingAt); stopping.Before(start.Add(5*time.Second)) || stopping.After(start.Add(5500*time.Millisecond)) ||
				later.StoppedAt == nil || !time.Time(*later.StoppedAt).After(stopping) {
				t.Errorf("stopping at %s, stopped at %v", stopping, later.StoppedAt)
			}
		})
	}
}

func TestAHostPortIsUsedAgainAfterItsTask(t *testing.T) {
	w, start := worldWith(t, bridgeSpec(1))
	w.Advance(start.Add(5 * time.Second))
	first := w.Apps()[0].Ports[0].At
	for step, desired := range []int{0, 1} {
		if err := w.Scale("c1", "web", desired); err != nil {
			t.Fatal(err)
		}
		w.Advance(start.Add(time.Duration(10*step+15) * time.Second))
	}
	if again := w.Apps()[0].Ports[0].At; again != first {
		t.Errorf("%s, then %s", first, again)
	}
}

func TestADeletedServiceAndALostInstance(t *testing.T) {
	w, start := worldWith(t, bridgeSpec(2))
	w.Advance(start.Add(5 * time.Second))
	if err := w.LoseInstance("c1", "i-0"); err != nil {
		t.Fatal(err)
	}
	w.Advance(start.Add(10 * time.Second))
	for _, a := range w.Apps() {
		if a.Ports[0].At.Addr().String() != "127.50.1.2" {
			t.Errorf("a task runs on the lost instance: %+v", a)
		}
	}
	if n := len(w.Apps()); n != 2 {
		t.Errorf("%d apps, want both on the other instance", n)
	}
	if err := w.Delete("c1", "web"); err != nil {
		t.Fatal(err)
	}
	w.Advance(start.Add(20 * time.Second))
	if n := len(w.Apps()); n != 0 {
		t.Errorf("%d apps of a deleted service", n)
	}
}

func TestADrainedInstanceKeepsItsTasksUntilOthersServe(t *testing.T) {
	spec := bridgeSpec(2)
	spec.Overlap = 5 * time.Second
	w, start := worldWith(t, spec)
	w.Advance(start.Add(10 * time.Second))
	if err := w.DrainInstance("c1", "i-0"); err != nil {
		t.Fatal(err)
	}
	on := func(address string) (n int) {
		for _, a := range w.Apps() {
			if a.Phase == Serving && a.Ports[0].At.Addr().String() == address {
				n++
			}
		}
		return n
	}
	before, elsewhere := on("127.50.1.1"), on("127.50.1.2")
	w.Advance(start.Add(14 * time.Second)) // the new ones run, the overlap isn't over
	if on("127.50.1.1") != before || on("127.50.1.2") != before+elsewhere {
		t.Errorf("during the overlap %d and %d tasks serve, want %d and %d", on("127.50.1.1"), on("127.50.1.2"), before, before+elsewhere)
	}
	w.Advance(start.Add(time.Minute))
	if on("127.50.1.1") != 0 || on("127.50.1.2") != 2 {
		t.Errorf("in the end %d and %d tasks serve", on("127.50.1.1"), on("127.50.1.2"))
	}
	if err := w.DrainInstance("c1", "i-9"); err == nil {
		t.Error("an instance that isn't there can be drained")
	}
}

func TestAnInterruptedTaskStopsBeforeAnotherStarts(t *testing.T) {
	w, start := worldWith(t, bridgeSpec(2))
	w.Advance(start.Add(10 * time.Second))
	first := w.Tasks("c1", "web")[0]
	if err := w.Interrupt("c1", "web", ""); err != nil {
		t.Fatal(err)
	}
	if now := w.Tasks("c1", "web"); len(now) != 1 || now[0] == first {
		t.Errorf("%v serve; %s was interrupted", now, first)
	}
	w.Advance(start.Add(20 * time.Second))
	if now := w.Tasks("c1", "web"); len(now) != 2 {
		t.Errorf("%d tasks in the end", len(now))
	}
}

func TestStoppedTasksAreForgottenAfterAnHour(t *testing.T) {
	w, start := worldWith(t, bridgeSpec(1))
	w.Advance(start.Add(5 * time.Second))
	if err := w.StopTask("c1", "web", ""); err != nil {
		t.Fatal(err)
	}
	w.Advance(start.Add(30 * time.Minute))
	if n := len(w.tasks); n != 2 {
		t.Errorf("%d tasks after half an hour, want the stopped one too", n)
	}
	w.Advance(start.Add(2 * time.Hour))
	if n := len(w.tasks); n != 1 {
		t.Errorf("%d tasks after two hours", n)
	}
}

func TestTheSameSeedMakesTheSameWorld(t *testing.T) {
	a, start := worldWith(t, bridgeSpec(3))
	b, _ := worldWith(t, bridgeSpec(3))
	a.Advance(start.Add(time.Minute))
	b.Advance(start.Add(time.Minute))
	if diff := cmp.Diff(fmt.Sprint(a.Apps()), fmt.Sprint(b.Apps())); diff != "" {
		t.Error(diff)
	}
}

// TestATaskWaitsForAnInstanceWithItsPortFree has two instances, as ECS places nothing where a port is taken that a task asks for.
func TestATaskWaitsForAnInstanceWithItsPortFree(t *testing.T) {
	ports := map[string]PortSpec{"host": {Container: 7000}, "bridge": {Container: 8080, Host: 7000}}
	for mode, port := range ports {
		t.Run(mode, func(t *testing.T) {
			spec := bridgeSpec(2)
			spec.Definition.NetworkMode, spec.Definition.Containers[0].Ports = mode, []PortSpec{port}
			w, start := worldWith(t, spec)
			var said []string
			w.OnUnplaced(func(service string, ports []uint16) { said = append(said, fmt.Sprint(service, " ", ports)) })
			if err := w.Scale("c1", "web", 3); err != nil {
				t.Fatal(err)
			}
			running := func(at time.Duration) (all int) {
				w.Advance(start.Add(at))
				seen := map[*instance]bool{}
				for _, task := range w.order {
					if task.current().last == "RUNNING" {
						if seen[task.at] {
							t.Error("two tasks with one port are on an instance")
						}
						seen[task.at] = true
						all++
					}
				}
				return all
			}
			if got := running(10 * time.Second); got != 2 || !slices.Equal(said, []string{"c1/web [7000]"}) {
				t.Fatalf("%d run, said %q", got, said)
			}
			if err := w.AddInstance("c1", Instance{ID: "i-3", Zone: "eu-west-1a", IPv4: netip.MustParseAddr("127.50.1.9")}); err != nil {
				t.Fatal(err)
			}
			if got := running(20 * time.Second); got != 3 {
				t.Fatalf("%d run with a third instance", got)
			}
			if err := w.Scale("c1", "web", 0); err != nil {
				t.Fatal(err)
			}
			if err := w.Scale("c1", "web", 3); err != nil { // each as soon as an old one has gone
				t.Fatal(err)
			}
			if got := running(40 * time.Second); got != 3 || len(said) != 2 {
				t.Fatalf("%d run, said %q", got, said)
			}
		})
	}
}
