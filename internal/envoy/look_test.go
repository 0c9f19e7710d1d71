package envoy_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// adminOf is the admin API of an Envoy whose bootstrap has these dynamic resources and static Envoy clusters, JSON.
func adminOf(t *testing.T, dynamic, clusters string) *envoy.Admin {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /server_info", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"version":"9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL","state":"LIVE"}`))
	})
	mux.HandleFunc("GET /config_dump", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"configs":[{"@type":"type.googleapis.com/nobody.knows.This","bootstrap":{"node":{"id":"wrong"}}},
			{"@type":"type.googleapis.com/envoy.admin.v3.BootstrapConfigDump","bootstrap":{"node":{"id":"task-1"},
			"dynamic_resources":` + dynamic + `,"static_resources":{"clusters":` + clusters + `}}}]}`))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return envoy.NewAdmin("tcp", strings.TrimPrefix(server.URL, "http://"))
}

const (
	overADS = `"cds_config":{"ads":{},"resource_api_version":"V3"},"lds_config":{"ads":{}}`
	delta   = `{"ads_config":{"api_type":"DELTA_GRPC","grpc_services":[{"envoy_grpc":{"cluster_name":"xds"}}]},` + overADS + `}`
)

// google is what a bootstrap says that dials a target itself.
func google(target string) string {
	return `{"ads_config":{"api_type":"DELTA_GRPC","grpc_services":[{"google_grpc":{"target_uri":"` + target + `"}}]},` + overADS + `}`
}

// to is a static Envoy cluster beside another, with an address.
func to(address string) string {
	return `[{"name":"other","typed_extension_protocol_options":{"x":{"@type":"type.googleapis.com/nobody.knows.This","a":[1]}}},
		{"name":"xds","load_assignment":{"endpoints":[{"lb_endpoints":[{"endpoint":{"address":` + address + `}}]}]}}]`
}

func TestLookFindsWhatTheBootstrapDials(t *testing.T) {
	socket := to(`{"socket_address":{"address":"127.0.0.1","port_value":1234}}`)
	for name, test := range map[string]struct {
		dynamic, clusters string
		xds               []string
		flaws             []string // a part of each
	}{
		"a socket address":  {delta, socket, []string{"127.0.0.1:1234"}, nil},
		"an IPv6 address":   {delta, to(`{"socket_address":{"address":"::1","port_value":1234}}`), []string{"[::1]:1234"}, nil},
		"a name":            {delta, to(`{"socket_address":{"address":"nightjar","port_value":9902}}`), []string{"nightjar:9902"}, nil},
		"a pipe":            {delta, to(`{"pipe":{"path":"/shared/xds.sock"}}`), []string{"unix:/shared/xds.sock"}, nil},
		"gRPC's own client": {google("127.0.0.1:1234"), "[]", []string{"127.0.0.1:1234"}, nil},
		"its target by DNS": {google("dns:///nightjar:1234"), "[]", []string{"nightjar:1234"}, nil},
		"its socket":        {google("unix:///shared/xds.sock"), "[]", []string{"unix:/shared/xds.sock"}, nil},
		"no ads_config":     {`{"cds_config":{"path_config_source":{"path":"/cds.yaml"}}}`, "[]", nil, []string{"no dynamic_resources.ads_config"}},
		"nothing dynamic":   {`null`, "null", nil, []string{"no dynamic_resources.ads_config"}},
		"state of the world": {
			strings.Replace(delta, "DELTA_GRPC", "GRPC", 1), socket,
			[]string{"127.0.0.1:1234"},
			[]string{"the api_type GRPC, and nightjar serves DELTA_GRPC alone"},
		},
		"clusters and listeners from elsewhere": {
			strings.Replace(delta, overADS, `"cds_config":{"path_config_source":{}}`, 1), socket,
			[]string{"127.0.0.1:1234"},
			[]string{"cds_config is not {ads: {}}", "lds_config is not {ads: {}}"},
		},
		"no such Envoy cluster":    {delta, `[{"name":"other"}]`, nil, []string{`names the Envoy cluster "xds", which is not among its static ones`}},
		"one without an address":   {delta, `[{"name":"xds","type":"EDS"}]`, nil, []string{`Envoy cluster "xds", which leads to the control plane, has no address`}},
		"no service in ads_config": {`{"ads_config":{"api_type":"DELTA_GRPC"},` + overADS + `}`, "[]", nil, []string{"ads_config names no address"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := envoy.Look(t.Context(), adminOf(t, test.dynamic, test.clusters))
			if err != nil || s.Version != "1.40.0" || s.State != "LIVE" || s.NodeID != "task-1" {
				t.Fatalf("it sees %+v (%v)", s, err)
			}
			if !slices.Equal(s.XDS, test.xds) {
				t.Errorf("the bootstrap dials %q, want %q", s.XDS, test.xds)
			}
			if !slices.EqualFunc(s.Flaws, test.flaws, strings.Contains) {
				t.Errorf("the flaws are %q, want %q", s.Flaws, test.flaws)
			}
		})
	}
}

func TestLookAtWhatIsNoEnvoy(t *testing.T) {
	for body, want := range map[string]string{
		"<html>": "reading /server_info",
		`{}`:     "it has no bootstrap",
	} {
		if _, err := envoy.Look(t.Context(), fakeAdmin(t, 200, body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, want %q", body, err, want)
		}
	}
	if _, err := envoy.Look(t.Context(), envoy.NewAdmin("tcp", nobodysAddress(t))); err == nil {
		t.Error("nobody is there, and it sees somebody")
	}
}

func TestLookAtARealEnvoy(t *testing.T) {
	for address, network := range map[string]string{"127.0.0.1:9": "tcp", "/nowhere/xds.sock": "unix"} {
		o := sidecar()
		o.XDSNetwork, o.XDSAddress, o.AdminPort = network, address, 0
		bootstrap, err := envoy.Bootstrap(o)
		if err != nil {
			t.Fatal(err)
		}
		e := envoytest.Start(t, envoytest.Options{Bootstrap: bootstrap})
		s, err := envoy.Look(t.Context(), e.Admin)
		want := strings.Replace("unix:"+address, "unix:127", "127", 1)
		if err != nil || !slices.Equal(s.XDS, []string{want}) || len(s.Flaws) > 0 || s.NodeID != o.NodeID || s.Version == "" {
			t.Errorf("it sees %+v (%v), want %s", s, err, want)
		}
	}
}

func TestJudgementOfAnEnvoyThatDoesNotCome(t *testing.T) {
	for _, test := range []struct {
		dials, listens string
		bridge, leads  bool
		do             string
	}{
		{"127.0.0.1:9902", "127.0.0.1:9902", false, true, "of the same task"},
		{"localhost:9902", "127.0.0.1:9902", false, true, "of the same task"},
		{"localhost:9902", "[::1]:9902", false, true, "of the same task"},
		{"127.0.0.1:9902", "localhost:9902", false, true, "of the same task"},
		{"127.0.0.1:9902", "0.0.0.0:9902", false, true, "of the same task"},
		{"0.0.0.0:9902", "127.0.0.1:9902", false, true, "of the same task"},
		{"[::1]:9902", "[::]:9902", false, true, "of the same task"},
		{"10.0.0.7:9902", "10.0.0.7:9902", false, true, "of the same task"},
		{"nightjar:9902", "10.0.0.7:9902", false, true, "of the same task"},
		{"unix:/a/xds.sock", "unix:/shared/xds.sock", false, true, "mount the volume"},
		{"nightjar:9902", "0.0.0.0:9902", true, true, "link Envoy's container"},
		{"127.0.0.1:1234", "127.0.0.1:9902", false, false, "NIGHTJAR_XDS_LISTEN"},
		{"[::1]:9902", "127.0.0.1:9902", false, false, "NIGHTJAR_XDS_LISTEN"}, // nobody answers there
		{"nightjar:9902", "127.0.0.1:9902", false, false, "NIGHTJAR_XDS_LISTEN"},
		{"10.0.0.8:9902", "10.0.0.7:9902", false, false, "NIGHTJAR_XDS_LISTEN"},
		{"unix:/shared/other.sock", "unix:/shared/xds.sock", false, false, "NIGHTJAR_XDS_LISTEN"},
		{"unix:/shared/xds.sock", "127.0.0.1:9902", false, false, "NIGHTJAR_XDS_LISTEN"},
		{"127.0.0.1:9902", "unix:/shared/xds.sock", true, false, "NIGHTJAR_XDS_LISTEN"},
		{"127.0.0.1:9902", "127.0.0.1:9902", true, false, "NIGHTJAR_XDS_LISTEN=unix:/shared/xds.sock"},
	} {
		j := envoy.Sight{XDS: []string{"192.0.2.1:1", test.dials}}.Judge(test.listens, test.bridge)
		if j.Leads != test.leads || !strings.Contains(j.Do, test.do) || !strings.Contains(j.Found, test.dials) || !strings.Contains(j.Found, test.listens) {
			t.Errorf("%s dialled, %s listened on: %+v", test.dials, test.listens, j)
		}
	}
	flawed := envoy.Sight{XDS: []string{"127.0.0.1:9902"}, Flaws: []string{"it is wrong", "and wrong again"}}
	if j := flawed.Judge("127.0.0.1:9902", false); j.Leads || j.Found != "it is wrong; and wrong again" || !strings.Contains(j.Do, "nightjar bootstrap") {
		t.Errorf("a flawed bootstrap: %+v", j)
	}
}

func FuzzConfigDump(f *testing.F) {
	f.Add(`{"configs":[{"@type":"x.BootstrapConfigDump","bootstrap":{"dynamic_resources":` + google("unix:a") + `}}]}`)
	f.Add(`{"configs":[{"@type":".BootstrapConfigDump","bootstrap":{"dynamic_resources":` + delta + `,"static_resources":{"clusters":` + to(`{"pipe":{}}`) + `}}}]}`)
	f.Add(`{"configs":[null]}`)
	f.Fuzz(func(t *testing.T, body string) {
		s, err := envoy.SightIn([]byte(body))
		if err == nil && len(s.XDS) == 0 && len(s.Flaws) == 0 {
			t.Errorf("%q: neither an address nor what is wrong", body)
		}
		_ = s.Judge("127.0.0.1:9902", true)
	})
}
