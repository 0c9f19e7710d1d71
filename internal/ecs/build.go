package ecs

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

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
		c, reason, d := judge(ref, g, t)
		if d != "" {
			doubts = append(doubts, string(d))
			reason = string(d)
		}
		if reason != "" {
			s.Excluded = append(s.Excluded, mesh.Excluded{Task: taskID(t.ARN), Reason: reason})
			continue
		}
		serving = append(serving, c)
	}
	for _, arn := range g.undescribed {
		s.Excluded = append(s.Excluded, mesh.Excluded{Task: taskID(arn), Reason: "DescribeTasks does not know it yet"})
	}
	if len(doubts) > 0 {
		slices.Sort(doubts)
		s.Problem = doubts[0]
	}
	take(s, serving)
	slices.SortFunc(s.Excluded, func(a, b mesh.Excluded) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Reason, b.Reason))
	})
	return s
}

// candidate is an endpoint and the task that it is of.
type candidate struct {
	endpoint mesh.Endpoint
	task     Task
}

// judge decides on one task: a candidate, or the reason why not, or a doubt that settings have to settle.
func judge(ref mesh.ServiceRef, g gathered, t Task) (candidate, string, doubt) {
	if reason := cmp.Or(belongs(t, g.service), lives(t)); reason != "" {
		return candidate{}, reason, ""
	}
	target, d := resolve(ref, g.service, t)
	if d != "" {
		return candidate{}, "", d
	}
	container := containerOf(t, target.Container)
	if target.Container != "" && container == nil {
		return candidate{}, fmt.Sprintf("it has no container %s, which a target group or registry names", target.Container), ""
	}
	if container != nil && container.LastStatus != running {
		return candidate{}, fmt.Sprintf("its container %s is %s", container.Name, container.LastStatus), ""
	}
	at, err := address(t, target.Container, target.Port, g.instances[t.ContainerInstance])
	if err != nil {
		return candidate{}, err.Error(), ""
	}
	return candidate{task: t, endpoint: mesh.Endpoint{
		Addr: at, Task: taskID(t.ARN), Health: health(t, container), Zone: t.Zone, Deployment: t.StartedBy, Revision: taskID(t.TaskDefinition),
	}}, "", ""
}

// take puts the candidates into the service: of two with one address the newer task alone, as a host port is used again;
// and of these the ones that are not unhealthy, or all where all are.
func take(s *mesh.Service, candidates []candidate) {
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(b.task.CreatedAt.Compare(a.task.CreatedAt), cmp.Compare(a.task.ARN, b.task.ARN))
	})
	owner := map[netip.AddrPort]string{}
	var owners []mesh.Endpoint
	for _, c := range candidates {
		e := c.endpoint
		if newer, taken := owner[e.Addr]; taken {
			s.Excluded = append(s.Excluded, mesh.Excluded{Task: e.Task, Reason: fmt.Sprintf("the newer task %s has its address %s", newer, e.Addr)})
			continue
		}
		owner[e.Addr] = e.Task
		owners = append(owners, e)
	}
	allUnhealthy := !slices.ContainsFunc(owners, func(e mesh.Endpoint) bool { return e.Health != mesh.Unhealthy })
	for _, e := range owners {
		if e.Health == mesh.Unhealthy && !allUnhealthy {
			s.Excluded = append(s.Excluded, mesh.Excluded{Task: e.Task, Reason: "its container is UNHEALTHY"})
			continue
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	mesh.SortEndpoints(s.Endpoints)
}

func containerOf(t Task, name string) *Container {
	for i := range t.Containers {
		if name != "" && t.Containers[i].Name == name {
			return &t.Containers[i]
		}
	}
	return nil
}

// taskID is the last part of an ARN: a task's ID, a task definition's FAMILY:REVISION.
func taskID(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }
