package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/demo"
	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

const oneService = `- {name: web, desired: 2, network: bridge, containers: [{name: app, ports: [8080]}]}`

// underLoad runs a load through the rig's Envoy until the returned function is called, which tells the failures.
func underLoad(t testing.TB, base string, paths ...string) (stop func() (sent int, failed []demo.Result)) {
	t.Helper()
	var mu sync.Mutex
	var sent int
	var failed []demo.Result
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	load := demo.Load{Base: base, Paths: paths, Every: 5 * time.Millisecond, Seen: func(r demo.Result) {
		mu.Lock()
		defer mu.Unlock()
		sent++
		if r.Err != nil {
			failed = append(failed, r)
		}
	}}
	go func() { defer close(done); load.Run(ctx) }()
	t.Cleanup(cancel)
	return func() (int, []demo.Result) {
		cancel()
		<-done
		return sent, failed
	}
}

func noneFailed(t testing.TB, sent int, failed []demo.Result) {
	t.Helper()
	if sent < 20 {
		t.Errorf("only %d requests were sent", sent)
	}
	for _, f := range failed {
		t.Errorf("of %d requests %d failed; one: %s %v", sent, len(failed), f.Path, f.Err)
		return
	}
}

func TestSIGTERMEndsNightjarWithinASecondAndEnvoyKeepsItsRoutes(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(oneService), services("/web", "c1/web")...)
	r.waitTasks("/web", "c1", "web", 2)
	stop := underLoad(t, r.base, "/web")
	// A call of AWS that hangs must not hold it up.
	must(t, r.sim.Server.Inject(ecssim.Fault{Kind: ecssim.Hang}))
	r.eventually("a call hangs", func() bool {
		for call := range r.sim.Server.Counts() {
			if contains(call, " hang") {
				return true
			}
		}
		return false
	})
	if took := r.stopNightjar(syscall.SIGTERM); took > time.Second {
		t.Errorf("it took %s", took)
	}
	if r.nightjar.err != nil {
		t.Errorf("exit status: %v", r.nightjar.err)
	}
	for range 100 {
		if got := r.get("/web"); got.status != http.StatusOK {
			t.Fatalf("without nightjar /web answers %d", got.status)
		}
	}
	sent, failed := stop()
	noneFailed(t, sent, failed)
}

func TestNightjarRestartedUnderLoad(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(oneService), services("/web", "c1/web")...)
	r.waitTasks("/web", "c1", "web", 2)
	stop := underLoad(t, r.base, "/web")
	for _, with := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		r.stopNightjar(with)
		r.startNightjar()
		r.eventually("Envoy has come back", func() bool {
			return contains(r.nightjar.output(), "Envoy connected") && r.status().Ready
		})
		must(t, r.sim.World.Scale("c1", "web", 3))
		r.waitTasks("/web", "c1", "web", 3)
		must(t, r.sim.World.Scale("c1", "web", 2))
		r.waitTasks("/web", "c1", "web", 2)
	}
	sent, failed := stop()
	noneFailed(t, sent, failed)
}

func TestARestartWhileAWSIsAwayKeepsWhatEnvoyHolds(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(oneService), services("/web", "c1/web")...)
	r.waitTasks("/web", "c1", "web", 2)
	stop := underLoad(t, r.base, "/web")
	must(t, r.sim.Server.Inject(ecssim.Fault{Kind: ecssim.ServerError}))
	r.stopNightjar(syscall.SIGKILL)
	r.startNightjar()
	r.within(2*patience, "after 30 s it publishes without AWS, and Envoy comes back", func() bool {
		return contains(r.nightjar.output(), "Envoy connected")
	})
	if got := r.get("/web"); got.status != http.StatusOK {
		t.Errorf("/web answers %d", got.status)
	}
	r.sim.Server.Heal()
	r.eventually("it is ready when AWS is back", func() bool { return r.status().Ready })
	sent, failed := stop()
	noneFailed(t, sent, failed)
}

func TestEnvoyRestarted(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(oneService), services("/web", "c1/web")...)
	r.waitTasks("/web", "c1", "web", 2)
	for range 3 {
		r.envoy.Stop()
		must(t, r.sim.World.Deploy("c1", "web", nil))
		r.startEnvoy()
		r.waitStatus("/web", http.StatusOK)
		if !r.status().Ready {
			t.Error("once ready, ready: a restart of Envoy undid it")
		}
	}
	r.waitTasks("/web", "c1", "web", 2)
}

// plane is xds.Cache behind a real socket that can be restarted.
type plane struct {
	t    testing.TB
	at   string
	stop func()
	*xds.Cache
}

func (p *plane) start(m *mesh.Mesh) {
	p.t.Helper()
	p.Cache = xds.NewCache(slog.New(slog.DiscardHandler), discard{})
	must(p.t, p.Publish(m))
	l, err := net.Listen("tcp", p.at)
	must(p.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx, l) }()
	p.stop = func() {
		cancel()
		must(p.t, <-done)
	}
}

// discard is an xds.Observer for nobody.
type discard struct{}

func (discard) Refused(string)             {}
func (discard) Overdue()                   {}
func (discard) Acknowledged(time.Duration) {}

func TestTwoHundredSwapsOfAPathBetweenServicesRestartsAmongThem(t *testing.T) {
	envoytest.Path(t)
	ports := freePorts(t, 3)
	var backends []netip.AddrPort
	for n := range 3 {
		at := netip.MustParseAddrPort("127.0.0.1:" + freePorts(t, 1)[0])
		b, err := demo.StartBackend(demo.Identity{Service: fmt.Sprint(n)}, at)
		must(t, err)
		t.Cleanup(b.Kill)
		backends = append(backends, at)
	}
	// Each swap moves the path to another service, under a name that comes and goes.
	mapping := func(swap int) (*mesh.Mesh, string) {
		name := fmt.Sprintf("c1/s%d", swap%7)
		service := &mesh.Service{Name: name, State: mesh.Active, Endpoints: []mesh.Endpoint{{Addr: backends[swap%3]}}}
		m, err := mesh.New([]*mesh.Service{service}, []mesh.Proxy{{
			Listeners: []mesh.Listener{{Name: "egress", Addr: netip.MustParseAddrPort("127.0.0.1:" + ports[0])}},
			Routes:    []mesh.Route{{Listener: "egress", Path: "/web", Service: name, Policy: usualPolicy()}},
		}})
		must(t, err)
		return m, fmt.Sprint(swap % 3)
	}
	p := &plane{t: t, at: "127.0.0.1:" + ports[1]}
	first, _ := mapping(0)
	p.start(first)
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapOptions{
		NodeID: "swaps", NodeService: "test", XDSNetwork: "tcp", XDSAddress: p.at, AdminHost: "127.0.0.1",
	})
	must(t, err)
	envoytest.Start(t, envoytest.Options{Bootstrap: bootstrap}).WaitReady()
	base := "http://127.0.0.1:" + ports[0]
	client := &http.Client{Timeout: 10 * time.Second}
	stop := underLoad(t, base, "/web")
	for swap := 1; swap <= 200; swap++ {
		m, want := mapping(swap)
		if swap%10 == 0 {
			p.stop()
			p.start(m)
		} else {
			must(t, p.Publish(m))
		}
		for late := time.Now().Add(patience); demo.Get(client, base, "/web").Answer.Service != want; {
			if time.Now().After(late) {
				t.Fatalf("swap %d did not arrive", swap)
			}
		}
	}
	sent, failed := stop()
	noneFailed(t, sent, failed)
	t.Logf("200 swaps, 20 of them restarts: %d requests, %d failed", sent, len(failed))
	p.stop()
}
