package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/demo"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

const twoServices = `
- {name: old, desired: 2, network: bridge, containers: [{name: app, ports: [8080]}]}
- {name: new, desired: 1, network: bridge, containers: [{name: app, ports: [8080]}]}
`

// count sends requests for /web and tells how many each service answered with 200; "" counts the others.
func count(base string, requests int) map[string]int {
	client := &http.Client{Timeout: 10 * time.Second}
	answered := map[string]int{}
	for range requests {
		got := demo.Get(client, base, "/web")
		if got.Err != nil {
			answered[""]++
			continue
		}
		answered[got.Answer.Service]++
	}
	return answered
}

func TestWeightsShareAPathAndAnEmptyServicePassesItsShareOn(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoServices), append(services("/web", "c1/old", "/web", "c1/new"), "SERVICE_WEIGHT_1=9", "SERVICE_WEIGHT_2=1")...)
	r.eventually("both are known", func() bool {
		return len(r.service("c1/old").Endpoints) == 2 && len(r.service("c1/new").Endpoints) == 1
	})
	r.waitStatus("/web", http.StatusOK)
	const requests = 10_000
	got := count(r.base, requests)
	if share := float64(got["c1/new"]) / requests; math.Abs(share-0.1) > 0.02 || got[""] > 0 {
		t.Errorf("of %d requests: %v; want a tenth ± 2 %% for c1/new, and none failed", requests, got)
	}
	t.Logf("weights 9 and 1: %v", got)
	must(t, r.sim.World.Scale("c1", "new", 0))
	r.eventually("c1/new is empty", func() bool {
		return contains(r.nightjar.output(), "c1/new has nothing to serve; the others take its share")
	})
	if got := count(r.base, 1000); got["c1/old"] != 1000 {
		t.Errorf("with c1/new empty: %v", got)
	}
	must(t, r.sim.World.Scale("c1", "new", 1))
	r.eventually("c1/new has its share again", func() bool { return count(r.base, 100)["c1/new"] > 0 })
	must(t, r.sim.World.Scale("c1", "old", 0))
	r.eventually("with c1/old empty c1/new takes all", func() bool { return count(r.base, 50)["c1/new"] == 50 })
}

func TestAWeightOfZeroTakesNothing(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoServices), append(services("/web", "c1/old", "/web", "c1/new"), "SERVICE_WEIGHT_2=0")...)
	r.waitStatus("/web", http.StatusOK)
	if got := count(r.base, 500); got["c1/old"] != 500 {
		t.Errorf("%v", got)
	}
}

func TestProtocolsTowardsTheApp(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoServices), append(services("/one", "c1/old", "/two", "c1/new"), "SERVICE_PROTOCOL_2=http2")...)
	r.waitStatus("/one", http.StatusOK)
	r.waitStatus("/two", http.StatusOK)
	if one, two := r.get("/one").answer.Protocol, r.get("/two").answer.Protocol; one != "HTTP/1.1" || two != "HTTP/2.0" {
		t.Errorf("reached by %s and %s, want HTTP/1.1 and HTTP/2.0", one, two)
	}
	// Another protocol at a restart changes a live Envoy cluster, which then waits for its endpoints again.
	stop := underLoad(t, r.base, "/one", "/two")
	r.settings["SERVICE_PROTOCOL_2"], r.settings["SERVICE_PROTOCOL_1"] = "http1", "grpc"
	r.stopNightjar(9)
	r.startNightjar()
	begin := time.Now()
	r.within(10*time.Second, "both protocols are changed", func() bool {
		return r.get("/one").answer.Protocol == "HTTP/2.0" && r.get("/two").answer.Protocol == "HTTP/1.1"
	})
	t.Logf("changed %s after the start of nightjar", time.Since(begin).Round(time.Millisecond))
	must(t, r.sim.World.Scale("c1", "new", 2))
	r.waitTasks("/two", "c1", "new", 2)
	sent, failed := stop()
	noneFailed(t, sent, failed)
}

func TestListenPortsOfTheirOwn(t *testing.T) {
	t.Parallel()
	ports := freePorts(t, 2)
	r := startAll(t, worldOf(twoServices), append(services("/", "c1/old", "/", "c1/new"),
		"EGRESS_LISTEN_PORT=", "SERVICE_LISTEN_PORT_1="+ports[0], "SERVICE_LISTEN_PORT_2="+ports[1])...)
	for i, service := range []string{"c1/old", "c1/new"} {
		r.base = "http://127.0.0.1:" + ports[i]
		r.waitStatus("/", http.StatusOK)
		if got := r.get("/").answer.Service; got != service {
			t.Errorf("port %d reaches %s, want %s", i+1, got, service)
		}
	}
}

