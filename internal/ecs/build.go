package ecs

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// gathered is everything that AWS says of one service.
type gathered struct {
	service Service
	// tasks are those that its list names and that are described.
	tasks []Task
	// undescribed are the ARNs of those that its list names and DescribeTasks doesn't know yet.
	undescribed []string
	// instances are the container instances of the tasks, by ARN.
	instances map[string]*Instance
}

// build decides what serves. It is pure.
func build(ref mesh.ServiceRef, g gathered) *mesh.Service {
	s := &mesh.Service{Name: ref.Name(), State: mesh.Active}
	var doubts []string
	var serving []candidate
	for _, t := range g.tasks {
		c, no := judge(ref, g, t)
		if no == nil {
			serving = append(serving, c)
			continue
		}
		s.Excluded = append(s.Excluded, excluded(t, *no))
		if no.doubt {
			doubts = append(doubts, no.reason)
		}
	}
	for _, arn := range g.undescribed {
		s.Excluded = append(s.Excluded, mesh.Excluded{Task: taskID(arn), Reason: "DescribeTasks does not know it yet"})
	}
	if len(doubts) > 0 {
		slices.Sort(doubts)
		s.Problem = doubts[0]
	}
	if len(g.tasks)+len(g.undescribed) == 0 {
		s.Empty = empty(g.service)
	}
	s.Claims = claims(g, serving)
	take(s, serving)
	slices.SortFunc(s.Excluded, func(a, b mesh.Excluded) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Reason, b.Reason))
	})
	return s
}

// empty says why a service has no tasks.
func empty(service Service) string {
	switch {
	case service.Status == "DRAINING":
		return "it is being deleted (DRAINING), and has no task"
	case service.DesiredCount == 0:
		return "it has no task: its desired count is 0"
	}
	return fmt.Sprintf("ECS lists none of the %d tasks that it is to run; the service's events in ECS say why", service.DesiredCount) +
		because(service.Event)
}

// candidate is an endpoint and the task that it is of.
type candidate struct {
	endpoint mesh.Endpoint
	task     Task
}

// refusal is why a task is no target.
type refusal struct {
	reason string
	// since is when that began, as AWS tells it; zero where it doesn't.
	since time.Time
	// doubt marks what somebody has to settle.
	doubt bool
}

func excluded(t Task, no refusal) mesh.Excluded {
	return mesh.Excluded{
		Task: taskID(t.ARN), Reason: no.reason, Since: no.since, Zone: t.Zone, Deployment: t.StartedBy, Revision: taskID(t.TaskDefinition),
	}
}

// judge decides on one task: a candidate, or why it is none.
func judge(ref mesh.ServiceRef, g gathered, t Task) (candidate, *refusal) {
	if reason := belongs(t, g.service); reason != "" {
		return candidate{}, &refusal{reason: reason}
	}
	if reason := lives(t); reason != "" {
		return candidate{}, &refusal{reason: reason, since: since(t)}
	}
	target, d := resolve(ref, g.service, t)
	if c := absent(ref, t); d != "" && c != nil {
		return candidate{}, &refusal{reason: idle(*c)}
	}
	if d != "" {
		return candidate{}, &refusal{reason: string(d), doubt: true}
	}
	container := containerOf(t, target.Container)
	if target.Container != "" && container == nil {
		return candidate{}, &refusal{reason: fmt.Sprintf("it has no container %s, which a target group or registry names; it has %s: set %s "+
			"where one of them serves", target.Container, containerNames(t), ref.ContainerVar)}
	}
	if container != nil && container.LastStatus != running {
		return candidate{}, &refusal{reason: idle(*container)}
	}
	at, err := address(t, target.Container, target.Port, g.instances[t.ContainerInstance])
	if err != nil {
		return candidate{}, &refusal{reason: err.Error(), doubt: errors.As(err, &d)}
	}
	return candidate{task: t, endpoint: mesh.Endpoint{
		Addr: at, Task: taskID(t.ARN), Health: health(t, container), Container: target.Container, Port: target.Port, Zone: t.Zone,
		Deployment: t.StartedBy, Revision: taskID(t.TaskDefinition), Since: since(t),
	}}, nil
}

// absent is a container that may settle a doubt once it runs, as its ports are known only then: the one that is set, else
// one that hasn't been started. Nil where there is none.
func absent(ref mesh.ServiceRef, t Task) *Container {
	for i, c := range t.Containers {
		if c.Name == ref.Container && c.LastStatus != running || ref.Container == "" && (c.LastStatus == "PENDING" || c.LastStatus == "CREATED") {
			return &t.Containers[i]
		}
	}
	return nil
}

// idle says why a container of a running task doesn't run.
func idle(c Container) string {
	text := fmt.Sprintf("its container %s is %s", c.Name, c.LastStatus)
	switch {
	case c.LastStatus == "PENDING":
		text += ": it waits for its image, or for another container (dependsOn)"
	case c.LastStatus == "STOPPED" && c.ExitCode != nil:
		text += fmt.Sprintf(" with the exit code %d; the task runs on without it", *c.ExitCode)
	case c.LastStatus == "STOPPED":
		text += "; the task runs on without it"
	}
	return text + because(c.Reason)
}

// take puts the candidates into the service: of two with one address the newer task alone, as a host port is used again;
// and of these the ones that are not unhealthy, or all where all are.
func take(s *mesh.Service, candidates []candidate) {
	slices.SortFunc(candidates, func(a, b candidate) int {
		if claimOf(a.task, a.endpoint.Addr).Newer(claimOf(b.task, b.endpoint.Addr)) {
			return -1
		}
		return 1
	})
	owner := map[netip.AddrPort]string{}
	var owners []candidate
	for _, c := range candidates {
		e := c.endpoint
		if newer, taken := owner[e.Addr]; taken {
			s.Excluded = append(s.Excluded, excluded(c.task, refusal{reason: mesh.LostTo(newer, e.Addr)}))
			continue
		}
		owner[e.Addr] = e.Task
		owners = append(owners, c)
	}
	allUnhealthy := !slices.ContainsFunc(owners, func(c candidate) bool { return c.endpoint.Health != mesh.Unhealthy })
	for _, c := range owners {
		if c.endpoint.Health == mesh.Unhealthy && !allUnhealthy {
			s.Excluded = append(s.Excluded, excluded(c.task, refusal{reason: sick(c.endpoint.Container)}))
			continue
		}
		s.Endpoints = append(s.Endpoints, c.endpoint)
	}
	mesh.SortEndpoints(s.Endpoints)
}

// sick says what is unhealthy.
func sick(container string) string {
	if container == "" {
		return "one of its containers is UNHEALTHY: its health check in the task definition fails"
	}
	return fmt.Sprintf("its container %s is UNHEALTHY: its health check in the task definition fails", container)
}

func containerOf(t Task, name string) *Container {
	for i := range t.Containers {
		if name != "" && t.Containers[i].Name == name {
			return &t.Containers[i]
		}
	}
	return nil
}

// accountOf is the account in an ARN, "" where there is none.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}

// taskID is the last part of an ARN: a task's ID, a task definition's FAMILY:REVISION.
func taskID(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }
