package xds

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

func update() bool { return flag.Lookup("update").Value.String() == "true" }

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files anew")
	flag.Parse()
	os.Exit(m.Run())
}

// goldenMeshes are worth looking at: each is a file in testdata, which a real Envoy accepts too (see e2e).
func goldenMeshes() map[string]*mesh.Mesh {
	at := func(zone, addr string) mesh.Endpoint {
		return mesh.Endpoint{Addr: netip.MustParseAddrPort(addr), Zone: zone, Task: "t"}
	}
	proxy := func(exclusive bool, routes ...mesh.Route) mesh.Proxy {
		return mesh.Proxy{Routes: routes, Listeners: []mesh.Listener{
			{Name: "egress", Addr: netip.MustParseAddrPort("127.0.0.1:8080"), Exclusive: exclusive},
		}}
	}
	egress := func(path, service string) mesh.Route {
		return mesh.Route{Listener: "egress", Path: path, Service: service, Policy: mesh.Policy{Retries: 5, IdleTimeout: 4 * time.Second}}
	}
	all := map[string]*mesh.Mesh{}
	add := func(name string, p mesh.Proxy, services ...*mesh.Service) {
		m, err := mesh.New(services, []mesh.Proxy{p})
		if err != nil {
			panic(err)
		}
		all[name] = m
	}
	add("zones", proxy(false, egress("/orders", "c1/orders")),
		&mesh.Service{Name: "c1/orders", State: mesh.Active, Endpoints: []mesh.Endpoint{
			at("eu-west-1a", "10.0.0.1:32768"), at("eu-west-1b", "10.0.1.1:32768"), at("eu-west-1a", "10.0.0.1:32769"),
		}})
	near := proxy(false, egress("/orders", "c1/orders"), egress("/web", "c1/web"))
	near.Zone = "eu-west-1b"
	add("zone-first", near, all["zones"].Services[0],
		&mesh.Service{Name: "c1/web", State: mesh.Active, Endpoints: []mesh.Endpoint{
			at("eu-west-1b", "10.0.1.2:32768"), at("", "10.0.0.3:32768"), at("eu-west-1b", "10.0.1.3:32768"),
		}})
	add("paths", proxy(true, egress("/", "c1/web"), egress("/api/", "c1/api"), egress("/api", "c1/web")),
		&mesh.Service{Name: "c1/web", State: mesh.Active, Endpoints: []mesh.Endpoint{at("", "[2001:db8::5]:8080")}},
		&mesh.Service{Name: "c1/api", State: mesh.Missing})
	weighted := func(service string, weight uint32) mesh.Route {
		r := egress("/web", service)
		r.Weighted, r.Weight = true, weight
		return r
	}
	own := egress("/", "c1/rpc")
	own.Listener, own.Policy = "egress-9000", mesh.Policy{Protocol: mesh.GRPC, Timeout: 15 * time.Second, IdleTimeout: time.Minute}
	policies := proxy(false, weighted("c1/old", 9), weighted("c1/new", 1), weighted("c1/gone", 5), own)
	policies.Listeners[0].AccessLog = mesh.LogOff
	policies.Listeners = append(policies.Listeners, mesh.Listener{
		Name: "egress-9000", Addr: netip.MustParseAddrPort("127.0.0.1:9000"), AccessLog: mesh.LogAll,
	})
	policies.Stats, policies.EnvoyAdmin = netip.MustParseAddrPort("0.0.0.0:9904"), netip.MustParseAddrPort("127.0.0.1:9901")
	add("policies", policies,
		&mesh.Service{Name: "c1/old", State: mesh.Active, Endpoints: []mesh.Endpoint{at("", "10.0.0.1:1")}},
		&mesh.Service{Name: "c1/new", State: mesh.Active, Endpoints: []mesh.Endpoint{at("", "10.0.0.2:1")}},
		&mesh.Service{Name: "c1/gone", State: mesh.Active},
		&mesh.Service{Name: "c1/rpc", State: mesh.Active, Endpoints: []mesh.Endpoint{at("", "10.0.0.3:1")}})
	container := func(listener, service string) mesh.Route {
		return mesh.Route{Listener: listener, Path: "/", Service: service, Policy: mesh.Policy{Retries: 5, IdleTimeout: 4 * time.Second, HealthCheck: true}}
	}
	ingress := proxy(false, egress("/orders", "c1/orders"), container("ingress", "own-task/web:8080"), container("ingress-9443", "own-task/rpc:50051"))
	ingress.Listeners = append(ingress.Listeners,
		mesh.Listener{
			Name: "ingress", Direction: mesh.Ingress, Addr: netip.MustParseAddrPort("0.0.0.0:80"), TrustedHops: 1, HealthPath: "/.nightjar/health",
		},
		mesh.Listener{Name: "ingress-9443", Direction: mesh.Ingress, Addr: netip.MustParseAddrPort("[::]:9443"), HealthPath: "/.nightjar/health"})
	sick := at("", "127.0.0.1:50051")
	sick.Health = mesh.Unhealthy
	add("ingress", ingress,
		&mesh.Service{Name: "c1/orders", State: mesh.Active, Endpoints: []mesh.Endpoint{at("", "10.0.0.1:1")}},
		&mesh.Service{Name: "own-task/web:8080", State: mesh.Active, Endpoints: []mesh.Endpoint{at("", "127.0.0.1:8080")}},
		&mesh.Service{Name: "own-task/rpc:50051", State: mesh.Active, Endpoints: []mesh.Endpoint{sick}})
	return all
}

