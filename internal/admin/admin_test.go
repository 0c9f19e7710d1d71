package admin

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/groboclown/nightjar-mesh/internal/control"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// known is a nightjar's knowledge, set by a test.
type known struct {
	status   control.Status
	nodes    []xds.Node
	accepted bool
	refusal  *xds.Refusal
	note     string
	pace     ReadPace
	left     time.Time
}

func (k *known) Status() control.Status    { return k.status }
func (k *known) Nodes() []xds.Node         { return k.nodes }
func (k *known) LastRefusal() *xds.Refusal { return k.refusal }
func (k *known) Accepted() bool            { return k.accepted }
func (k *known) Left() time.Time           { return k.left }
func (k *known) Rates() map[string]float64 { return map[string]float64{"ecs-read": 0.5} }

func (k *known) Pace() ReadPace { return k.pace }

// corsOf are the headers that let pages of other origins read an answer.
func corsOf(h http.Header) []string {
	return slices.DeleteFunc(slices.Collect(maps.Keys(h)), func(name string) bool { return !strings.HasPrefix(name, "Access-Control-") })
}

// everything is a nightjar with something of each kind to tell.
func everything() *known {
	return &known{
		accepted: true,
		nodes:    []xds.Node{{ID: "task/1", Version: "1.40.0", PendingSince: time.Now().Add(-time.Minute)}},
		refusal:  &xds.Refusal{Type: "cluster", Name: "c1/orders", Message: "no"},
		pace:     ReadPace{Quiet: 5 * time.Second, Moving: 4 * time.Second, Tasks: 17 * time.Second, Readers: 60, Words: "3 services"},
		status: control.Status{
			Wait: 100 * time.Millisecond,
			Services: []control.ServiceStatus{
				{
					Answered: true, ReadAt: time.Now().Add(-time.Second), Err: errors.New("throttled"), FailingSince: time.Now(),
					Service: &mesh.Service{
						Name: "c1/orders", State: mesh.Active,
						Endpoints: []mesh.Endpoint{{Addr: netip.MustParseAddrPort("10.0.0.1:32768"), Task: "3f2a", Health: mesh.Healthy}},
						Excluded:  []mesh.Excluded{{Task: "77aa", Reason: "container web is UNHEALTHY"}},
					},
				},
				{Answered: true, Service: &mesh.Service{Name: "c1/doubt", State: mesh.Active, Problem: "set SERVICE_PORT_2"}},
			},
			Proxies: []mesh.Proxy{{
				Listeners: []mesh.Listener{{Name: "egress", Addr: netip.MustParseAddrPort("127.0.0.1:8080")}},
				Routes:    []mesh.Route{{Listener: "egress", Path: "/orders", Service: "c1/orders", Origin: "SERVICE_PATH_1"}},
			}},
		},
	}
}

func serverOf(k *known) *Server {
	return &Server{Version: "test", Loop: k, Envoys: k, Rates: k, Reader: k, Metrics: NewMetrics(), EnvoyNote: func() string { return k.note }}
}

func get(t *testing.T, s *Server, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	body, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

func TestReadinessSaysWhatItWaitsFor(t *testing.T) {
	tests := map[string]struct {
		change func(*known)
		code   int
		want   string
	}{
		"ready":        {func(*known) {}, 200, "ready"},
		"not read yet": {func(k *known) { k.status.Services[1].Answered = false }, 503, "AWS has not answered yet for 1 of 2 services: c1/doubt"},
		"own containers are none of AWS's": {func(k *known) {
			k.status.Services[1].Answered = false
			k.status.Services = append(k.status.Services, control.ServiceStatus{
				Own: true, Err: errors.New("no metadata"), Service: &mesh.Service{Name: "own-task/app", State: mesh.Unread},
			})
		}, 503, "AWS has not answered yet for 1 of 2 services: c1/doubt\n"},
		"own containers are not waited for": {func(k *known) {
			k.status.Services = append(k.status.Services, control.ServiceStatus{Own: true, Service: &mesh.Service{Name: "own-task/app", State: mesh.Unread}})
		}, 200, "ready"},
		"its error":    {func(k *known) { k.status.Services[0].Answered = false }, 503, "throttled"},
		"no Envoy yet": {func(k *known) { k.accepted, k.nodes = false, nil }, 503, "no Envoy has connected to NIGHTJAR_XDS_LISTEN"},
		"not accepted": {func(k *known) { k.accepted = false }, 503, "has not accepted clusters and listeners"},
		"once ready, ready: a fault later and a lost Envoy": {
			func(k *known) { k.nodes = nil; k.status.Services[1].Err = errors.New("AWS is away") }, 200, "ready",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := everything()
			test.change(k)
			code, body := get(t, serverOf(k), "/readyz")
			if code != test.code || !strings.Contains(body, test.want) {
				t.Fatalf("%d %q, want %d with %q", code, body, test.code, test.want)
			}
		})
	}
}

