package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/demo"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// zonesWorld is a world in which nightjar's own task is in eu-west-1a, and c1/web has so many tasks in eu-west-1a, b and c, each on
// an instance of its own. ECS does not notice that a task has died.
func zonesWorld(counts ...int) string {
	var instances []string
	for i, count := range counts {
		for n := range count {
			instances = append(instances, fmt.Sprintf("{id: %s, address: NET.%d.%d, zone: eu-west-1%c}", instanceIn(i, n), i+1, n+1, 'a'+i))
		}
	}
	return fmt.Sprintf(`
region: eu-west-1
timing: {provision: 50ms, pull: 50ms, register: 50ms, deregister: 2s, report: 1h}
clusters:
- name: own
  subnet: NET.8.0/24
  instances: [{id: i-0000000000000009, address: NET.9.1, zone: eu-west-1a}]
  services: [{name: me, desired: 1, network: awsvpc, containers: [{name: app, ports: [8080]}]}]
- name: c1
  subnet: NET.7.0/24
  instances: [%s]
  services:
  - {name: web, desired: %d, network: awsvpc, containers: [{name: app, ports: [8080]}], load_balancers: [{container: app, port: 8080}]}
`, strings.Join(instances, ", "), len(instances))
}

// instanceIn is the ID of an instance of zonesWorld.
func instanceIn(zone, n int) string { return fmt.Sprintf("i-00000000000%02d%04d", zone+1, n) }

// startZones runs everything in a zonesWorld, until Envoy has all tasks.
func startZones(t *testing.T, counts []int, settings ...string) *rig {
	t.Helper()
	r := newRig(t, zonesWorld(counts...), append(services("/web", "c1/web"), settings...)...)
	r.settings["ECS_CONTAINER_METADATA_URI_V4"] = r.settings["AWS_ENDPOINT_URL"] + "/v4/" + r.ownTask()
	r.startNightjar()
	r.startEnvoy()
	r.waitStatus("/web", http.StatusOK)
	all := 0
	for _, count := range counts {
		all += count
	}
	r.eventually("Envoy has all tasks", func() bool {
		now := r.status()
		return len(now.Services[0].Endpoints) == all && len(now.Envoys) == 1 && now.Envoys[0].Current
	})
	return r
}

// loseLocal lets the first tasks of eu-west-1a die, so many, and waits until their ports are closed.
func (r *rig) loseLocal(tasks int) {
	r.t.Helper()
	serves := map[string]string{}
	for _, e := range r.service("c1/web").Endpoints {
		serves[e.Task] = e.Address
	}
	for n := range tasks {
		must(r.t, r.sim.World.LoseInstance("c1", instanceIn(0, n)))
	}
	for _, app := range r.sim.World.Apps() {
		delete(serves, app.Task)
	}
	if len(serves) != tasks {
		r.t.Fatalf("%d tasks died, want %d", len(serves), tasks)
	}
	for _, address := range serves {
		r.eventually("nothing listens at "+address, func() bool {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				_ = conn.Close()
			}
			return err != nil
		})
	}
}

// measured is what became of requests.
type measured struct {
	mu     sync.Mutex
	zones  map[string]string // of tasks
	from   time.Time         // those before it count as failed or not alone
	sent   int
	local  int // of sent
	all    int
	failed []demo.Result
}

func (m *measured) add(r demo.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all++
	if r.Err != nil {
		m.failed = append(m.failed, r)
	}
	if m.from.IsZero() || r.At.Before(m.from) {
		return
	}
	m.sent++
	if m.zones[r.Answer.Task] == "eu-west-1a" {
		m.local++
	}
}

func (m *measured) counted() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sent
}

// share is the part of requests that the own zone answered, in percent.
func (m *measured) share() float64 { return 100 * float64(m.local) / float64(m.sent) }

