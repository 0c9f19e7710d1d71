package e2e

import (
	"testing"
	"time"
)

// followed checks that a service is followed through a deployment, scaling and a death.
func followed(t *testing.T, world string, settings ...string) {
	t.Helper()
	t.Parallel()
	r := startAll(t, worldOf(world), append(services("/web", "c1/web"), settings...)...)
	r.waitTasks("/web", "c1", "web", 2)
	if got := r.get("/web").answer; got.Port != 8080 || got.Container != "app" {
		t.Errorf("answered by container %s port %d", got.Container, got.Port)
	}
	before := r.sim.World.Tasks("c1", "web")
	must(t, r.sim.World.Scale("c1", "web", 3))
	r.waitTasks("/web", "c1", "web", 3)
	must(t, r.sim.World.Deploy("c1", "web", nil))
	r.eventually("the old tasks are gone", func() bool {
		for _, now := range r.sim.World.Tasks("c1", "web") {
			for _, old := range before {
				if now == old {
					return false
				}
			}
		}
		return true
	})
	r.waitTasks("/web", "c1", "web", 3)
	must(t, r.sim.World.Kill("c1", "web"))
	r.waitTasks("/web", "c1", "web", 3)
	if r.get("/web").answer.Revision != "web:2" {
		t.Errorf("revision %s, want web:2", r.get("/web").answer.Revision)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBridgeWithEphemeralHostPorts(t *testing.T) {
	followed(t, `- {name: web, desired: 2, network: bridge, overlap: 1s, containers: [{name: app, ports: [8080], udp: [8080]}]}`)
}

func TestHostMode(t *testing.T) {
	t.Parallel()
	// One task fits on each of the two instances.
	r := startAll(t, worldOf(`- {name: web, desired: 2, network: host, containers: [{name: app, ports: [8080]}]}`),
		append(services("/web", "c1/web"), "SERVICE_PORT_1=8080")...)
	r.waitTasks("/web", "c1", "web", 2)
	must(t, r.sim.World.Scale("c1", "web", 1))
	r.waitTasks("/web", "c1", "web", 1)
}

func TestHostModeWithBindings(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(`- {name: web, desired: 2, network: host, host_bindings: true, containers: [{name: app, ports: [8080]}]}`),
		services("/web", "c1/web")...)
	r.waitTasks("/web", "c1", "web", 2)
}

func TestAWSVPCOnFargate(t *testing.T) {
	followed(t, `- {name: web, desired: 2, network: awsvpc, launch: FARGATE, overlap: 1s, containers: [{name: app, ports: [8080]}]}`,
		"SERVICE_PORT_1=8080")
}

func TestAWSVPCOnEC2BehindALoadBalancer(t *testing.T) {
	followed(t, `
- name: web
  desired: 2
  network: awsvpc
  overlap: 1s
  containers: [{name: app, ports: [8080]}, {name: envoy, ports: [9901]}]
  load_balancers: [{container: app, port: 8080}]`)
}

func TestManagedInstancesBehindARegistry(t *testing.T) {
	followed(t, `
- name: web
  desired: 2
  network: awsvpc
  launch: MANAGED_INSTANCES
  capacity_provider: mi
  overlap: 1s
  containers: [{name: app, ports: [8080]}]
  registries: [{container: app, port: 8080}]`)
}

func TestECSAnywhereByAttribute(t *testing.T) {
	t.Parallel()
	world := `
region: eu-west-1
clusters:
- name: c1
  instances:
  - {id: mi-0000000000000001, address: NET.1.1, attributes: {nightjar.address: NET.1.1}}
  - {id: mi-0000000000000002, address: NET.1.2}
  services:
  - {name: web, desired: 2, network: bridge, launch: EXTERNAL, containers: [{name: app, ports: [8080]}]}
`
	r := startAll(t, world, services("/web", "c1/web")...)
	r.waitStatus("/web", 200)
	r.eventually("the task on the machine without the attribute is excluded, and the attribute named", func() bool {
		for _, e := range r.status().Services[0].Excluded {
			if contains(e.Reason, "nightjar.address") && contains(e.Reason, "ECS_INSTANCE_ATTRIBUTES") {
				return true
			}
		}
		return false
	})
}

func TestAContainerThatComesBackOnAnotherHostPortIsFollowed(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(`- {name: web, desired: 1, network: bridge, containers: [{name: app, ports: [8080]}]}`),
		services("/web", "c1/web")...)
	r.waitTasks("/web", "c1", "web", 1)
	before := r.status().Services[0].Endpoints[0].Address
	must(t, r.sim.World.RestartContainers("c1", "web", ""))
	begin := time.Now()
	r.eventually("the new host port is known", func() bool {
		now := r.status().Services[0].Endpoints
		return len(now) == 1 && now[0].Address != before
	})
	if took := time.Since(begin); took > 7*time.Second {
		t.Errorf("followed after %s; the contract says 6 s, and this machine gets one more", took)
	}
}

func TestAnUnhealthyContainerIsLeftOut(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(`- {name: web, desired: 2, network: bridge, containers: [{name: app, ports: [8080], healthcheck: true}]}`),
		services("/web", "c1/web")...)
	r.waitTasks("/web", "c1", "web", 2)
	sick := r.sim.World.Tasks("c1", "web")[0]
	must(t, r.sim.World.SetHealth("c1", "web", sick, "app", "UNHEALTHY"))
	r.eventually("the unhealthy task is left out", func() bool {
		now := r.status().Services[0].Endpoints
		return len(now) == 1 && now[0].Task != sick
	})
	other := r.sim.World.Tasks("c1", "web")[1]
	must(t, r.sim.World.SetHealth("c1", "web", other, "app", "UNHEALTHY"))
	r.eventually("all are unhealthy: they stay, rather than none", func() bool { return len(r.status().Services[0].Endpoints) == 2 })
}
