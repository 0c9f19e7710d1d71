package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// Metadata is what the task metadata endpoint gave.
type Metadata struct {
	// Given tells whether there is an endpoint.
	Given bool
	// Task is what it told; nil where it failed, with Err.
	Task *taskmeta.Task
	Err  error
}

// judgeMetadata says what the task metadata endpoint told, and what follows where it didn't: settings that are missing are among
// the mistakes.
func judgeMetadata(m Metadata, mistakes []config.Mistake) Finding {
	f := Finding{Check: "metadata", Subject: taskmeta.URIVariable}
	const without = "the network mode is taken to be awsvpc, the own ECS cluster and service are those of CLUSTER and CURRENT_SERVICE_ARN, " +
		"and ingress goes to all tasks of the own service"
	needed := slices.IndexFunc(mistakes, func(m config.Mistake) bool { return m.Variable == taskmeta.URIVariable })
	switch {
	case needed >= 0:
		f.Result = Fail
		found, do, _ := strings.Cut(mistakes[needed].Problem, "; mend that, or ")
		f.Found, f.Do = found, fmt.Sprintf("see that %s is what ECS set, and that HTTP to it isn't blocked; or %s", taskmeta.URIVariable, do)
	case !m.Given:
		f.Result, f.Found = Note, "there is no task metadata endpoint, so "+without
		f.Do = "run this in the container of nightjar to check what it sees there"
	case m.Err != nil:
		f.Result, f.Found = Warning, m.Err.Error()+"; "+without
		f.Do = fmt.Sprintf("see that %s is what ECS set, and that HTTP to it isn't blocked", taskmeta.URIVariable)
	default:
		t := m.Task
		f.Result = OK
		f.Found = fmt.Sprintf("the task %s of the ECS cluster %s, network mode %s, zone %s",
			t.ID(), t.ClusterName(), cmp.Or(t.NetworkMode(), "not told"), cmp.Or(t.AvailabilityZone, "not told"))
		if t.ServiceName != "" {
			f.Found += ", of the service " + t.ServiceName
		}
	}
	return f
}

// judgeContainer says what was found of a container of the own task.
func judgeContainer(r mesh.Reading, task *taskmeta.Task) Finding {
	f := Finding{Check: "container", Subject: r.Ref.Container, Result: Fail}
	switch s := r.Service; {
	case r.Err != nil:
		f.Found = "it can't be read: " + r.Err.Error()
	case s.Problem != "":
		f.Found, f.Do = advice(s.Problem)
	case len(s.Endpoints) > 0:
		e := s.Endpoints[0]
		f.Result, f.Found = OK, fmt.Sprintf("container port %d, reached at %s", e.Port, e.Addr)
		if e.Health == mesh.Unhealthy {
			f.Result, f.Do = Warning, "look at its health check in the task definition, and at its log"
			f.Found += ", UNHEALTHY"
		}
	case task != nil && !created(task, r.Ref.Container):
		f.notCreated(r.Ref, task)
	case len(s.Excluded) > 0:
		f.Found, f.Do = s.Excluded[0].Reason, "look at its log, and at the task in ECS"
	}
	return f
}

func created(task *taskmeta.Task, name string) bool {
	_, found := task.Container(name)
	return found
}

// notCreated says that the endpoint doesn't list a container, as of one that waits for nightjar.
func (f *Finding) notCreated(ref mesh.ServiceRef, task *taskmeta.Task) {
	var names []string
	for _, c := range task.Containers {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	there := "; there are " + strings.Join(names, ", ")
	if task.KnownStatus == "RUNNING" { // which it is when all its containers are
		f.Found, f.Do = "no container has that name"+there, "change "+ref.ContainerVar
		return
	}
	f.Result = Warning
	f.Found = "not created yet, or no container has that name" + there
	f.Do = "if it waits for nightjar, all is well; else change " + ref.ContainerVar
}

// judgeScope warns of ingress by service.
func judgeScope(s *config.Config) []Finding {
	if len(s.Containers) == 0 || s.Scope != config.ScopeService {
		return nil
	}
	return []Finding{{
		Check: "setting", Subject: "INGRESS_SCOPE", Result: Warning,
		Found: fmt.Sprintf("ingress goes to all tasks of the service %s/%s rather than to the own one: a request may take one hop more, "+
			"to another task", s.OwnCluster, s.OwnService),
		Do: "set INGRESS_SCOPE=task in an ECS task, where the task metadata endpoint tells the own containers",
	}}
}