func TestRenderedResourcesMatchTheGoldenFiles(t *testing.T) {
	for name, m := range goldenMeshes() {
		t.Run(name, func(t *testing.T) {
			document, err := Render(m, "")
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(document, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".json")
			if update() {
				if err := os.WriteFile(path, append(got, '\n'), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
				t.Fatalf("differs from %s (if that is meant: go test ./internal/xds -update):\n%s", path, diff)
			}
		})
	}
}

func TestAnInvalidConnectionManagerIsCaughtBeforeItIsPublished(t *testing.T) {
	l := mesh.Listener{Name: "egress", Addr: netip.MustParseAddrPort("127.0.0.1:8080")}
	broken := func(p *packer) *hcmv3.HttpConnectionManager {
		m := connectionManager(l, nil)(p)
		m.StatPrefix = ""
		return m
	}
	r, err := listenerWith(l, broken)
	if err == nil || r != nil || !strings.Contains(err.Error(), "HttpConnectionManager") || !strings.Contains(err.Error(), "StatPrefix") {
		t.Fatalf("resource %v, error %v; want none, and an error that names the message and the field", r, err)
	}
}

func TestWhatCannotBeTranslatedKeepsItsLastGoodResourceAndHoldsBackNothingElse(t *testing.T) {
	var tr translator
	good := testMesh(t, []*mesh.Service{service("a", 1), service("b", 1)}, "/a", "a", "/b", "b")
	first, err := tr.translate(good)
	if err != nil {
		t.Fatal(err)
	}
	bad := service("a", 1)
	bad.Endpoints[0].Addr = netip.AddrPort{} // Envoy wants an address
	broken := testMesh(t, []*mesh.Service{bad, service("b", 2)}, "/a", "a", "/b", "b")
	second, err := tr.translate(broken)
	if err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Fatalf("error %v, want one that names a", err)
	}
	if first[""][EndpointType]["a"] != second[""][EndpointType]["a"] {
		t.Error("the last good endpoints of a are gone")
	}
	if first[""][EndpointType]["b"] == second[""][EndpointType]["b"] {
		t.Error("the change of b is held back")
	}
}

func TestProxiesOfAZoneShareResources(t *testing.T) {
	zoned := func(name, zones string) *mesh.Service {
		s := service(name, len(zones))
		for i := range s.Endpoints {
			s.Endpoints[i].Zone = zones[i : i+1]
		}
		return s
	}
	var proxies []mesh.Proxy
	for id, zone := range map[string]string{"a1": "a", "a2": "a", "b": "b", "c": "c", "nowhere": ""} {
		p := testMesh(t, []*mesh.Service{service("near", 1), service("far", 1)}, "/near", "near", "/far", "far").Proxies[0]
		p.ID, p.Zone = id, zone
		proxies = append(proxies, p)
	}
	m, err := mesh.New([]*mesh.Service{zoned("near", "aabb"), zoned("far", "abbb")}, proxies)
	if err != nil {
		t.Fatal(err)
	}
	var tr translator
	for range 2 { // the second time from what was made
		all, err := tr.translate(m)
		if err != nil {
			t.Fatal(err)
		}
		same := func(name, a, b string) bool { return all[a][EndpointType][name] == all[b][EndpointType][name] }
		if !same("near", "a1", "a2") || same("near", "a1", "b") || same("near", "a1", "nowhere") || !same("near", "c", "nowhere") {
			t.Error("near: want one for a, one for b, one for all others")
		}
		if !same("far", "a1", "nowhere") || !same("far", "a1", "a2") || same("far", "a1", "b") {
			t.Error("far: want one for b, one for all others")
		}
		if all["a1"][ClusterType]["near"] != all["b"][ClusterType]["near"] {
			t.Error("an Envoy cluster depends on the zone")
		}
	}
}

func TestOwnContainersAreFlat(t *testing.T) {
	m := testMesh(t, []*mesh.Service{service("own", 4)}, "/", "own")
	s := m.Services[0]
	for i := range s.Endpoints {
		s.Endpoints[i].Zone = []string{"a", "b"}[i%2]
	}
	m.Proxies[0].Zone, m.Proxies[0].Routes[0].Policy.HealthCheck = "a", true
	document, err := Render(m, "")
	if err != nil {
		t.Fatal(err)
	}
	if text := string(document.Endpoints[0]); strings.Contains(text, "priority") || !s.SeenFrom("a").First {
		t.Error(text)
	}
}

func TestVersionsComeFromContentAndSurviveARestart(t *testing.T) {
	for name, m := range goldenMeshes() {
		var one, two translator
		a, _ := one.translate(m)
		b, _ := two.translate(m)
		for typeURL, resources := range a[""] {
			for n, r := range resources {
				if r.Version() != b[""][typeURL][n].Version() {
					t.Errorf("%s: %s %q has another version after a restart", name, shortType(typeURL), n)
				}
			}
		}
	}
}
