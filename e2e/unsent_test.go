package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// TestIngressMarksWhatNeverReachedTheApp has an app behind ingress that forges the mark, and then is gone. With the mark the
// calling task's Envoy may send a POST again, elsewhere.
func TestIngressMarksWhatNeverReachedTheApp(t *testing.T) {
	t.Parallel()
	const mark = "X-Nightjar-Unsent"
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(mark, "forged")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer app.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(app.URL, "http://"), ":")
	r := inOwnTask(t, ownWorld("awsvpc", fmt.Sprintf("{name: web, ports: [%s]}", freePorts(t, 1)[0])), containersOf("/", "web", port)...)
	r.startNightjar()
	r.startEnvoy()
	post := func() response {
		got, _ := r.send(http.MethodPost, "/", strings.NewReader("text"), nil) // status 0 while Envoy has no listener yet
		return got
	}
	r.eventually("the app's own 503 arrives, without the mark that it forged", func() bool {
		got := post()
		return got.status == http.StatusServiceUnavailable && got.body == "" && got.header.Get(mark) == ""
	})
	for range 10 {
		post()
	}
	if got := r.get("/.nightjar/health"); got.status != http.StatusOK {
		t.Errorf("what the app answers counts against it: the health path says %d", got.status)
	}
	app.Close()
	r.eventually("a request that can't reach it is marked", func() bool {
		got := post()
		return got.status == http.StatusServiceUnavailable && got.header.Get(mark) == "1"
	})
}

// TestTheMarkIsShownToNoCaller has an app without ingress answer with the mark: egress tries again, as often as it
// does for anything, and the caller never sees the mark.
func TestTheMarkIsShownToNoCaller(t *testing.T) {
	t.Parallel()
	r := newRig(t, `
region: eu-west-1
clusters:
- name: far
  subnet: 127.0.0.0/30
  services: [{name: shop, desired: 1, network: awsvpc, launch: FARGATE, containers: [{name: app}]}]
`, services("/shop", "far/shop")...)
	var asked atomic.Int32
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("X-Nightjar-Unsent", "forged")
	}))
	defer app.Close()
	_, r.settings["SERVICE_PORT_1"], _ = strings.Cut(strings.TrimPrefix(app.URL, "http://"), ":")
	r.startNightjar()
	r.startEnvoy()
	r.waitStatus("/shop", http.StatusOK)
	asked.Store(0)
	if got := r.get("/shop"); got.status != http.StatusOK || got.header.Get("X-Nightjar-Unsent") != "" {
		t.Errorf("%d %v", got.status, got.header)
	}
	if n := asked.Load(); n < 1 || n > 6 {
		t.Errorf("the app was asked %d times", n)
	}
}

// TestAnEndpointWhoseAppIngressCannotReachIsLeftAlone has one of two endpoints answer as the ingress of an app that is gone, and one of
// two others as an app that is sick. The first is left alone for a moment, as one that can't be connected to; the second is asked on.
func TestAnEndpointWhoseAppIngressCannotReachIsLeftAlone(t *testing.T) {
	t.Parallel()
	type part struct {
		at    mesh.Endpoint
		asked atomic.Int32
	}
	answering := func(mark string, status int) *part {
		a := &part{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			a.asked.Add(1)
			if mark != "" {
				w.Header().Set("X-Nightjar-Unsent", mark)
			}
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		a.at = mesh.Endpoint{Addr: netip.MustParseAddrPort(server.Listener.Addr().String()), Task: server.URL}
		return a
	}
	gone, sick := answering("1", http.StatusServiceUnavailable), answering("", http.StatusServiceUnavailable)
	well, too := answering("", http.StatusOK), answering("", http.StatusOK)
	listen := "127.0.0.1:" + freePorts(t, 1)[0]
	m, err := mesh.New([]*mesh.Service{
		{Name: "c1/leaving", State: mesh.Active, Endpoints: []mesh.Endpoint{gone.at, well.at}},
		{Name: "c1/sick", State: mesh.Active, Endpoints: []mesh.Endpoint{sick.at, too.at}},
	}, []mesh.Proxy{{
		Listeners: []mesh.Listener{{Name: "egress", Addr: netip.MustParseAddrPort(listen)}},
		Routes: []mesh.Route{
			{Listener: "egress", Path: "/leaving", Service: "c1/leaving", Policy: usualPolicy()},
			{Listener: "egress", Path: "/sick", Service: "c1/sick", Policy: usualPolicy()},
		},
	}})
	must(t, err)
	p := &plane{t: t, at: "127.0.0.1:" + freePorts(t, 1)[0]}
	p.start(m)
	defer p.stop()
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapOptions{NodeID: "unsent", NodeService: "test", XDSNetwork: "tcp", XDSAddress: p.at, AdminHost: "127.0.0.1"})
	must(t, err)
	envoytest.Start(t, envoytest.Options{Bootstrap: bootstrap}).WaitReady()
	const requests = 100
	failed := map[string]int{}
	for range requests {
		for _, path := range []string{"/leaving", "/sick"} {
			answer, err := http.Post("http://"+listen+path, "text/plain", strings.NewReader("text"))
			must(t, err)
			must(t, answer.Body.Close())
			if answer.StatusCode != http.StatusOK {
				failed[path]++
			}
		}
	}
	if failed["/leaving"] > 0 || gone.asked.Load() == 0 || gone.asked.Load() > requests/5 {
		t.Errorf("of %d requests %d failed; the endpoint without an app was asked %d times, want a few", requests, failed["/leaving"], gone.asked.Load())
	}
	if failed["/sick"] != int(sick.asked.Load()) || sick.asked.Load() < requests/3 {
		t.Errorf("of %d requests %d failed; the sick app was asked %d times, want half, each with its answer", requests, failed["/sick"], sick.asked.Load())
	}
}
