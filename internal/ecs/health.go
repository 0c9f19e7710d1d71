package ecs

import (
	"fmt"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// The words of AWS for a task's and a container's life.
const (
	running   = "RUNNING"
	unhealthy = "UNHEALTHY"
	healthy   = "HEALTHY"
)

// hasTaskSets tells whether task sets say which tasks serve. No list shows when another becomes the primary one.
func (s Service) hasTaskSets() bool {
	return s.Controller == "CODE_DEPLOY" || s.Controller == "EXTERNAL" || len(s.TaskSets) > 0
}

// belongs says why a task is not one of those of the service that may serve, "" where it is.
//
// Source: Amazon ECS developer guide: a service's task has the group "service:NAME"; with the controllers CODE_DEPLOY and
// EXTERNAL only the primary task set serves production traffic, and a task is started by its task set.
func belongs(t Task, service Service) string {
	if t.Group != "service:"+service.Name {
		return fmt.Sprintf("it is of the group %q, not of this service (run-task starts such)", t.Group)
	}
	if len(service.TaskSets) == 0 {
		return ""
	}
	primary := "" // an EXTERNAL service may have task sets and none that is primary yet
	for _, set := range service.TaskSets {
		if set.Status == "PRIMARY" {
			primary = set.ID
		}
	}
	switch {
	case primary == "":
		return "the service has task sets and none of them is the primary one yet, which alone serves (UpdateServicePrimaryTaskSet)"
	case t.StartedBy != primary:
		return fmt.Sprintf("it is of the task set %s; only the primary one, %s, serves", t.StartedBy, primary)
	}
	return ""
}

// lives says why a task doesn't serve for where it is in its life, "" where it may.
func lives(t Task) string {
	switch {
	case t.DesiredStatus == running && t.LastStatus == running:
		return ""
	case t.LastStatus == "STOPPED":
		return "it is STOPPED" + because(t.StoppedReason)
	case t.DesiredStatus != running:
		return fmt.Sprintf("it is to stop: its desired status is %s", t.DesiredStatus) + because(t.StoppedReason)
	}
	return "it is " + t.LastStatus + meaning(t.LastStatus)
}

// because is AWS's further word, where it has one.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return fmt.Sprintf(" (%.300s)", reason)
}

// meaning says what ECS does with a task in a step of its life.
//
// Source: Amazon ECS developer guide, "Amazon ECS task lifecycle".
func meaning(step string) string {
	switch step {
	case "PROVISIONING":
		return ": ECS prepares what it needs, such as its network interface"
	case "PENDING":
		return ": it waits for free CPU, memory or ports, for the container agent, or for its images; the service's events in ECS say more"
	case "ACTIVATING":
		return ": ECS starts its containers, and registers it with target groups and service discovery"
	case "DEACTIVATING":
		return ": ECS takes it out of target groups and service discovery"
	case "STOPPING":
		return ": its containers are being stopped"
	case "DEPROVISIONING":
		return ": ECS takes away what it needed, such as its network interface"
	default:
		return ""
	}
}

// since is when a task came to where it is in its life, as AWS tells it; zero where it doesn't.
func since(t Task) time.Time {
	switch {
	case t.LastStatus == "STOPPED" && !t.StoppedAt.IsZero():
		return t.StoppedAt
	case t.DesiredStatus != running || !t.StoppingAt.IsZero():
		return t.StoppingAt
	case t.LastStatus == running || !t.StartedAt.IsZero():
		return t.StartedAt
	default:
		return t.CreatedAt
	}
}

// health is the health of a container as ECS sees it. It is the container's own: one essential container without a
// health check keeps the whole task UNKNOWN for ever. Where the container isn't known, only the task's UNHEALTHY tells
// something.
func health(t Task, c *Container) mesh.Health {
	word := t.Health
	if c != nil {
		word = c.Health
	}
	switch {
	case word == unhealthy:
		return mesh.Unhealthy
	case word == healthy && c != nil:
		return mesh.Healthy
	default:
		return mesh.HealthUnknown
	}
}