// measureZones runs a load of ten requests at a time while something happens, and until 1,500 requests more are counted.
func (r *rig) measureZones(happens func()) *measured {
	r.t.Helper()
	m := &measured{zones: map[string]string{}}
	for _, e := range r.service("c1/web").Endpoints {
		m.zones[e.Task] = e.Zone
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	load := demo.Load{Base: r.base, Paths: []string{"/web?sleep=30ms"}, Every: 3 * time.Millisecond, Seen: m.add}
	go func() { defer close(done); load.Run(ctx) }()
	defer func() { cancel(); <-done }()
	happens()
	m.mu.Lock()
	m.from = time.Now()
	m.mu.Unlock()
	r.eventually("1,500 requests are answered", func() bool { return m.counted() >= 1500 })
	return m
}

// TestTheOwnZoneGoesFirst measures which part of the requests the own zone answers, and how many fail. docs/zones.md has what
// came of it.
func TestTheOwnZoneGoesFirst(t *testing.T) {
	t.Parallel()
	tests := []struct {
		counts    []int
		what      string
		die       int
		settings  []string
		low, high float64
	}{
		{[]int{4, 4, 4}, "all work", 0, nil, 100, 100},
		{[]int{4, 4, 4}, "all work, ZONE_AWARE=off", 0, []string{"ZONE_AWARE=off"}, 28, 39},
		{[]int{1, 4, 4}, "all work", 0, nil, 8, 15},
		{[]int{0, 4, 4}, "all work", 0, nil, 0, 0},
		{[]int{4, 4, 4}, "half of the own zone's die", 2, nil, 50, 90},
		{[]int{4, 4, 4}, "all of the own zone's die", 4, nil, 0, 0},
	}
	rows := make([]string, len(tests))
	t.Cleanup(func() {
		t.Logf("\n| endpoints in zone a / b / c | what happens | own zone answers | requests | failed |\n| --- | --- | --- | --- | --- |\n%s", strings.Join(rows, "\n"))
	})
	for i, test := range tests {
		counts := strings.Trim(strings.ReplaceAll(fmt.Sprint(test.counts), " ", " / "), "[]")
		t.Run(counts+" "+test.what, func(t *testing.T) {
			t.Parallel()
			r := startZones(t, test.counts, test.settings...)
			m := r.measureZones(func() { r.loseLocal(test.die) })
			if got := m.share(); got < test.low || got > test.high {
				t.Errorf("the own zone answers %.1f %% of the requests; want %g to %g", got, test.low, test.high)
			}
			if len(m.failed) > 0 {
				t.Errorf("%d of %d requests failed, the first: %v", len(m.failed), m.all, m.failed[0].Err)
			}
			rows[i] = fmt.Sprintf("| %s | %s | %.1f %% | %d | %d |", counts, test.what, m.share(), m.all, len(m.failed))
		})
	}
}

func TestAZoneThatBeginsOrCeasesToGoFirstLosesNoRequest(t *testing.T) {
	t.Parallel()
	r := startZones(t, []int{2, 3, 3})
	becomes := func(tasks int, words string) { // the world scales in where the oldest task is
		t.Helper()
		must(t, r.sim.World.Scale("c1", "web", tasks))
		r.eventually(words, func() bool { return contains(r.service("c1/web").ZoneWords, words) })
	}
	m := r.measureZones(func() {
		for range 2 { // the oldest two are there
			becomes(7, "1 of 7 endpoints is in this task's zone, too few")
			becomes(8, "2 of 8 endpoints are in this task's zone and take all")
		}
	})
	if len(m.failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", len(m.failed), m.all, m.failed[0].Err)
	}
}

// TestARetryLeavesAZoneThatIsDead has one request at a time, so that nothing else finds out which endpoints are dead: what render
// prints, in the bootstrap of an Envoy without xDS, as it is and without the retries of other priorities.
func TestARetryLeavesAZoneThatIsDead(t *testing.T) {
	t.Parallel()
	r := startZones(t, []int{4, 4, 4})
	r.envoy.Stop()
	r.loseLocal(4)
	for _, leaves := range []bool{true, false} {
		var document document
		must(t, json.Unmarshal([]byte(r.run("render")), &document))
		if !leaves {
			for _, route := range document.Routes {
				without(route, "retry_priority")
			}
		}
		document.inline()
		for _, c := range document.Clusters {
			c["type"], c["load_assignment"] = "STATIC", document.Endpoints[0]
			delete(c, "eds_cluster_config")
		}
		bootstrap, err := json.Marshal(map[string]any{
			"node":             map[string]any{"id": "static", "cluster": "static"},
			"admin":            map[string]any{"address": map[string]any{"socket_address": map[string]any{"address": "127.0.0.1", "port_value": 0}}},
			"static_resources": map[string]any{"listeners": document.Listeners, "clusters": document.Clusters},
		})
		must(t, err)
		envoy := envoytest.Start(t, envoytest.Options{Bootstrap: bootstrap, Allow: []string{"active downstream connections"}})
		envoy.WaitReady()
		want := map[bool]int{true: http.StatusOK, false: http.StatusServiceUnavailable}[leaves]
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if got, err := r.send(method, "/web", nil, nil); err != nil || got.status != want {
				t.Errorf("retries of other priorities: %t: %s is answered %d %q (%v), want %d", leaves, method, got.status, got.body, err, want)
			}
			if !leaves {
				break // by now some endpoints are ejected
			}
		}
		envoy.Stop()
	}
}

// without takes a key out of everything in a value.
func without(value any, key string) {
	switch v := value.(type) {
	case map[string]any:
		delete(v, key)
		for _, inner := range v {
			without(inner, key)
		}
	case []any:
		for _, inner := range v {
			without(inner, key)
		}
	}
}
