package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/demo"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// taken is a port that somebody else listens on, so that Envoy refuses a listener there.
func taken(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestWhatEnvoyRefusesIsLoggedCountedAndShown(t *testing.T) {
	t.Parallel()
	_, port, _ := net.SplitHostPort(taken(t))
	r := newRig(t, worldOf(oneService), append(services("/web", "c1/web"), "EGRESS_LISTEN_PORT="+port)...)
	r.startNightjar()
	r.envoy = envoytest.Start(t, envoytest.Options{Bootstrap: []byte(r.run("bootstrap")), Allow: []string{"cannot bind"}})
	r.eventually("the refusal is in the status, with Envoy's own text", func() bool {
		last := r.status().LastRefusal
		return last != nil && last.Type == "listener" && last.Name == "egress" && contains(last.Message, "cannot bind")
	})
	if metrics := r.admin("/metrics"); !contains(metrics, `nightjar_xds_nacks_total{type="listener"} 1`) {
		t.Errorf("the metrics don't count it once:\n%s", metrics)
	}
	if n := strings.Count(r.nightjar.output(), "cannot bind"); n != 1 {
		t.Errorf("the log has it %d times, want once", n)
	}
	if r.status().Ready {
		t.Error("ready without a listener in Envoy")
	}
}

func TestAPortThatIsFreedBecomesAListenerAndNightjarReady(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	r := newRig(t, worldOf(oneService), services("/web", "c1/web")...)
	r.base = "http://" + l.Addr().String()
	_, r.settings["EGRESS_LISTEN_PORT"], _ = net.SplitHostPort(l.Addr().String())
	r.startNightjar()
	r.envoy = envoytest.Start(t, envoytest.Options{Bootstrap: []byte(r.run("bootstrap")), Allow: []string{"cannot bind"}})
	refusals := func() int { return strings.Count(r.admin("/metrics"), `nightjar_xds_nacks_total{type="listener"} 2`) }
	r.eventually("it is sent again, and refused again", func() bool { return refusals() == 1 })
	log := r.nightjar.output()
	if n := strings.Count(log, "cannot bind"); n != 1 || !contains(log, "change EGRESS_LISTEN_PORT") || contains(log, "report this") {
		t.Errorf("the log has the refusal %d times, want once, with what to do", n)
	}
	if status := r.run("status"); !contains(status, "To do: Another process has its port: end that, or change EGRESS_LISTEN_PORT.") {
		t.Errorf("the status lacks what to do:\n%s", status)
	}
	must(t, l.Close())
	r.within(12*time.Second, "Envoy has its listener", func() bool { return r.get("/web").status == http.StatusOK })
	r.eventually("nightjar is ready", func() bool { return r.status().Ready })
	if left := r.status().Envoys[0].Refused; len(left) > 0 {
		t.Errorf("still refused: %+v", left)
	}
}

func TestWhatEnvoyRefusesLeavesTheRestWorking(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	var backends []netip.AddrPort
	for n := range 2 {
		at := netip.MustParseAddrPort("127.0.0.1:" + freePorts(t, 1)[0])
		b, err := demo.StartBackend(demo.Identity{Service: fmt.Sprint(n)}, at)
		must(t, err)
		t.Cleanup(b.Kill)
		backends = append(backends, at)
	}
	ports := freePorts(t, 2)
	good := mesh.Listener{Name: "good", Addr: netip.MustParseAddrPort("127.0.0.1:" + ports[0])}
	bad := mesh.Listener{Name: "bad", Addr: netip.MustParseAddrPort(taken(t))}
	leadTo := func(backend int, listeners ...mesh.Listener) *mesh.Mesh {
		service := &mesh.Service{Name: "c1/web", State: mesh.Active, Endpoints: []mesh.Endpoint{{Addr: backends[backend]}}}
		proxy := mesh.Proxy{Listeners: listeners}
		for _, l := range listeners {
			proxy.Routes = append(proxy.Routes, mesh.Route{Listener: l.Name, Path: "/", Service: service.Name, Policy: usualPolicy()})
		}
		m, err := mesh.New([]*mesh.Service{service}, []mesh.Proxy{proxy})
		must(t, err)
		return m
	}
	p := &plane{t: t, at: "127.0.0.1:" + ports[1]}
	p.start(leadTo(0, good, bad))
	t.Cleanup(func() { p.stop() })
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapOptions{
		NodeID: "refusal", NodeService: "test", XDSNetwork: "tcp", XDSAddress: p.at, AdminHost: "127.0.0.1",
	})
	must(t, err)
	envoytest.Start(t, envoytest.Options{Bootstrap: bootstrap, Allow: []string{"cannot bind"}}).WaitReady()
	until := func(what string, condition func() bool) {
		t.Helper()
		for late := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("waited in vain until %s", what)
			}
		}
	}
	answers := func(service string) func() bool {
		return func() bool {
			return demo.Get(&http.Client{Timeout: time.Second}, "http://"+good.Addr.String(), "/").Answer.Service == service
		}
	}
	until("the good listener serves", answers("0"))
	until("the bad one is refused", func() bool { return p.LastRefusal() != nil && p.LastRefusal().Name == "bad" })
	must(t, p.Publish(leadTo(1, good, bad)))
	until("the good one follows a change", answers("1"))
	must(t, p.Publish(leadTo(0, good)))
	until("without the bad one Envoy has everything", func() bool { n := p.Nodes(); return len(n) == 1 && n[0].Current && len(n[0].Refused) == 0 })
	until("the good one serves on", answers("0"))
}
