package ecssim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// load is a polite server of a world file, in which a minute has passed, and the world's time from then on.
func load(t *testing.T, text string) (*World, *Server, func(time.Duration)) {
	t.Helper()
	file, err := Load([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	w, err := file.World(now.Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	w.Advance(now)
	s := NewServer(w, Options{Polite: true, Unthrottled: true})
	s.clock = func() time.Time { return now }
	return w, s, func(d time.Duration) { now = now.Add(d); w.Advance(now) }
}

// listening are the addresses on which the apps of a container listen, as ADDRESS=CONTAINER-PORT.
func listening(w *World, container string) []string {
	all := []string{}
	for _, a := range w.Apps() {
		for _, p := range a.Ports {
			if a.Container == container {
				all = append(all, fmt.Sprintf("%s=%d", p.At, p.ContainerPort))
			}
		}
	}
	return all
}

const dockerWorld = `
clusters:
- name: c1
  subnet: 127.3.3.0/24
  instances: [{id: i-1, address: 127.3.1.1, docker: 127.3.2.0/24}]
  services:
  - {name: web, desired: 2, network: bridge, containers: [{name: app, ports: [8080], unpublished: [9000], udp: [53]}, {name: side, ports: [7000]}]}
`

func TestInBridgeModeEachContainerHasADockerAddressOfItsOwn(t *testing.T) {
	w, s, pass := load(t, dockerWorld)
	want := []string{
		"127.3.1.1:32768=8080", "127.3.2.2:8080=8080", "127.3.2.2:9000=9000",
		"127.3.1.1:32771=8080", "127.3.2.4:8080=8080", "127.3.2.4:9000=9000",
	}
	if diff := cmp.Diff(want, listening(w, "app")); diff != "" {
		t.Error(diff)
	}
	tasks := w.Tasks("c1", "web")
	if got := containersOf(t, s, tasks[1]); fmt.Sprint(got) != "[app RUNNING [127.3.2.4] side RUNNING [127.3.2.5]]" {
		t.Errorf("the metadata endpoint shows %v", got)
	}
	if err := w.StopTask("c1", "web", tasks[0]); err != nil {
		t.Fatal(err)
	}
	pass(time.Minute)
	if err := w.Scale("c1", "web", 3); err != nil {
		t.Fatal(err)
	}
	pass(time.Minute)
	if got := listening(w, "side"); !slices.Contains(got, "127.3.2.3:7000=7000") {
		t.Errorf("the address of a task that is gone is used again: %v", got)
	}
}

func TestWithoutADockerSubnetThereIsAnAddressAndNothingListensThere(t *testing.T) {
	w, s, _ := load(t, strings.Replace(dockerWorld, ", docker: 127.3.2.0/24", "", 1))
	if got := listening(w, "app"); fmt.Sprint(got) != "[127.3.1.1:32768=8080 127.3.1.1:32771=8080]" {
		t.Errorf("it listens at %v", got)
	}
	if got := containersOf(t, s, w.Tasks("c1", "web")[1]); fmt.Sprint(got) != "[app RUNNING [172.17.0.4] side RUNNING [172.17.0.5]]" {
		t.Errorf("the metadata endpoint shows %v", got)
	}
}

func TestOutsideOfBridgeModeAnUnpublishedPortIsAsAnyOther(t *testing.T) {
	for network, want := range map[string]string{
		"awsvpc": "[127.3.3.1:8080=8080 127.3.3.1:9000=9000]", "host": "[127.3.1.1:8080=8080 127.3.1.1:9000=9000]", "none": "[]",
	} {
		w, _, _ := load(t, strings.Replace(strings.Replace(dockerWorld, "bridge", network, 1), "desired: 2", "desired: 1", 1))
		if got := listening(w, "app"); fmt.Sprint(got) != want {
			t.Errorf("%s: it listens at %v, want %s", network, got, want)
		}
	}
}

func TestAContainersLifeInItsTask(t *testing.T) {
	w, s, pass := load(t, strings.Replace(dockerWorld, "desired: 2", "desired: 1", 1))
	task := w.Tasks("c1", "web")[0]
	for _, step := range []struct{ status, listens, listed string }{
		{"STOPPED", "[]", "[app STOPPED side RUNNING [127.3.2.3]]"},
		{"RUNNING", "[127.3.1.1:32768=8080 127.3.2.2:8080=8080 127.3.2.2:9000=9000]", "[app RUNNING [127.3.2.2] side RUNNING [127.3.2.3]]"},
		{"PENDING", "[]", "[side RUNNING [127.3.2.3]]"},
		{"CREATED", "[]", "[app CREATED side RUNNING [127.3.2.3]]"},
		{"RUNNING", "[127.3.1.1:32768=8080 127.3.2.2:8080=8080 127.3.2.2:9000=9000]", "[app RUNNING [127.3.2.2] side RUNNING [127.3.2.3]]"},
	} {
		if err := w.SetContainer("c1", "web", task, "app", step.status); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if got := fmt.Sprint(listening(w, "app")); got != step.listens {
			t.Errorf("%s: it listens at %s, want %s", step.status, got, step.listens)
		}
		if got := fmt.Sprint(containersOf(t, s, task)); got != step.listed {
			t.Errorf("%s: listed are %s, want %s", step.status, got, step.listed)
		}
		if got := w.Tasks("c1", "web"); !slices.Equal(got, []string{task}) {
			t.Errorf("%s: the task goes on: %v", step.status, got)
		}
	}
	for _, wrong := range [][2]string{{"app", "LOST"}, {"none", "RUNNING"}} {
		if err := w.SetContainer("c1", "web", task, wrong[0], wrong[1]); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}

func TestAStoppedContainersPortsAreFreeForOthersAndStayTheirs(t *testing.T) {
	w, _, pass := load(t, strings.Replace(dockerWorld, "desired: 2", "desired: 1", 1))
	first := w.Tasks("c1", "web")[0]
	if err := w.SetContainer("c1", "web", first, "app", "STOPPED"); err != nil {
		t.Fatal(err)
	}
	if err := w.Scale("c1", "web", 2); err != nil {
		t.Fatal(err)
	}
	pass(time.Minute)
	taken := listening(w, "app")
	if fmt.Sprint(taken) != "[127.3.1.1:32768=8080 127.3.2.2:8080=8080 127.3.2.2:9000=9000]" {
		t.Fatalf("the second task's: %v", taken)
	}
	if err := w.StopTask("c1", "web", first); err != nil {
		t.Fatal(err)
	}
	pass(time.Minute)
	if all := listening(w, "app"); len(all) != 6 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 6 {
		t.Errorf("after the first task's end two share an address: %v", all)
	}
}

const heldWorld = `
clusters:
- name: c1
  services:
  - name: web
    desired: 1
    network: awsvpc
    launch: FARGATE
    containers: [{name: nightjar, ports: [9902], healthcheck: true}, {name: app, ports: [8080], held: true}]
    load_balancers: [{container: app, port: 8080}]
timeline: [{at: 2s, do: container, service: c1/web, container: app, status: RUNNING}]
`

func TestATaskWithAHeldContainerIsPendingUntilThatRuns(t *testing.T) {
	w, s, pass := load(t, heldWorld)
	task := w.Wanted("c1", "web")[0]
	if got := fmt.Sprint(w.order[0].current().last, w.Tasks("c1", "web"), listening(w, "app"), containersOf(t, s, task)); got !=
		"PENDING[] [] [nightjar RUNNING [127.100.0.1]]" {
		t.Errorf("it is %s", got)
	}
	if err := w.SetContainer("c1", "web", "", "app", "CREATED"); err != nil {
		t.Fatal(err)
	}
	pass(time.Second)
	if got := fmt.Sprint(w.order[0].current().last, containersOf(t, s, task)); got != "PENDING[nightjar RUNNING [127.100.0.1] app CREATED [127.100.0.1]]" {
		t.Errorf("created: %s", got)
	}
	if err := w.SetContainer("c1", "web", "", "app", "RUNNING"); err != nil {
		t.Fatal(err)
	}
	if got := w.order[0].current().last; got != "ACTIVATING" {
		t.Errorf("running, it is %s", got)
	}
	pass(time.Second)
	if got := fmt.Sprint(w.Tasks("c1", "web"), listening(w, "app")); got != fmt.Sprintf("[%s] [127.100.0.1:8080=8080]", task) {
		t.Errorf("at last: %s", got)
	}
}

func TestATaskThatIsHeldEndsAsOthersDo(t *testing.T) {
	w, _, pass := load(t, heldWorld)
	if err := w.Scale("c1", "web", 0); err != nil {
		t.Fatal(err)
	}
	pass(DefaultTiming().Deregister)
	if got := w.order[0].current().last; w.order[0].phase != Terminating || got != "STOPPING" {
		t.Errorf("its running container gets its SIGTERM: %v %s", w.order[0].phase, got)
	}
	pass(time.Minute)
	if got := w.order[0].current().last; got != "STOPPED" || len(listening(w, "nightjar")) > 0 {
		t.Errorf("it is %s", got)
	}
}
