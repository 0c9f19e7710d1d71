package e2e

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

type obs struct{ ack, over, ref atomic.Int64 }

func (o *obs) Refused(string)             { o.ref.Add(1) }
func (o *obs) Overdue()                   { o.over.Add(1) }
func (o *obs) Acknowledged(time.Duration) { o.ack.Add(1) }

const boot = `
node: {id: exp, cluster: web}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services: [{envoy_grpc: {cluster_name: nightjar, retry_policy: {retry_back_off: {base_interval: 0.1s, max_interval: 1s}}}}]
  cds_config: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 0s}
  lds_config: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 0s}
static_resources:
  clusters:
  - name: nightjar
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {connection_keepalive: {interval: 10s, timeout: 3s}}}
    load_assignment: {cluster_name: nightjar, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]}
`

func freePort() int {
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestExp(t *testing.T) {
	var o obs
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	xport, aport, eport := freePort(), freePort(), freePort()
	var addrs []netip.AddrPort
	for i := range 3 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "s%d %v", i, r.Header) }))
		defer s.Close()
		addrs = append(addrs, netip.MustParseAddrPort(s.Listener.Addr().String()))
	}
	mk := func(i int, n int) *mesh.Mesh {
		name := fmt.Sprintf("c/s%d-%d", i, n)
		m, err := mesh.New([]*mesh.Service{{Name: name, State: mesh.Active, Endpoints: []mesh.Endpoint{{Addr: addrs[i]}}}},
			[]mesh.Proxy{{Listeners: []mesh.Listener{{Name: "egress", Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(eport))}},
				Routes: []mesh.Route{{Listener: "egress", Path: "/a", Service: name}}}})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	start := func(m *mesh.Mesh) (*xds.Cache, func()) {
		c := xds.NewCache(log, &o)
		if err := c.Publish(m); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", xport))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan bool)
		go func() { c.Serve(ctx, l); close(done) }()
		return c, func() { cancel(); <-done }
	}
	c, stop := start(mk(0, 0))
	cmd := exec.Command("/tmp/ev/x/envoy/_bin/envoy", "--config-yaml", fmt.Sprintf(boot, aport, xport), "--disable-hot-restart", "--concurrency", "2", "-l", "warn")
	f, _ := os.Create("/tmp/envoy.log")
	cmd.Stderr = f
	cmd.Start()
	defer cmd.Process.Kill()
	get := func() (int, string) {
		r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/a", eport))
		if err != nil {
			return 0, err.Error()
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(b)
	}
	for {
		if s, _ := get(); s == 200 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	var ok, bad atomic.Int64
	done := make(chan bool)
	for range 4 {
		go func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if s, b := get(); s == 200 {
					ok.Add(1)
				} else {
					bad.Add(1)
					t.Log(s, b)
				}
			}
		}()
	}
	cur := 0
	var lat []time.Duration
	for n := range 200 {
		next := (cur + 1 + rand.Intn(2)) % 3
		m := mk(next, n%7)
		t0 := time.Now()
		if n%20 == 19 {
			stop()
			c, stop = start(m)
		} else if err := c.Publish(m); err != nil {
			t.Fatal(err)
		}
		for {
			if _, b := get(); strings.HasPrefix(b, fmt.Sprintf("s%d", next)) {
				break
			}
		}
		lat = append(lat, time.Since(t0))
		cur = next
	}
	close(done)
	t.Log("ok", ok.Load(), "bad", bad.Load(), "over", o.over.Load(), "ref", o.ref.Load(), "ack", o.ack.Load())
	t.Log(lat[:40])
	r, err := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d/a", eport), nil)
	r.Header.Set("x-envoy-max-retries", "9")
	r.Header.Set("x-envoy-upstream-rq-timeout-ms", "1")
	r.Header.Set("x-forwarded-proto", "https")
	r.Header.Set("x-forwarded-for", "1.2.3.4")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	t.Log(string(b), resp.Header)
	st, _ := http.Get(fmt.Sprintf("http://127.0.0.1:%d/stats?filter=deprecated", aport))
	b, _ = io.ReadAll(st.Body)
	t.Log(string(b))
	stop()
	_ = c
}