func TestTheStatusTellsEverything(t *testing.T) {
	code, body := get(t, serverOf(everything()), "/api/status")
	var report Report
	if err := json.Unmarshal([]byte(body), &report); err != nil || code != 200 {
		t.Fatalf("%d: %v", code, err)
	}
	for _, want := range []string{
		`"address": "10.0.0.1:32768"`, `"reason": "container web is UNHEALTHY"`, `"error": "throttled"`, `"problem": "set SERVICE_PORT_2"`,
		`"path": "/orders"`, `"origin": "SERVICE_PATH_1"`, `"address": "127.0.0.1:8080"`, `"ecs-read": 0.5`, `"version": "1.40.0"`,
		`"message": "no"`, `"ready": true`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
}

func TestMetricsHaveTheContractsNamesAndFollowPromlint(t *testing.T) {
	s := serverOf(everything())
	s.Metrics.Called("ListTasks", "ok", time.Millisecond)
	s.Metrics.Changed("c1/orders")
	s.Metrics.Refused("cluster")
	s.Metrics.Overdue()
	s.Metrics.Acknowledged(time.Millisecond)
	gatherer := s.Metrics.gatherer(s)
	problems, err := testutil.GatherAndLint(gatherer)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	_, body := get(t, s, "/metrics")
	for _, want := range []string{
		`nightjar_aws_calls_total{action="ListTasks",result="ok"} 1`, `nightjar_aws_call_seconds_count{action="ListTasks"} 1`,
		`nightjar_aws_rate_limit{bucket="ecs-read"} 0.5`, `nightjar_read_age_seconds{service="c1/orders"}`,
		`nightjar_endpoints{service="c1/orders",state="healthy"} 1`, `nightjar_endpoints{service="c1/orders",state="excluded"} 1`,
		`nightjar_mesh_changes_total{service="c1/orders"} 1`, `nightjar_publish_seconds_count 1`, `nightjar_xds_streams 1`,
		`nightjar_xds_nacks_total{type="cluster"} 1`, `nightjar_xds_acked_age_seconds 6`, `nightjar_config_errors 1`, `nightjar_ready 1`,
		`nightjar_readers 60`, `nightjar_read_interval_seconds{kind="quiet"} 5`, `nightjar_read_interval_seconds{kind="moving"} 4`,
		`nightjar_read_interval_seconds{kind="tasks"} 17`,
	} {
		if !slices.ContainsFunc(strings.Split(body, "\n"), func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
}

func TestNothingButGetIsAnsweredAndNoOtherOriginMayRead(t *testing.T) {
	methods := map[string]bool{http.MethodGet: true, http.MethodHead: true}
	for _, method := range strings.Fields("POST PUT PATCH DELETE OPTIONS TRACE CONNECT PROPFIND get") {
		methods[method] = false
	}
	handler := serverOf(everything()).Handler()
	for _, path := range strings.Fields("/ /healthz /readyz /metrics /api/status") {
		for method, answered := range methods {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(method, path, nil)
			r.Header.Set("Origin", "https://elsewhere.example")
			r.Header.Set("Access-Control-Request-Method", "GET")
			handler.ServeHTTP(w, r)
			if want := map[bool]int{true: http.StatusOK, false: http.StatusMethodNotAllowed}[answered]; w.Code != want {
				t.Errorf("%s %s: %d, want %d", method, path, w.Code, want)
			}
			if allow := w.Header().Get("Allow"); !answered && allow != "GET, HEAD" {
				t.Errorf("%s %s: it allows %q", method, path, allow)
			}
			if allowed := corsOf(w.Header()); len(allowed) > 0 {
				t.Errorf("%s %s: pages of other origins may read it: %s", method, path, allowed)
			}
		}
	}
	if code, body := get(t, serverOf(everything()), "/healthz"); code != 200 || body != "alive\n" {
		t.Fatalf("healthz: %d %q", code, body)
	}
}
