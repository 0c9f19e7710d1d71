package ecs

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// bridgeTask is a running task of the service web with a container web that publishes the host port for 8080.
func bridgeTask(id string, hostPort uint16) Task {
	return Task{
		ARN: "arn:aws:ecs:eu-west-1:1:task/c1/" + id, Group: "service:web", StartedBy: "ecs-svc/1", DesiredStatus: "RUNNING", LastStatus: "RUNNING",
		TaskDefinition: "arn:aws:ecs:eu-west-1:1:task-definition/web:7", ContainerInstance: "ci", Zone: "eu-west-1a", Health: "UNKNOWN",
		Containers: []Container{{Name: "web", LastStatus: "RUNNING", Health: "HEALTHY", Bindings: []Binding{
			{BindIP: "0.0.0.0", ContainerPort: 8080, HostPort: hostPort, Protocol: "tcp"},
		}}},
	}
}

// awsvpcTask is a running Fargate task of the service web.
func awsvpcTask(id, ip string, containers ...string) Task {
	t := bridgeTask(id, 1)
	t.ContainerInstance, t.Containers = "", nil
	for _, name := range containers {
		t.Containers = append(t.Containers, Container{Name: name, LastStatus: "RUNNING", Health: "UNKNOWN", Interfaces: []Interface{{IPv4: ip}}})
	}
	return t
}

func ref(container string, port uint16) mesh.ServiceRef {
	return mesh.ServiceRef{
		Cluster: "c1", Service: "web", Container: container, Port: port,
		ServiceVar: "SERVICE_ARN_2", ContainerVar: "SERVICE_CONTAINER_2", PortVar: "SERVICE_PORT_2",
	}
}

func gather(service Service, tasks ...Task) gathered {
	service.Name = "web"
	return gathered{service: service, tasks: tasks, instances: map[string]*Instance{
		"ci": {ID: "i-1", Private: InstanceAddr{IPv4: netip.MustParseAddr("10.0.0.7")}}, "anywhere": {ID: "mi-1"},
	}}
}

// summary is a service in few words: addresses, then problem, then excluded tasks.
func summary(s *mesh.Service) []string {
	var lines []string
	for _, e := range s.Endpoints {
		lines = append(lines, e.Addr.String())
	}
	if s.Problem != "" {
		lines = append(lines, "problem: "+s.Problem)
	}
	if s.Empty != "" {
		lines = append(lines, "empty: "+s.Empty)
	}
	for _, e := range s.Excluded {
		lines = append(lines, e.Task+": "+e.Reason)
	}
	return lines
}

