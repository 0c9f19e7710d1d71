package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

// ownWorld is a world whose ECS cluster own has one task of the service own/me, on the loopback address that awsvpc and host
// mode tasks have for each other, and whose ECS cluster c1 has the services given.
func ownWorld(network, containers, services string) string {
	return fmt.Sprintf(`
region: eu-west-1
seed: 7
timing: {provision: 50ms, pull: 50ms, sigterm: 1s, deregister: 2s, exit: 100ms, report: 200ms}
clusters:
- name: own
  subnet: 127.0.0.0/30
  instances: [{id: i-0000000000000009, address: 127.0.0.1, zone: eu-west-1a}]
  services:
  - {name: me, desired: 1, network: %s, containers: [%s]}
- name: c1
  subnet: NET.2.0/24
  instances:
  - {id: i-0000000000000001, address: NET.1.1, zone: eu-west-1a}
  services:
`, network, containers) + indentYAML(services)
}

// inOwnTask is newRig with nightjar in the task of own/me, and an ingress listener.
func inOwnTask(t testing.TB, world string, settings ...string) *rig {
	t.Helper()
	r := newRig(t, world, "EGRESS_LISTEN_PORT=", "INGRESS_LISTEN_ADDRESS=127.0.0.1")
	port := freePorts(t, 1)[0]
	r.base = "http://127.0.0.1:" + port
	r.settings["INGRESS_LISTEN_PORT"] = port
	r.settings["ECS_CONTAINER_METADATA_URI_V4"] = r.settings["AWS_ENDPOINT_URL"] + "/v4/" + r.ownTask()
	for _, line := range settings {
		name, value, _ := strings.Cut(line, "=")
		r.settings[name] = value
	}
	return r
}

// ownTask waits for the task of own/me to have a running container, and returns its ID.
func (r *rig) ownTask() string {
	r.t.Helper()
	for late := time.Now().Add(patience); time.Now().Before(late); time.Sleep(10 * time.Millisecond) {
		for _, app := range r.sim.World.Apps() {
			if app.Cluster == "own" {
				return app.Task
			}
		}
	}
	r.t.Fatal("the own task doesn't start")
	return ""
}

// containerOf are the settings of CONTAINER_*_X for path, name and port in turn.
func containersOf(triples ...string) []string {
	var lines []string
	for i := 0; i < len(triples); i += 3 {
		x := fmt.Sprint(i/3 + 1)
		lines = append(lines, "CONTAINER_PATH_"+x+"="+triples[i], "CONTAINER_NAME_"+x+"="+triples[i+1], "CONTAINER_PORT_"+x+"="+triples[i+2])
	}
	return lines
}

const oneBeside = `- {name: web, desired: 1, network: bridge, containers: [{name: app, ports: [8080]}]}`

func TestIngressReachesTheOwnContainersInEachNetworkMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"awsvpc", "host"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ports := freePorts(t, 2)
			world := ownWorld(mode, fmt.Sprintf("{name: web, ports: [%s]}, {name: api, ports: [%s]}", ports[0], ports[1]), oneBeside)
			r := inOwnTask(t, world, containersOf("/", "web", ports[0], "/api", "api", ports[1])...)
			r.startNightjar()
			r.startEnvoy()
			for path, container := range map[string]string{"/": "web", "/apix": "web", "/api": "api", "/api/x": "api"} {
				r.waitStatus(path, http.StatusOK)
				if got := r.get(path).answer; got.Container != container || got.Service != "own/me" {
					t.Errorf("%s is answered by %s of %s, want %s", path, got.Container, got.Service, container)
				}
			}
			if calls := r.sim.Server.Counts(); len(calls) > 0 {
				t.Errorf("ingress alone asked AWS: %v", calls)
			}
		})
	}
}

func TestTheHealthPathTellsTheTruth(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 1)[0]
	r := inOwnTask(t, ownWorld("awsvpc", fmt.Sprintf("{name: web, ports: [%s], healthcheck: true}, {name: side, ports: []}", port), oneBeside),
		containersOf("/", "web", port)...)
	r.startNightjar()
	r.startEnvoy()
	r.waitStatus("/.nightjar/health", http.StatusOK)
	if got := r.get("/.nightjar/health/x"); got.answer.Container != "web" {
		t.Errorf("beside the health path: %+v", got)
	}
	must(t, r.sim.Server.Inject(ecssim.Fault{Kind: ecssim.ServerError}))
	r.waitStatus("/.nightjar/health", http.StatusOK)
}
