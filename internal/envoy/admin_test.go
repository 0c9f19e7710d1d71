package envoy_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// withACluster adds an Envoy cluster with one endpoint to the standalone bootstrap.
const withACluster = standalone + `
static_resources:
  clusters:
  - name: backend
    type: STATIC
    load_assignment:
      cluster_name: backend
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 192.0.2.7, port_value: 8080}}}}]}]
`

func TestAdminOfARealEnvoy(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	for network, bootstrap := range map[string]string{
		"tcp": withACluster,
		"unix": strings.Replace(withACluster, "socket_address: {address: 127.0.0.1, port_value: 0}",
			"pipe: {path: "+socket+", mode: 0600}", 1),
	} {
		t.Run(network, func(t *testing.T) {
			e := envoytest.Start(t, envoytest.Options{Bootstrap: []byte(bootstrap)})
			e.WaitReady()
			checkServerInfo(t, e.Admin)
			checkStats(t, e.Admin)
			checkConfiguration(t, e.Admin)
		})
	}
}

func checkServerInfo(t *testing.T, a *envoy.Admin) {
	t.Helper()
	info, err := a.ServerInfo(t.Context())
	if err != nil || info.State != "LIVE" || !strings.HasPrefix(info.Version, "1.") {
		t.Errorf("ServerInfo is %+v (%v), want version 1.x and LIVE", info, err)
	}
}

func checkStats(t *testing.T, a *envoy.Admin) {
	t.Helper()
	stats, err := a.Stats(t.Context(), "cluster.backend.membership_")
	if err != nil || stats["cluster.backend.membership_total"] != 1 {
		t.Errorf("Stats are %v (%v), want 1 member", stats, err)
	}
	for name := range stats {
		if !strings.HasPrefix(name, "cluster.backend.membership_") {
			t.Errorf("the statistic %s doesn't begin as asked", name)
		}
	}
	if none, err := a.Stats(t.Context(), "cluster.back.nd"); err != nil || len(none) != 0 {
		t.Errorf("Stats of a name that is a pattern for another are %v (%v), want none", none, err)
	}
}

func checkConfiguration(t *testing.T, a *envoy.Admin) {
	t.Helper()
	dump, err := a.ConfigDump(t.Context())
	if err != nil || !strings.Contains(string(dump), "EndpointsConfigDump") || !strings.Contains(string(dump), "192.0.2.7") {
		t.Errorf("ConfigDump (%v) doesn't hold the endpoint:\n%.2000s", err, dump)
	}
	clusters, err := a.Clusters(t.Context())
	if err != nil || len(clusters.GetClusterStatuses()) != 1 {
		t.Fatalf("Clusters are %v (%v), want one", clusters, err)
	}
	backend := clusters.GetClusterStatuses()[0]
	address := backend.GetHostStatuses()[0].GetAddress().GetSocketAddress()
	if backend.GetName() != "backend" || address.GetAddress() != "192.0.2.7" || address.GetPortValue() != 8080 {
		t.Errorf("the Envoy cluster is %v, want backend at 192.0.2.7:8080", backend)
	}
}

// fakeAdmin answers everything with a status and a body.
func fakeAdmin(t *testing.T, status int, body string) *envoy.Admin {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return envoy.NewAdmin("tcp", strings.TrimPrefix(server.URL, "http://"))
}

func TestAdminErrorsSayWhatIsWrong(t *testing.T) {
	nobody := nobodysAddress(t)
	ctx := t.Context()
	for want, ask := range map[string]func() error{
		"/ready with 503: PRE_INITIALIZING": func() error { return fakeAdmin(t, 503, "PRE_INITIALIZING\n").Ready(ctx) },
		"connection refused":                func() error { return envoy.NewAdmin("tcp", nobody).Ready(ctx) },
		"reading /server_info of the Envoy": func() error { _, err := fakeAdmin(t, 200, "<html>").ServerInfo(ctx); return err },
		"reading /stats of the Envoy":       func() error { _, err := fakeAdmin(t, 200, "[]").Stats(ctx, ""); return err },
		"reading /clusters of the Envoy":    func() error { _, err := fakeAdmin(t, 200, "[]").Clusters(ctx); return err },
		"context canceled": func() error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return fakeAdmin(t, 200, "LIVE").Ready(ctx)
		},
	} {
		t.Run(want, func(t *testing.T) {
			if err := ask(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the error is %v, want one with %q", err, want)
			}
		})
	}
}

// nobodysAddress is one that nobody listens on.
func nobodysAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