func TestTimeoutsEndARequestAsAWhole(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoServices), append(services("/short", "c1/old", "/long", "c1/new"), "SERVICE_TIMEOUT_1=300ms")...)
	r.waitStatus("/short", http.StatusOK)
	r.waitStatus("/long", http.StatusOK)
	begin := time.Now()
	if got := r.get("/short?sleep=2s"); got.status != http.StatusGatewayTimeout || time.Since(begin) > 1500*time.Millisecond {
		t.Errorf("with SERVICE_TIMEOUT_1=300ms: %d after %s", got.status, time.Since(begin))
	}
	if got := r.get("/long?sleep=2s"); got.status != http.StatusOK {
		t.Errorf("without: %d", got.status)
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoServices), append(services("/none", "c1/old", "/usual", "c1/new"), "SERVICE_RETRIES_1=0")...)
	r.waitStatus("/none", http.StatusOK)
	r.waitStatus("/usual", http.StatusOK)
	// The app breaks the connection of the first try: what may be repeated is, where retries are allowed.
	for path, want := range map[string]int{"/none": http.StatusServiceUnavailable, "/usual": http.StatusOK} {
		if got := r.get(path + "?break=" + strings.Trim(path, "/")); got.status != want {
			t.Errorf("%s answers %d, want %d", path, got.status, want)
		}
	}
}

// buffer is a bytes.Buffer for a process's output.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) lines() []map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []map[string]any
	for line := range strings.Lines(b.text.String()) {
		var one map[string]any
		if json.Unmarshal([]byte(line), &one) == nil {
			all = append(all, one)
		}
	}
	return all
}

func TestTheAccessLog(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]int{"off": 0, "errors": 1, "all": 2} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, worldOf(twoServices), append(services("/web", "c1/old", "/slow", "c1/new"),
				"NIGHTJAR_ACCESS_LOG="+mode, "SERVICE_TIMEOUT_2=200ms")...)
			r.startNightjar()
			out := &buffer{}
			r.envoy = envoytest.Start(t, envoytest.Options{Bootstrap: []byte(r.run("bootstrap")), Stdout: out})
			r.waitStatus("/web", http.StatusOK)
			r.waitStatus("/slow", http.StatusOK)
			id := http.Header{"X-Request-Id": {"mine"}}
			for _, path := range []string{"/web/x?secret=1", "/slow/y?sleep=5s"} {
				if _, err := r.send(http.MethodGet, path, nil, id); err != nil {
					t.Fatal(err)
				}
			}
			r.envoy.Stop() // which writes what is buffered
			lines := slices.DeleteFunc(out.lines(), func(l map[string]any) bool { return l["path"] == "/web" || l["path"] == "/slow" })
			if len(lines) != want {
				t.Fatalf("%d lines, want %d: %v", len(lines), want, lines)
			}
			if want == 0 {
				return
			}
			last := lines[want-1]
			for field, value := range map[string]any{
				"route": "/slow", "service": "c1/new", "path": "/slow/y", "method": "GET", "status": float64(504), "flags": "UT", "request_id": "mine",
			} {
				if last[field] != value {
					t.Errorf("%s is %v, want %v: %v", field, last[field], value, last)
				}
			}
			if d, ok := last["duration_ms"].(float64); !ok || d < 150 || last["endpoint"] == nil {
				t.Errorf("duration and endpoint: %v", last)
			}
		})
	}
}

func TestTheListenerOfEnvoysMetricsServesNothingElse(t *testing.T) {
	t.Parallel()
	at := "127.0.0.1:" + freePorts(t, 1)[0]
	r := startAll(t, worldOf(twoServices), append(services("/web", "c1/old"), "NIGHTJAR_ENVOY_STATS_LISTEN="+at)...)
	r.waitStatus("/web", http.StatusOK)
	for path, want := range map[string]int{
		"/metrics": 200, "/stats/prometheus": 200, "/stats/prometheus?usedonly": 200,
		"/stats": 404, "/quitquitquit": 404, "/config_dump": 404, "/metrics/../config_dump": 404, "/": 404, "/metrics/x": 404,
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			req, err := http.NewRequest(method, "http://"+at+path, nil)
			must(t, err)
			resp, err := http.DefaultClient.Do(req)
			must(t, err)
			body, err := io.ReadAll(resp.Body)
			must(t, err)
			must(t, resp.Body.Close())
			if method == http.MethodPost {
				want = 404
			}
			if resp.StatusCode != want || want == 200 && !contains(string(body), "envoy_cluster_upstream_rq") {
				t.Errorf("%s answers %d, want %d: %.100s", fmt.Sprint(method, " ", path), resp.StatusCode, want, body)
			}
		}
	}
}
