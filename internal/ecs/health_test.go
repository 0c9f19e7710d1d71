package ecs

import (
	"strings"
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
	if diff := cmp.Diff([]string{"t1: its container app is STOPPED; the task runs on without it"}, summary(got)); diff != "" {
		t.Fatal(diff)
	}
}

func TestEveryStepOfATasksLifeButRunningIsLeftOut(t *testing.T) {
	for _, step := range []string{"PROVISIONING", "PENDING", "ACTIVATING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", "DELETED"} {
		task := bridgeTask("t1", 32768)
		task.LastStatus = step
		got := summary(build(ref("", 0), gather(Service{}, task)))
		if len(got) != 1 || !strings.HasPrefix(got[0]+":", "t1: it is "+step+":") {
			t.Errorf("%s: %q", step, got)
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
		"the owner, not a claim": {[]Task{stale, sick("new", 32768, 2)}, []string{"10.0.0.7:32768", "stale: the newer task new has its address 10.0.0.7:32768: a host port is used again after its task, and in host mode tasks of one instance collide, as do machines with one nightjar.address"}},
		"not beside an unknown":  {[]Task{sick("a", 1, 1), changed(bridgeTask("b", 2), func(t *Task) { t.Containers[0].Health = "UNKNOWN" })}, []string{"10.0.0.7:2", "a: its container web is UNHEALTHY: its health check in the task definition fails"}},
		"a sick owner keeps a stale claim out": {
			[]Task{stale, sick("new", 32768, 2), bridgeTask("well", 5)},
			[]string{"10.0.0.7:5", "new: its container web is UNHEALTHY: its health check in the task definition fails", "stale: the newer task new has its address 10.0.0.7:32768: a host port is used again after its task, and in host mode tasks of one instance collide, as do machines with one nightjar.address"},
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

// AWS tells the time of each step of a task's life, and of nothing else.
func TestSinceWhenIsWhatAWSTells(t *testing.T) {
	at := func(minute int64) time.Time { return time.Unix(minute*60, 0) }
	life := func(desired, last string, how func(*Task)) Task {
		task := bridgeTask("t1", 32768)
		task.DesiredStatus, task.LastStatus, task.CreatedAt = desired, last, at(1)
		if how != nil {
			how(&task)
		}
		return task
	}
	started := func(t *Task) { t.StartedAt = at(2) }
	stopping := func(t *Task) { t.StartedAt, t.StoppingAt = at(2), at(3) }
	stopped := func(t *Task) { t.StartedAt, t.StoppingAt, t.StoppedAt = at(2), at(3), at(4) }
	sick := life("RUNNING", "RUNNING", started)
	sick.Containers[0].Health = "UNHEALTHY"
	tests := map[string]struct {
		task Task
		want time.Time
	}{
		"running":                      {life("RUNNING", "RUNNING", started), at(2)},
		"provisioning":                 {life("RUNNING", "PROVISIONING", nil), at(1)},
		"pending":                      {life("RUNNING", "PENDING", nil), at(1)},
		"activating":                   {life("RUNNING", "ACTIVATING", started), at(2)},
		"to stop":                      {life("STOPPED", "DEACTIVATING", stopping), at(3)},
		"to stop, AWS tells no time":   {life("STOPPED", "RUNNING", started), time.Time{}},
		"stopping by itself":           {life("RUNNING", "STOPPING", stopping), at(3)},
		"stopped":                      {life("STOPPED", "STOPPED", stopped), at(4)},
		"stopped, AWS tells no time":   {life("STOPPED", "STOPPED", stopping), at(3)},
		"unhealthy":                    {sick, time.Time{}},
		"a container that isn't there": {changed(life("RUNNING", "RUNNING", started), func(t *Task) { t.Containers[0].LastStatus = "STOPPED" }), time.Time{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			well := bridgeTask("well", 1)
			got := build(ref("", 0), gather(Service{}, test.task, well))
			var since []time.Time
			for _, e := range got.Endpoints {
				if e.Task == "t1" {
					since = append(since, e.Since)
				}
			}
			for _, e := range got.Excluded {
				since = append(since, e.Since)
			}
			if diff := cmp.Diff([]time.Time{test.want}, since); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestATaskLeftOutKeepsWhatTellsItApart(t *testing.T) {
	task := bridgeTask("t1", 32768)
	task.LastStatus = "PENDING"
	got := build(ref("", 0), gather(Service{}, task)).Excluded[0]
	if got.Zone != "eu-west-1a" || got.Deployment != "ecs-svc/1" || got.Revision != "web:7" {
		t.Fatalf("%+v", got)
	}
}
