package e2e

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

// ownWorld is a world with one task of the service own/me, on the loopback address that the containers of awsvpc and host mode
// tasks have for each other; in bridge mode they have docker addresses.
func ownWorld(network, containers string) string {
	return fmt.Sprintf(`
region: eu-west-1
seed: 7
timing: {provision: 50ms, pull: 50ms, sigterm: 1s, deregister: 2s, exit: 100ms, report: 200ms}
clusters:
- name: own
  subnet: 127.0.0.0/30
  instances: [{id: i-0000000000000009, address: 127.0.0.1, docker: NET.9.0/24, zone: eu-west-1a}]
  services:
  - {name: me, desired: 1, network: %s, containers: [%s]}
`, network, containers)
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

// containersOf are the settings of CONTAINER_*_X for path, name and port in turn.
func containersOf(triples ...string) []string {
	var lines []string
	for i := 0; i < len(triples); i += 3 {
		x := fmt.Sprint(i/3 + 1)
		lines = append(lines, "CONTAINER_PATH_"+x+"="+triples[i], "CONTAINER_NAME_"+x+"="+triples[i+1], "CONTAINER_PORT_"+x+"="+triples[i+2])
	}
	return lines
}

func TestIngressReachesTheOwnContainersInEachNetworkMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"awsvpc", "host"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ports := freePorts(t, 2)
			world := ownWorld(mode, fmt.Sprintf("{name: web, ports: [%s]}, {name: api, ports: [%s]}", ports[0], ports[1]))
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

func TestIngressInBridgeModeNeedsNoPublishedPort(t *testing.T) {
	t.Parallel()
	r := inOwnTask(t, ownWorld("bridge", "{name: web, unpublished: [8080]}, {name: api, ports: [8080]}"),
		append(containersOf("/", "web", "8080", "/api", "api", ""), "NIGHTJAR_XDS_LISTEN=unix:"+filepath.Join(shortTempDir(t), "xds.sock"))...)
	r.startNightjar()
	r.startEnvoy()
	for path, container := range map[string]string{"/": "web", "/api": "api"} { // of api the endpoint shows the one port
		r.waitStatus(path, http.StatusOK)
		if got := r.get(path).answer.Container; got != container {
			t.Errorf("%s is answered by %s, want %s", path, got, container)
		}
	}
	for _, s := range r.status().Services {
		if at := s.Endpoints[0].Address; !strings.HasSuffix(at, ":8080") || strings.HasPrefix(at, "127.0.0.1:") {
			t.Errorf("%s is reached at %s, want its docker address", s.Name, at)
		}
	}
}

// TestAnAppThatWaitsForNightjarStarts has the start order of a task whose app depends on nightjar being HEALTHY, and follows
// the app's container through failure and return.
func TestAnAppThatWaitsForNightjarStarts(t *testing.T) {
	t.Parallel()
	const health = "/.nightjar/health"
	for mode, xds := range map[string]string{"awsvpc": "", "bridge": "unix:" + filepath.Join(shortTempDir(t), "xds.sock")} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ports := freePorts(t, 2)
			containers := fmt.Sprintf("{name: side, ports: [%s]}, {name: web, ports: [%s], healthcheck: true, held: true}", ports[0], ports[1])
			r := inOwnTask(t, ownWorld(mode, containers), containersOf("/", "web", ports[1])...)
			if xds != "" {
				r.settings["NIGHTJAR_XDS_LISTEN"] = xds
			}
			task := strings.TrimPrefix(r.settings["ECS_CONTAINER_METADATA_URI_V4"], r.settings["AWS_ENDPOINT_URL"]+"/v4/")
			set := func(status string) { must(t, r.sim.World.SetContainer("own", "me", task, "web", status)) }
			r.startNightjar()
			r.startEnvoy()
			r.eventually("nightjar is ready though the app isn't created", func() bool { return command(r.settings, "ready").Run() == nil })
			r.waitStatus(health, http.StatusServiceUnavailable)
			r.waitStatus("/", http.StatusServiceUnavailable)
			set("CREATED") // nothing listens
			r.eventually("it is known to be created", func() bool {
				s := r.service("own-task/web:" + ports[1])
				return len(s.Endpoints) == 1 || contains(s.Excluded[0].Reason, "no address yet")
			})
			if got := r.get(health); got.status != http.StatusServiceUnavailable {
				t.Errorf("while the app's port is closed: %d", got.status)
			}
			set("RUNNING")
			r.waitStatus(health, http.StatusOK)
			r.waitStatus("/", http.StatusOK)
			set("STOPPED")
			r.waitStatus(health, http.StatusServiceUnavailable)
			set("RUNNING")
			r.waitStatus(health, http.StatusOK)
			must(t, r.sim.World.SetHealth("own", "me", task, "web", "UNHEALTHY"))
			r.waitStatus(health, http.StatusServiceUnavailable)
			r.waitStatus("/", http.StatusOK) // the only endpoint there is serves on
			must(t, r.sim.World.SetHealth("own", "me", task, "web", "HEALTHY"))
			r.waitStatus(health, http.StatusOK)
			must(t, r.sim.Server.Inject(ecssim.Fault{Kind: ecssim.ServerError})) // of AWS, which ingress doesn't need
			set("STOPPED")
			r.waitStatus(health, http.StatusServiceUnavailable)
			set("RUNNING")
			r.waitStatus(health, http.StatusOK)
			if got := r.get(health + "/x"); got.answer.Container != "web" {
				t.Errorf("beside the health path: %+v", got)
			}
			if err := command(r.settings, "ready").Run(); err != nil {
				t.Errorf("once ready, ready: %v", err)
			}
		})
	}
}