func TestWhichTasksServe(t *testing.T) {
	with := func(how func(*Task)) Task { return changed(bridgeTask("t1", 32768), how) }
	other := bridgeTask("t2", 32769)
	tests := map[string]struct {
		service Service
		tasks   []Task
		want    []string
	}{
		"running":         {tasks: []Task{with(func(*Task) {})}, want: []string{"10.0.0.7:32768"}},
		"no health check": {tasks: []Task{with(func(t *Task) { t.Containers[0].Health = "UNKNOWN" })}, want: []string{"10.0.0.7:32768"}},
		"another container is unhealthy": {
			tasks: []Task{with(func(t *Task) {
				t.Health = "UNHEALTHY"
				t.Containers = append(t.Containers, Container{Name: "side", LastStatus: "RUNNING", Health: "UNHEALTHY"})
			})},
			want: []string{"10.0.0.7:32768"},
		},
		"to stop": {
			tasks: []Task{with(func(t *Task) { t.DesiredStatus, t.LastStatus = "STOPPED", "RUNNING" })},
			want:  []string{"t1: it is to stop: its desired status is STOPPED"},
		},
		"to stop, and why": {
			tasks: []Task{with(func(t *Task) { t.DesiredStatus, t.StoppedReason = "STOPPED", "Scaling activity" })},
			want:  []string{"t1: it is to stop: its desired status is STOPPED (Scaling activity)"},
		},
		"stopped": {
			tasks: []Task{with(func(t *Task) { t.DesiredStatus, t.LastStatus = "STOPPED", "STOPPED" })},
			want:  []string{"t1: it is STOPPED"},
		},
		"pending":           {tasks: []Task{with(func(t *Task) { t.LastStatus = "PENDING" })}, want: []string{"t1: it is PENDING: it waits for free CPU, memory or ports, for the container agent, or for its images; the service's events in ECS say more"}},
		"activating":        {tasks: []Task{with(func(t *Task) { t.LastStatus = "ACTIVATING" })}, want: []string{"t1: it is ACTIVATING: ECS starts its containers, and registers it with target groups and service discovery"}},
		"container stopped": {tasks: []Task{with(func(t *Task) { t.Containers[0].LastStatus = "STOPPED" })}, want: []string{"t1: its container web is STOPPED; the task runs on without it"}},
		"container exited": {
			tasks: []Task{with(func(t *Task) {
				code := 137
				t.Containers[0].LastStatus, t.Containers[0].ExitCode, t.Containers[0].Reason = "STOPPED", &code, "OutOfMemoryError: killed"
			})},
			want: []string{"t1: its container web is STOPPED with the exit code 137; the task runs on without it (OutOfMemoryError: killed)"},
		},
		"none, as wanted": {want: []string{"empty: it has no task: its desired count is 0"}},
		"none, and why": {
			service: Service{DesiredCount: 2, Event: "(service web) was unable to place a task"},
			want: []string{"empty: ECS lists none of the 2 tasks that it is to run; the service's events in ECS say why " +
				"((service web) was unable to place a task)"},
		},
		"outside of AWS without address": {
			tasks: []Task{with(func(t *Task) { t.ContainerInstance = "anywhere" }), other},
			want: []string{
				"10.0.0.7:32769",
				"problem: its container instance mi-1 is outside of AWS, and lacks the attribute nightjar.address with its IP address: give its ECS agent ECS_INSTANCE_ATTRIBUTES={\"nightjar.address\": \"ADDRESS\"}",
				"t1: its container instance mi-1 is outside of AWS, and lacks the attribute nightjar.address with its IP address: give its ECS agent ECS_INSTANCE_ATTRIBUTES={\"nightjar.address\": \"ADDRESS\"}",
			},
		},
		"unhealthy beside healthy": {
			tasks: []Task{with(func(t *Task) { t.Containers[0].Health = "UNHEALTHY" }), other},
			want:  []string{"10.0.0.7:32769", "t1: its container web is UNHEALTHY: its health check in the task definition fails"},
		},
		"all unhealthy stay": {tasks: []Task{with(func(t *Task) { t.Containers[0].Health = "UNHEALTHY" })}, want: []string{"10.0.0.7:32768"}},
		"another revision serves too": {
			tasks: []Task{with(func(t *Task) { t.TaskDefinition = "x/web:8" }), other},
			want:  []string{"10.0.0.7:32768", "10.0.0.7:32769"},
		},
		"a run-task task doesn't": {
			tasks: []Task{with(func(t *Task) { t.Group = "family:web" })},
			want:  []string{`t1: it is of the group "family:web", not of this service (run-task starts such)`},
		},
		"only the primary task set": {
			service: Service{TaskSets: []TaskSet{{ID: "ecs-svc/1", Status: "ACTIVE"}, {ID: "ecs-svc/2", Status: "PRIMARY"}}},
			tasks:   []Task{with(func(t *Task) { t.StartedBy = "ecs-svc/2" }), other},
			want:    []string{"10.0.0.7:32768", "t2: it is of the task set ecs-svc/1; only the primary one, ecs-svc/2, serves"},
		},
		"a host port has one owner, the newest": {
			tasks: []Task{with(func(t *Task) { t.CreatedAt = time.Unix(2, 0) }), changed(bridgeTask("t0", 32768), func(t *Task) { t.CreatedAt = time.Unix(1, 0) })},
			want:  []string{"10.0.0.7:32768", "t0: the newer task t1 has its address 10.0.0.7:32768: a host port is used again after its task, and in host mode tasks of one instance collide, as do machines with one nightjar.address"},
		},
		"no address yet": {
			tasks: []Task{with(func(t *Task) { t.ContainerInstance = "unknown" })},
			want:  []string{"t1: AWS does not know its container instance: it is new, or gone"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := build(ref("", 0), gather(test.service, test.tasks...))
			if diff := cmp.Diff(test.want, summary(got)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestContainerAndPortAreFound(t *testing.T) {
	pair := changed(bridgeTask("t1", 32768), func(t *Task) {
		t.Containers = append(t.Containers, Container{Name: "basket", LastStatus: "RUNNING", Bindings: []Binding{
			{ContainerPort: 9090, HostPort: 32769, Protocol: "tcp"}, {ContainerPort: 9091, HostPort: 32770, Protocol: "udp"},
		}})
	})
	twice := changed(pair, func(t *Task) { t.Containers[1].Bindings[0].ContainerPort = 8080 })
	added := changed(bridgeTask("t1", 32768), func(t *Task) {
		for i, name := range []string{"ecs-service-connect-x", "aws-guardduty-agent-x", "~internal~ecs~pause"} {
			t.Containers = append(t.Containers, Container{Name: name, LastStatus: "RUNNING", Bindings: []Binding{
				{ContainerPort: uint16(1000 + i), HostPort: uint16(40000 + i), Protocol: "tcp"},
			}})
		}
	})
	waiting := changed(pair, func(t *Task) { t.Containers[0].LastStatus, t.Containers[0].Bindings = "PENDING", nil })
	unstarted := changed(bridgeTask("t1", 1), func(t *Task) { t.Containers[0].LastStatus, t.Containers[0].Bindings = "PENDING", nil })
	ended := changed(pair, func(t *Task) { t.Containers[1].LastStatus = "STOPPED" })
	sidecars := awsvpcTask("t1", "10.0.1.5", "app", "envoy", "nightjar")
	host := changed(bridgeTask("t1", 1), func(t *Task) { t.Containers[0].Bindings = nil })
	tests := map[string]struct {
		ref     mesh.ServiceRef
		service Service
		task    Task
		want    string
	}{
		"the one published port":        {ref("", 0), Service{}, bridgeTask("t1", 32768), "10.0.0.7:32768"},
		"AWS's own are no candidates":   {ref("", 0), Service{}, added, "10.0.0.7:32768"},
		"udp is no candidate":           {ref("basket", 0), Service{}, pair, "10.0.0.7:32769"},
		"two containers":                {ref("", 0), Service{}, pair, "problem: its tasks publish several container ports: basket:9090, web:8080; set SERVICE_CONTAINER_2 or SERVICE_PORT_2"},
		"settled by the container":      {ref("web", 0), Service{}, pair, "10.0.0.7:32768"},
		"settled by the port":           {ref("", 9090), Service{}, pair, "10.0.0.7:32769"},
		"two containers with one port":  {ref("", 8080), Service{}, twice, "problem: its tasks publish several container ports: basket:8080, web:8080; set SERVICE_CONTAINER_2"},
		"settled by both":               {ref("basket", 8080), Service{}, twice, "10.0.0.7:32769"},
		"both, and the port is wrong":   {ref("web", 32768), Service{}, pair, "problem: the container web does not publish the container port 32768; the task publishes basket:9090, web:8080: change SERVICE_PORT_2 (it is never the host port), or the task definition"},
		"both, not publishing yet":      {ref("web", 81), Service{}, waiting, "t1: its container web is PENDING: it waits for its image, or for another container (dependsOn)"},
		"no doubt before it starts":     {ref("", 0), Service{}, unstarted, "t1: its container web is PENDING: it waits for its image, or for another container (dependsOn)"},
		"doubt though one has ended":    {ref("", 81), Service{}, ended, "problem: no container publishes the container port 81"},
		"both, in host mode":            {ref("web", 81), Service{}, host, "10.0.0.7:81"},
		"by a target group":             {ref("", 0), Service{Targets: []Target{{"basket", 9090}}}, pair, "10.0.0.7:32769"},
		"two target groups":             {ref("", 0), Service{Targets: []Target{{"basket", 9090}, {"web", 8080}}}, pair, "problem: its target groups or registries name several container ports: basket:9090, web:8080; set SERVICE_CONTAINER_2 or SERVICE_PORT_2"},
		"two ports of one container":    {ref("", 0), Service{Targets: []Target{{"web", 1}, {"web", 8080}}}, pair, "problem: its target groups or registries name several container ports: web:1, web:8080; set SERVICE_PORT_2"},
		"two target groups, settled":    {ref("web", 0), Service{Targets: []Target{{"basket", 9090}, {"web", 8080}}}, pair, "10.0.0.7:32768"},
		"settings beat a target group":  {ref("web", 8080), Service{Targets: []Target{{"basket", 9090}}}, pair, "10.0.0.7:32768"},
		"a registry without port":       {ref("", 0), Service{Targets: []Target{{"", 0}}}, bridgeTask("t1", 32768), "10.0.0.7:32768"},
		"a registry with a port alone":  {ref("", 0), Service{Targets: []Target{{"", 3000}}}, sidecars, "10.0.1.5:3000"},
		"no such container":             {ref("wbe", 0), Service{}, pair, "problem: no container is named wbe; the task has basket, web: change SERVICE_CONTAINER_2"},
		"no such port":                  {ref("", 81), Service{}, pair, "problem: no container publishes the container port 81; the task publishes basket:9090, web:8080: change SERVICE_PORT_2 (it is never the host port)"},
		"the host port by mistake":      {ref("", 32768), Service{}, pair, "problem: no container publishes the container port 32768"},
		"awsvpc tells no port":          {ref("", 0), Service{}, sidecars, "problem: in the network mode awsvpc nothing tells the port but a target group or a registry, and the service has none: set SERVICE_PORT_2 to the port on which its container listens"},
		"awsvpc with a port":            {ref("", 3000), Service{}, sidecars, "10.0.1.5:3000"},
		"awsvpc with a target group":    {ref("", 0), Service{Targets: []Target{{"app", 3000}}}, sidecars, "10.0.1.5:3000"},
		"a target group for what isn't": {ref("", 0), Service{Targets: []Target{{"gone", 3000}}}, sidecars, "t1: it has no container gone, which a target group or registry names; it has app, envoy, nightjar: set SERVICE_CONTAINER_2"},
		"host mode with a port":         {ref("", 8080), Service{}, host, "10.0.0.7:8080"},
		"host mode without":             {ref("", 0), Service{}, host, "problem: no container publishes a tcp port: publish one in the task definition or, in host mode, set SERVICE_PORT_2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := summary(build(test.ref, gather(test.service, test.task)))
			if len(got) == 0 || !strings.HasPrefix(got[0], test.want) {
				t.Fatalf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestADoubtOfANewRevisionLeavesTheOldOneServing(t *testing.T) {
	newer := changed(bridgeTask("t2", 32769), func(t *Task) {
		t.Containers[0].Bindings = append(t.Containers[0].Bindings, Binding{ContainerPort: 9090, HostPort: 32770, Protocol: "tcp"})
	})
	got := build(ref("", 0), gather(Service{}, bridgeTask("t1", 32768), newer))
	if len(got.Endpoints) != 1 || !strings.Contains(got.Problem, "web:8080, web:9090; set SERVICE_PORT_2") {
		t.Fatalf("%+v", got)
	}
}

func TestAnEndpointKeepsWhatExplainsIt(t *testing.T) {
	got := build(ref("", 0), gather(Service{}, bridgeTask("t1", 32768))).Endpoints[0]
	want := mesh.Endpoint{
		Addr: netip.MustParseAddrPort("10.0.0.7:32768"), Task: "t1", Health: mesh.Healthy, Container: "web", Port: 8080,
		Zone: "eu-west-1a", Deployment: "ecs-svc/1", Revision: "web:7",
	}
	if got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
}

func TestTheOrderOfAnswersDoesNotMatter(t *testing.T) {
	var tasks, reversed []Task
	for n := range 5 {
		tasks = append(tasks, bridgeTask(fmt.Sprint("t", n), uint16(32768+n)))
		reversed = append([]Task{tasks[n]}, reversed...)
	}
	if a, b := build(ref("", 0), gather(Service{}, tasks...)), build(ref("", 0), gather(Service{}, reversed...)); !a.Equal(b) {
		t.Fatalf("%+v\n%+v", a, b)
	}
}
