package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

const twoContainers = `
- name: pair
  desired: 1
  network: bridge
  containers: [{name: web, ports: [8080]}, {name: basket, ports: [9090]}]
- {name: good, desired: 1, network: bridge, containers: [{name: app, ports: [8080]}]}
`

func TestAnAmbiguousContainerAnswers503AndNamesCandidatesAndVariable(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoContainers), services("/pair", "c1/pair", "/good", "c1/good")...)
	r.waitStatus("/good", http.StatusOK)
	r.waitStatus("/pair", http.StatusServiceUnavailable)
	want := []string{"web:8080", "basket:9090", "SERVICE_CONTAINER_1 or SERVICE_PORT_1"}
	r.eventually("status and log name candidates and variable", func() bool {
		problem, log := r.service("c1/pair").Problem, r.nightjar.output()
		for _, w := range want {
			if !contains(problem, w) || !contains(log, w) {
				return false
			}
		}
		return true
	})
	r.stopNightjar(9)
	r.settings["SERVICE_CONTAINER_1"] = "basket"
	r.startNightjar()
	r.waitStatus("/pair", http.StatusOK)
	if got := r.get("/pair").answer; got.Container != "basket" || got.Port != 9090 {
		t.Errorf("answered by %s:%d", got.Container, got.Port)
	}
}

func TestAPortChoosesTheContainer(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoContainers), append(services("/a", "c1/pair", "/b", "c1/pair"), "SERVICE_PORT_1=8080", "SERVICE_PORT_2=9090")...)
	r.waitStatus("/a", http.StatusOK)
	r.waitStatus("/b", http.StatusOK)
	if a, b := r.get("/a").answer, r.get("/b").answer; a.Container != "web" || b.Container != "basket" {
		t.Errorf("answered by %s and %s", a.Container, b.Container)
	}
}

func TestAWSVPCWithoutAPortNamesTheVariable(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(`- {name: web, desired: 1, network: awsvpc, launch: FARGATE, containers: [{name: app, ports: [8080]}]}`),
		services("/web", "c1/web")...)
	r.waitStatus("/web", http.StatusServiceUnavailable)
	r.eventually("the problem names SERVICE_PORT_1", func() bool { return contains(r.status().Services[0].Problem, "SERVICE_PORT_1") })
}

func TestAMistypedServiceBesideGoodOnes(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoContainers), services("/good", "c1/good", "/typo", "c1/goood", "/elsewhere", "c2/good")...)
	r.waitStatus("/good", http.StatusOK)
	r.waitStatus("/typo", http.StatusServiceUnavailable)
	r.waitStatus("/elsewhere", http.StatusServiceUnavailable)
	r.eventually("it is ready all the same", func() bool { return r.status().Ready })
	problems := map[string]string{}
	for _, s := range r.status().Services {
		problems[s.Name] = s.Problem
	}
	if !contains(problems["c1/goood"], "SERVICE_ARN_2") || !contains(problems["c2/good"], "there is no ECS cluster c2") || problems["c1/good"] != "" {
		t.Errorf("problems: %q", problems)
	}
}

func TestAServiceAtZeroAnswers503AndComesBack(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoContainers), services("/good", "c1/good", "/pair", "c1/pair")...)
	r.waitStatus("/good", http.StatusOK)
	must(t, r.sim.World.Scale("c1", "good", 0))
	r.waitStatus("/good", http.StatusServiceUnavailable)
	must(t, r.sim.World.Scale("c1", "good", 2))
	r.waitTasks("/good", "c1", "good", 2)
}

func TestADeletedServiceLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoContainers), append(services("/good", "c1/good", "/pair", "c1/pair"), "SERVICE_CONTAINER_2=web")...)
	r.waitStatus("/good", http.StatusOK)
	r.waitStatus("/pair", http.StatusOK)
	must(t, r.sim.World.Delete("c1", "good"))
	r.waitStatus("/good", http.StatusServiceUnavailable)
	if got := r.get("/pair"); got.status != http.StatusOK {
		t.Errorf("/pair answers %d", got.status)
	}
}

