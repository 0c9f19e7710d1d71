package ecs

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

func TestHealthIsTheContainersOwn(t *testing.T) {
	tests := map[string]struct {
		containers   []string
		word, ofTask string
		targets      []Target
		want         mesh.Health
	}{
		"healthy beside one without check":  {[]string{"app"}, "HEALTHY", "UNKNOWN", nil, mesh.Healthy},
		"unhealthy":                         {[]string{"app"}, "UNHEALTHY", "UNHEALTHY", nil, mesh.Unhealthy},
		"no health check":                   {[]string{"app"}, "UNKNOWN", "HEALTHY", nil, mesh.HealthUnknown},
		"an empty word":                     {[]string{"app"}, "", "", nil, mesh.HealthUnknown},
		"found beside a registry":           {[]string{"app"}, "HEALTHY", "UNKNOWN", []Target{{}}, mesh.Healthy},
		"found by a registry's port alone":  {[]string{"app"}, "HEALTHY", "UNKNOWN", []Target{{"", 3000}}, mesh.Healthy},
		"which container isn't known":       {[]string{"app", "side"}, "HEALTHY", "HEALTHY", nil, mesh.HealthUnknown},
		"not known, and the task unhealthy": {[]string{"app", "side"}, "HEALTHY", "UNHEALTHY", nil, mesh.Unhealthy},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			task := awsvpcTask("t1", "10.0.1.5", test.containers...)
			task.Health, task.Containers[0].Health = test.ofTask, test.word
			got := build(ref("", 3000), gather(Service{Targets: test.targets}, task))
			if len(got.Endpoints) != 1 || got.Endpoints[0].Health != test.want {
				t.Fatalf("%+v, want %s", got, test.want)
			}
		})
	}
}

func TestAContainerThatStoppedDoesNotServeThoughARegistryNamesThePortAlone(t *testing.T) {
	task := awsvpcTask("t1", "10.0.1.5", "app")
	task.Containers[0].LastStatus = "STOPPED"
	got := build(ref("", 0), gather(Service{Targets: []Target{{"", 3000}}}, task))
	if diff := cmp.Diff([]string{"t1: its container app is STOPPED"}, summary(got)); diff != "" {
		t.Fatal(diff)
	}
}

func TestEveryStepOfATasksLifeButRunningIsLeftOut(t *testing.T) {
	for _, step := range []string{"PROVISIONING", "PENDING", "ACTIVATING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", "DELETED"} {
		task := bridgeTask("t1", 32768)
		task.LastStatus = step
		if diff := cmp.Diff([]string{"t1: it is " + step}, summary(build(ref("", 0), gather(Service{}, task)))); diff != "" {
			t.Error(diff)
		}
	}
}

// An address has one owner before health counts: the healthy word of a task that lost its address keeps nobody in.
func TestUnhealthyTasksServeWhereNothingElseIsLeft(t *testing.T) {
	sick := func(id string, port uint16, at int64) Task {
		task := bridgeTask(id, port)
		task.CreatedAt, task.Containers[0].Health = time.Unix(at, 0), "UNHEALTHY"
		return task
	}
	stale := bridgeTask("stale", 32768)
	tests := map[string]struct {
		tasks []Task
		want  []string
	}{
		"all of them":            {[]Task{sick("a", 1, 1), sick("b", 2, 1)}, []string{"10.0.0.7:1", "10.0.0.7:2"}},
		"the owner, not a claim": {[]Task{stale, sick("new", 32768, 2)}, []string{"10.0.0.7:32768", "stale: the newer task new has its address 10.0.0.7:32768"}},
		"not beside an unknown":  {[]Task{sick("a", 1, 1), changed(bridgeTask("b", 2), func(t *Task) { t.Containers[0].Health = "UNKNOWN" })}, []string{"10.0.0.7:2", "a: its container is UNHEALTHY"}},
		"a sick owner keeps a stale claim out": {
			[]Task{stale, sick("new", 32768, 2), bridgeTask("well", 5)},
			[]string{"10.0.0.7:5", "new: its container is UNHEALTHY", "stale: the newer task new has its address 10.0.0.7:32768"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, summary(build(ref("", 0), gather(Service{}, test.tasks...)))); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}