// TestAWrongContainerPortIsTold has an app that listens beside the port that is set, and then there.
func TestAWrongContainerPortIsTold(t *testing.T) {
	t.Parallel()
	ports := freePorts(t, 2)
	r := inOwnTask(t, ownWorld("awsvpc", fmt.Sprintf("{name: web, ports: [%s]}", ports[0])), containersOf("/", "web", ports[1])...)
	r.startNightjar()
	r.startEnvoy()
	name := "own-task/web:" + ports[1]
	r.eventually("the port is known to be closed", func() bool {
		endpoints := r.service(name).Endpoints
		return len(endpoints) == 1 && endpoints[0].Health == "closed"
	})
	r.waitStatus("/.nightjar/health", http.StatusServiceUnavailable)
	r.waitStatus("/", http.StatusServiceUnavailable)
	const ask = "Is CONTAINER_PORT_1 right, and is the app up?"
	at := "Nothing listens at 127.0.0.1:" + ports[1]
	r.eventually("the status and the page tell so", func() bool {
		status := r.run("status")
		return contains(status, at+": ") && contains(status, ask) && contains(r.admin("/"), ask)
	})
	if metrics := r.admin("/metrics"); !contains(metrics, fmt.Sprintf(`nightjar_endpoints{service=%q,state="closed"} 1`, name)) {
		t.Errorf("the metrics lack it:\n%s", metrics)
	}
	if got := r.run("explain"); !contains(got, "nothing listens at 127.0.0.1:"+ports[1]+": is CONTAINER_PORT_1 right, and is the app up?") {
		t.Errorf("explain lacks it:\n%s", got)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+ports[1]) // the app listens there, too
	must(t, err)
	defer l.Close()
	r.eventually("nothing needs attention", func() bool { return len(r.status().Attention) == 0 })
	r.waitStatus("/.nightjar/health", http.StatusOK)
}

func TestTwoInboundPorts(t *testing.T) {
	t.Parallel()
	ports := freePorts(t, 4)
	world := ownWorld("awsvpc", fmt.Sprintf("{name: web, ports: [%s]}, {name: api, ports: [%s]}", ports[0], ports[1]))
	r := inOwnTask(t, world, append(containersOf("/", "web", ports[0], "/", "api", ports[1]),
		"INGRESS_LISTEN_PORT=", "CONTAINER_LISTEN_PORT_1="+ports[2], "CONTAINER_LISTEN_PORT_2="+ports[3])...)
	r.startNightjar()
	r.startEnvoy()
	for i, container := range []string{"web", "api"} {
		r.base = "http://127.0.0.1:" + ports[2+i]
		r.waitStatus("/", http.StatusOK)
		if got := r.get("/").answer.Container; got != container {
			t.Errorf("inbound port %d reaches %s, want %s", i+1, got, container)
		}
		r.waitStatus("/.nightjar/health", http.StatusOK)
	}
}