func TestTwelveServicesWithAHundredAndTwentyTasks(t *testing.T) {
	t.Parallel()
	var world strings.Builder
	var pairs []string
	for n := 1; n <= 12; n++ {
		network := "bridge"
		if n%2 == 0 {
			network = "awsvpc"
		}
		fmt.Fprintf(&world, "- {name: s%d, desired: 10, network: %s, containers: [{name: app, ports: [8080]}], "+
			"load_balancers: [{container: app, port: 8080}]}\n", n, network)
		pairs = append(pairs, fmt.Sprintf("/s%d", n), fmt.Sprintf("c1/s%d", n))
	}
	// The thirteenth has more tasks than fit on a page of a list.
	world.WriteString("- {name: many, desired: 120, network: bridge, containers: [{name: app, ports: [8080]}]}\n")
	r := startAll(t, worldOf(world.String()), services(append(pairs, "/many", "c1/many")...)...)
	r.eventually("all 240 endpoints are known", func() bool {
		count := 0
		for _, s := range r.status().Services {
			count += len(s.Endpoints)
		}
		return count == 240
	})
	for n := 1; n <= 12; n++ {
		r.waitTasks(fmt.Sprintf("/s%d", n), "c1", fmt.Sprintf("s%d", n), 10)
	}
	r.waitTasks("/many", "c1", "many", 120)
}

func TestTwoECSClusters(t *testing.T) {
	t.Parallel()
	world := `
region: eu-west-1
clusters:
- name: c1
  subnet: NET.2.0/24
  instances: [{id: i-0000000000000001, address: NET.1.1}]
  services: [{name: web, desired: 2, network: bridge, containers: [{name: app, ports: [8080]}]}]
- name: c2
  subnet: NET.3.0/24
  instances: [{id: i-0000000000000002, address: NET.1.2}]
  services: [{name: web, desired: 3, network: bridge, containers: [{name: app, ports: [8080]}]}]
`
	r := startAll(t, world, services("/one", "c1/web", "/two", "c2/web")...)
	r.waitTasks("/one", "c1", "web", 2)
	r.waitTasks("/two", "c2", "web", 3)
}

func TestAFargateOnlyWorldIsReadWithoutTheInstanceReads(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(`- {name: web, desired: 2, network: awsvpc, launch: FARGATE, containers: [{name: app, ports: [8080]}]}`),
		append(services("/web", "c1/web"), "SERVICE_PORT_1=8080")...)
	r.waitTasks("/web", "c1", "web", 2)
	must(t, r.sim.World.Scale("c1", "web", 3))
	r.waitTasks("/web", "c1", "web", 3)
	for call, n := range r.sim.Server.Counts() {
		if strings.HasPrefix(call, "DescribeContainerInstances") || strings.HasPrefix(call, "DescribeInstances") {
			t.Errorf("%s: %d calls", call, n)
		}
	}
}

func TestAFaultOfAWSLeavesTheRoutesAsTheyWere(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoContainers), services("/good", "c1/good")...)
	r.waitStatus("/good", http.StatusOK)
	for _, kind := range []ecssim.FaultKind{ecssim.Throttle, ecssim.ServerError, ecssim.AccessDenied, ecssim.Empty, ecssim.WrongType, ecssim.Truncated} {
		must(t, r.sim.Server.Inject(ecssim.Fault{Kind: kind}))
		r.eventually(string(kind)+" is told in the status", func() bool { return r.status().Services[0].Error != "" })
		if got := r.get("/good"); got.status != http.StatusOK {
			t.Errorf("%s: /good answers %d", kind, got.status)
		}
		if !r.status().Ready {
			t.Errorf("%s: not ready any more", kind)
		}
		r.sim.Server.Heal()
		r.eventually("it is read again after "+string(kind), func() bool { return r.status().Services[0].Error == "" })
	}
}
