package e2e

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// ingresses are the second hop of each task of c1/web: what nightjar makes of its container app behind its container envoy. One
// Envoy plays all of them, with a listener for each, that is there as long as its task's containers are.
type ingresses struct {
	t     testing.TB
	world *ecssim.World
	cache *xds.Cache
	envoy *envoytest.Envoy
	log   bytes.Buffer
	end   chan struct{}
	done  chan struct{}
}

// startIngresses starts the second hops, which follow the world until stop.
func startIngresses(t testing.TB, world *ecssim.World) *ingresses {
	t.Helper()
	i := &ingresses{t: t, world: world, end: make(chan struct{}), done: make(chan struct{})}
	p := &plane{t: t, at: "127.0.0.1:" + freePorts(t, 1)[0]}
	p.start(i.mesh())
	i.cache = p.Cache
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapOptions{
		NodeID: "ingresses", NodeService: "test", XDSNetwork: "tcp", XDSAddress: p.at, AdminHost: "127.0.0.1",
	})
	must(t, err)
	i.envoy = envoytest.Start(t, envoytest.Options{Bootstrap: bootstrap, Stdout: &i.log})
	go i.follow()
	t.Cleanup(func() { i.stop(); p.stop() })
	return i
}

// stop ends them, and returns their access log.
func (i *ingresses) stop() string {
	if i == nil {
		return ""
	}
	select {
	case <-i.end:
	default:
		close(i.end)
	}
	<-i.done
	i.envoy.Stop()
	return i.log.String()
}

func (i *ingresses) follow() {
	defer close(i.done)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-i.end:
			return
		case <-tick.C:
		}
		m := i.mesh()
		var names []string
		for _, s := range m.Services {
			names = append(names, s.Name)
		}
		if now := strings.Join(names, " "); now != last {
			last = now
			if err := i.cache.Publish(m); err != nil {
				i.t.Error(err)
			}
		}
	}
}

// mesh has for each task a listener where its container envoy is, which leads to its container app.
func (i *ingresses) mesh() *mesh.Mesh {
	at := map[string]map[string]netip.AddrPort{}
	for _, app := range i.world.Apps() {
		if app.Service != "web" {
			continue
		}
		if at[app.Task] == nil {
			at[app.Task] = map[string]netip.AddrPort{}
		}
		at[app.Task][app.Container] = app.Ports[0].At
	}
	policy := usualPolicy()
	policy.HealthCheck = true
	var services []*mesh.Service
	proxy := mesh.Proxy{ID: "ingresses"}
	for task, containers := range at {
		if len(containers) < 2 {
			continue
		}
		services = append(services, &mesh.Service{Name: task, State: mesh.Active, Endpoints: []mesh.Endpoint{{Addr: containers["app"], Task: task}}})
		proxy.Listeners = append(proxy.Listeners, mesh.Listener{
			Name: task, Direction: mesh.Ingress, Addr: containers["envoy"], AccessLog: mesh.LogErrors, TrustedHops: 1, Exclusive: true,
		})
		proxy.Routes = append(proxy.Routes, mesh.Route{Listener: task, Path: "/", Service: task, Policy: policy})
	}
	slices.SortFunc(proxy.Listeners, func(a, b mesh.Listener) int { return strings.Compare(a.Name, b.Name) })
	m, err := mesh.New(services, []mesh.Proxy{proxy})
	if err != nil {
		i.t.Error(err)
		m, _ = mesh.New(nil, nil)
	}
	return m
}
