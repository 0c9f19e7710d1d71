package ecs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

func TestARegistryBesideATargetGroupIsNoSecondCandidate(t *testing.T) {
	task := awsvpcTask("t1", "10.0.1.5", "app", "envoy")
	tests := map[string]struct {
		ref     mesh.ServiceRef
		targets []Target
		want    string
	}{
		"a registry of A records, port set":         {ref("", 3000), []Target{{"app", 3000}, {}}, "10.0.1.5:3000"},
		"a registry of A records":                   {ref("", 0), []Target{{"app", 3000}, {}}, "10.0.1.5:3000"},
		"a registry of A records alone":             {ref("", 3000), []Target{{}}, "10.0.1.5:3000"},
		"a registry of A records tells no port":     {ref("", 0), []Target{{}}, "problem: in the network mode awsvpc nothing tells the port"},
		"a registry with the same port":             {ref("", 0), []Target{{"", 3000}, {"app", 3000}}, "10.0.1.5:3000"},
		"a registry with another port":              {ref("", 0), []Target{{"", 4000}, {"app", 3000}}, "problem: its target groups or registries name several container ports: (any container):4000, app:3000; set "},
		"one port of two containers stays in doubt": {ref("", 0), []Target{{"", 80}, {"app", 80}, {"envoy", 80}}, "problem: its target groups or registries name several container ports: app:80, envoy:80"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := summary(build(test.ref, gather(Service{Targets: test.targets}, task)))
			if len(got) == 0 || !strings.HasPrefix(got[0], test.want) {
				t.Fatalf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestARegistryWithoutContainerDoesNotSettleWhichOfTwoPublishesThePort(t *testing.T) {
	task := changed(bridgeTask("t1", 32768), func(t *Task) {
		t.Containers = append(t.Containers, Container{Name: "basket", LastStatus: "RUNNING", Bindings: []Binding{{ContainerPort: 8080, HostPort: 32769}}})
	})
	got := build(ref("", 8080), gather(Service{Targets: []Target{{}}}, task))
	if len(got.Endpoints) != 0 || !strings.HasSuffix(got.Problem, "basket:8080, web:8080; set SERVICE_CONTAINER_2") {
		t.Fatalf("%+v", got)
	}
}

func TestARangeOfPortsIsSeveralCandidates(t *testing.T) {
	task := shapes(t)["bridge_ec2_port_range"]
	g := gather(Service{}, task)
	g.instances[task.ContainerInstance] = g.instances["ci"]
	single := gather(Service{}, changed(bridgeTask("t1", 1), func(t *Task) {
		t.Containers[0].Bindings = []Binding{{ContainerPortRange: "9000-9000", HostPortRange: "40000-40000", Protocol: "tcp"}}
	}))
	udp := gather(Service{}, changed(bridgeTask("t1", 1), func(t *Task) {
		t.Containers[0].Bindings = []Binding{{ContainerPortRange: "9000-9010", HostPortRange: "40000-40010", Protocol: "udp"}}
	}))
	portless := gather(Service{}, changed(bridgeTask("t1", 1), func(t *Task) {
		t.Containers[0].Bindings = []Binding{{HostPort: 5, Protocol: "tcp"}}
	}))
	tests := map[string]struct {
		ref  mesh.ServiceRef
		g    gathered
		want string
	}{
		"no port set":         {ref("", 0), g, "problem: its tasks publish several container ports: web:9000, web:9010; set SERVICE_PORT_2"},
		"inside":              {ref("", 9004), g, "10.0.0.7:49157"},
		"beyond":              {ref("", 9011), g, "problem: no container publishes the container port 9011"},
		"a range of one":      {ref("", 0), single, "10.0.0.7:40000"},
		"a host port alone":   {ref("", 0), portless, "problem: no container publishes a tcp port"},
		"udp is none of ours": {ref("", 0), udp, "problem: no container publishes a tcp port"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := summary(build(test.ref, test.g)); !strings.HasPrefix(got[0], test.want) {
				t.Fatalf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestRevisionsMayDiffer(t *testing.T) {
	renamed := changed(bridgeTask("t2", 32769), func(t *Task) {
		t.TaskDefinition, t.Containers[0].Name, t.Containers[0].Bindings[0].ContainerPort = "x/web:8", "api", 9090
	})
	g := gather(Service{}, bridgeTask("t1", 32768), renamed)
	if diff := cmp.Diff([]string{"10.0.0.7:32768", "10.0.0.7:32769"}, summary(build(ref("", 0), g))); diff != "" {
		t.Errorf("each task by what it publishes itself: %s", diff)
	}
	want := []string{
		"10.0.0.7:32768", "problem: no container is named web; the task has api: change SERVICE_CONTAINER_2",
		"t2: no container is named web; the task has api: change SERVICE_CONTAINER_2",
	}
	if diff := cmp.Diff(want, summary(build(ref("web", 0), g))); diff != "" {
		t.Errorf("a revision without the container is left out, the other serves: %s", diff)
	}
}