// TestIngressAndEgressWithTwoHops has an app of one task call another task's ingress through its own egress.
func TestIngressAndEgressWithTwoHops(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 1)[0]
	r := inOwnTask(t, ownWorld("awsvpc", fmt.Sprintf("{name: web, ports: [%s]}", port)), containersOf("/shop", "web", port)...)
	r.startNightjar()
	r.startEnvoy()
	ingress := r.base
	r.waitStatus("/shop", http.StatusOK)

	// The other task: its Envoy's egress leads to the first one's ingress, as if that were the container of an ECS service.
	_, ingressPort, _ := strings.Cut(strings.TrimPrefix(ingress, "http://"), ":")
	caller := newRig(t, `
region: eu-west-1
clusters:
- name: far
  subnet: 127.0.0.0/30
  services: [{name: shop, desired: 1, network: awsvpc, launch: FARGATE, containers: [{name: envoy}]}]
- name: c1
  subnet: NET.2.0/24
  instances: [{id: i-0000000000000001, address: NET.1.1}]
  services: [{name: web, desired: 1, network: bridge, containers: [{name: app, ports: [8080]}]}]
`, append(services("/shop", "far/shop", "/web", "c1/web"), "SERVICE_PORT_1="+ingressPort)...)
	caller.startNightjar()
	caller.startEnvoy()
	caller.waitStatus("/shop/x", http.StatusOK)
	caller.waitStatus("/web", http.StatusOK)
	sent := http.Header{
		"X-Forwarded-For": {"203.0.113.7, 198.51.100.2"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"shop.example"},
		"X-Forwarded-Port": {"443"}, "X-Request-Id": {"from-the-app"},
	}
	got, err := caller.send(http.MethodGet, "/shop/x?y=1", nil, sent)
	must(t, err)
	if got.answer.Container != "web" || got.answer.Target != "/shop/x?y=1" {
		t.Errorf("two hops reach %+v", got.answer)
	}
	for name, want := range sent {
		if have := got.answer.Headers.Values(name); !slices.Equal(have, want) {
			t.Errorf("%s arrives as %q, want %q unchanged", name, have, want)
		}
	}
}

// reaches sends a request with headers to the ingress and returns those that reach the app.
func (r *rig) reaches(path string, sent http.Header) http.Header {
	r.t.Helper()
	got, err := r.send(http.MethodGet, path, nil, sent)
	must(r.t, err)
	if got.status != http.StatusOK {
		r.t.Fatalf("%s: %d %s", path, got.status, got.body)
	}
	return got.answer.Headers
}

func TestTrustedHopsDecideWhichForwardedHeadersReachTheApp(t *testing.T) {
	t.Parallel()
	byBalancer := http.Header{ // what a load balancer that ends TLS sends for the client 203.0.113.7, who forged an address
		"X-Forwarded-For": {"6.6.6.6, 203.0.113.7"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"443"},
	}
	byTwo := http.Header{"X-Forwarded-For": {"6.6.6.6, 203.0.113.7, 198.51.100.2"}, "X-Forwarded-Proto": {"https"}}
	forged := http.Header{
		"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil.example"}, "Forwarded": {"for=6.6.6.6"},
		"X-Envoy-External-Address": {"6.6.6.6"}, "X-Envoy-Upstream-Rq-Timeout-Ms": {"1"}, "X-Envoy-Retry-On": {"5xx"},
	}
	for name, test := range map[string]struct {
		hops string
		sent http.Header
		want map[string]string // "" for none
	}{
		"one hop":   {"1", byBalancer, map[string]string{"X-Forwarded-For": "6.6.6.6, 203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"}},
		"two hops":  {"2", byTwo, map[string]string{"X-Forwarded-For": "6.6.6.6, 203.0.113.7, 198.51.100.2", "X-Forwarded-Proto": "https"}},
		"no header": {"1", nil, map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http"}},
		"no hop": {"0", forged, map[string]string{
			"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "", "Forwarded": "",
			"X-Envoy-External-Address": "", "X-Envoy-Upstream-Rq-Timeout-Ms": "", "X-Envoy-Retry-On": "",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := freePorts(t, 1)[0]
			r := inOwnTask(t, ownWorld("awsvpc", fmt.Sprintf("{name: web, ports: [%s]}", port)),
				append(containersOf("/", "web", port), "INGRESS_TRUSTED_HOPS="+test.hops)...)
			r.startNightjar()
			r.startEnvoy()
			r.waitStatus("/", http.StatusOK)
			got := r.reaches("/", test.sent)
			for header, want := range test.want {
				if have := strings.Join(got.Values(header), " | "); have != want {
					t.Errorf("%s arrives as %q, want %q", header, have, want)
				}
			}
		})
	}
}

func TestIngressByServiceWarnsAndReachesItsTasks(t *testing.T) {
	t.Parallel()
	r := newRig(t, worldOf(`- {name: web, desired: 2, network: bridge, containers: [{name: app, ports: [8080]}]}`),
		"EGRESS_LISTEN_PORT=", "INGRESS_LISTEN_ADDRESS=127.0.0.1", "CURRENT_SERVICE_ARN=web", "CLUSTER=c1", "CONTAINER_NAME_1=app", "CONTAINER_PATH_1=/")
	r.settings["INGRESS_LISTEN_PORT"] = strings.TrimPrefix(r.base, "http://127.0.0.1:")
	r.startNightjar()
	r.startEnvoy()
	r.waitTasks("/", "c1", "web", 2)
	r.waitStatus("/.nightjar/health", http.StatusOK)
	if !contains(r.nightjar.output(), "ingress goes to all tasks of the own service") {
		t.Error("the warning is missing")
	}
	must(t, r.sim.World.Scale("c1", "web", 0))
	r.waitStatus("/.nightjar/health", http.StatusServiceUnavailable)
}
