package cli

import (
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

func TestTheAppsAreTheContainersThatEnvoyServes(t *testing.T) {
	c := func(name, image, status string) taskmeta.Container {
		return taskmeta.Container{Name: name, Image: image, KnownStatus: status}
	}
	task := &taskmeta.Task{DesiredStatus: "RUNNING", Containers: []taskmeta.Container{
		c("envoy", "envoyproxy/envoy:v1.40.0", "RUNNING"), c("nightjar", "mesh:1", "RUNNING"), c("control", "eu/Nightjar:1", "RUNNING"),
		c("ecs-service-connect-x", "", "RUNNING"), c("aws-guardduty-agent-x", "", "RUNNING"), c("~internal~ecs~pause", "", "RUNNING"),
		c("init", "busybox", "STOPPED"), c("web", "shop/web:7", "RUNNING"),
	}}
	if got, want := taskOf(task, "envoy"), (envoy.Task{Apps: 2, Gone: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	task.DesiredStatus, task.Containers[7].KnownStatus = "STOPPED", "STOPPED"
	if got, want := taskOf(task, "envoy"), (envoy.Task{Stopping: true, Apps: 2, Gone: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
