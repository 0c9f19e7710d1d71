package e2e

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// counting counts the bytes that are written to a listener's connections.
type counting struct {
	net.Listener
	written *atomic.Int64
}

func (c counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	return countedConn{conn, c.written}, err
}

type countedConn struct {
	net.Conn
	written *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	c.written.Add(int64(len(p)))
	return c.Conn.Write(p)
}

// thousand is a mesh of 1,000 services with 10 endpoints each.
func thousand() ([]*mesh.Service, mesh.Proxy) {
	var all []*mesh.Service
	p := mesh.Proxy{Listeners: []mesh.Listener{{Name: "egress", Addr: netip.MustParseAddrPort("127.0.0.1:8080")}}}
	for n := range 1000 {
		s := &mesh.Service{Name: fmt.Sprintf("c1/s%d", n), State: mesh.Active}
		for e := range 10 {
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), byte(e)}), 8080)
			s.Endpoints = append(s.Endpoints, mesh.Endpoint{Addr: addr, Zone: "eu-west-1a", Task: fmt.Sprint(e)})
		}
		all = append(all, s)
		p.Routes = append(p.Routes, mesh.Route{Listener: "egress", Path: fmt.Sprintf("/s%d", n), Service: s.Name, Policy: usualPolicy()})
	}
	return all, p
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkOneChangeAmongAThousandServices changes one endpoint at a time and prints what each costs from Publish to the
// last byte on the wire: processor time (the client's own in this process included, so it is an upper bound) and bytes. It
// fails over 2 KB on the wire, which no other load can change.
func BenchmarkOneChangeAmongAThousandServices(b *testing.B) {
	all, proxy := thousand()
	publish := func(c *xds.Cache) {
		m, err := mesh.New(all, []mesh.Proxy{proxy})
		must(b, err)
		must(b, c.Publish(m))
	}
	c := xds.NewCache(slog.New(slog.DiscardHandler), discard{})
	publish(c)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	var written atomic.Int64
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go func() { _ = c.Serve(ctx, counting{l, &written}) }()
	got := subscribe(ctx, b, l.Addr().String(), all)
	const changes = 200
	bytes, begin := written.Load(), cpu()
	for n := range changes {
		at := n * 5 % len(all)
		changed := *all[at]
		changed.Endpoints = append([]mesh.Endpoint(nil), changed.Endpoints...)
		changed.Endpoints[3].Addr = netip.AddrPortFrom(changed.Endpoints[3].Addr.Addr(), uint16(9000+n))
		all[at] = &changed
		publish(c)
		if names := <-got; len(names) != 1 || names[0] != changed.Name {
			b.Fatalf("got %v, want %s alone", names, changed.Name)
		}
	}
	perChange := float64(cpu()-begin) / float64(time.Millisecond) / changes
	perWire := float64(written.Load()-bytes) / changes
	b.ReportMetric(perChange, "cpu-ms/change")
	b.ReportMetric(perWire, "wire-bytes/change")
	b.ReportMetric(perChange/5, "of-5-ms")
	if perWire > 2048 {
		b.Errorf("%.0f bytes on the wire a change, want at most 2048", perWire)
	}
}

// subscribe asks for everything as an Envoy does, and then tells the names of each response of endpoints.
func subscribe(ctx context.Context, b *testing.B, address string, all []*mesh.Service) <-chan []string {
	b.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	must(b, err)
	b.Cleanup(func() { _ = conn.Close() })
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	must(b, err)
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	for _, r := range []*discovery.DeltaDiscoveryRequest{
		{Node: &corev3.Node{Id: "bench"}, TypeUrl: xds.ClusterType},
		{TypeUrl: xds.EndpointType, ResourceNamesSubscribe: names},
		{TypeUrl: xds.ListenerType},
		{TypeUrl: xds.RouteType, ResourceNamesSubscribe: []string{"egress"}},
	} {
		must(b, stream.Send(r))
	}
	got := make(chan []string)
	started := make(chan struct{})
	go func() {
		for first := 4; ; first-- {
			r, err := stream.Recv()
			if err != nil || stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}) != nil {
				return
			}
			if first > 0 {
				if first == 1 {
					close(started)
				}
				continue
			}
			var names []string
			for _, resource := range r.GetResources() {
				names = append(names, resource.GetName())
			}
			got <- names
		}
	}()
	<-started
	return got
}

// BenchmarkAThousandServicesFromStart starts nightjar in a world of 1,000 services with 10 tasks each, where AWS takes 30 ms
// for an answer and throttles nobody, and prints the time until all is in Envoy and nightjar's peak memory. It fails over
// 100 MB, which no other load can change much.
func BenchmarkAThousandServicesFromStart(b *testing.B) {
	envoytest.Path(b)
	binary := filepath.Join(b.TempDir(), "nightjar")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/nightjar").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	file, err := ecssim.Load([]byte(thousandYAML()))
	must(b, err)
	sim, err := ecssim.New(file)
	must(b, err)
	api := httptest.NewServer(sim.Server)
	b.Cleanup(api.Close)
	for late := time.Now().Add(patience); len(sim.World.Tasks("c4", "s999")) < 10; time.Sleep(50 * time.Millisecond) {
		sim.World.Advance(time.Now())
		if time.Now().After(late) {
			b.Fatal("the world doesn't start")
		}
	}
	r := newRig(b, "region: eu-west-1", "AWS_ENDPOINT_URL="+api.URL, "NIGHTJAR_AWS_RATE=10000", "NIGHTJAR_AWS_BURST=10000", "NIGHTJAR_LOG_LEVEL=warn")
	for n := range 1000 {
		r.settings[fmt.Sprintf("SERVICE_ARN_%d", n+1)] = fmt.Sprintf("arn:aws:ecs:eu-west-1:111122223333:service/c%d/s%d", 1+n/250, n)
		r.settings[fmt.Sprintf("SERVICE_PATH_%d", n+1)] = fmt.Sprintf("/s%d", n)
	}
	r.startEnvoy()
	begin := time.Now()
	cmd := command(r.settings, "serve")
	cmd.Path = binary
	r.nightjar = &process{done: make(chan struct{}), cmd: cmd}
	cmd.Stdout, cmd.Stderr = r.nightjar, r.nightjar
	must(b, cmd.Start())
	go func() { r.nightjar.err = cmd.Wait(); close(r.nightjar.done) }()
	b.Cleanup(func() { _ = cmd.Process.Kill(); <-r.nightjar.done })
	r.within(2*patience, "10,000 endpoints are in Envoy", func() bool { return members(r.settings["ENVOY_ADMIN_PORT"]) == 10_000 })
	took := time.Since(begin)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	must(b, err)
	peak, err := strconv.Atoi(regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindStringSubmatch(string(status))[1])
	must(b, err)
	b.ReportMetric(took.Seconds(), "s-to-envoy")
	b.ReportMetric(float64(peak)/1000, "MB-peak")
	b.ReportMetric(took.Seconds()/5, "of-5-s")
	if peak > 100_000 {
		b.Errorf("peak memory %d kB, want at most 100 MB", peak)
	}
	if log := r.nightjar.output(); log != "" {
		b.Errorf("nightjar warns:\n%s", tail(log, 10))
	}
}

// thousandYAML is the world: four ECS clusters of 250 services, of which every other one is in bridge mode.
func thousandYAML() string {
	var y strings.Builder
	y.WriteString("region: eu-west-1\npolite: true\nunlimited: true\nlatency: 30ms\ntiming: {provision: 1ms, pull: 1ms, register: 1ms}\nclusters:\n")
	for c := range 4 {
		fmt.Fprintf(&y, "- name: c%d\n  subnet: 10.%d.0.0/16\n  instances:\n", c+1, c+1)
		for i := range 50 {
			fmt.Fprintf(&y, "  - {id: i-%02d%015d, address: 10.10%d.0.%d, zone: eu-west-1a}\n", c, i, c, i+1)
		}
		y.WriteString("  services:\n")
		for n := c * 250; n < (c+1)*250; n++ {
			network := []string{"bridge", "awsvpc"}[n%2]
			fmt.Fprintf(&y, "  - {name: s%d, desired: 10, network: %s, containers: [{name: app, ports: [8080]}], "+
				"load_balancers: [{container: app, port: 8080}]}\n", n, network)
		}
	}
	return y.String()
}

// members counts the endpoints in Envoy.
func members(adminPort string) int {
	resp, err := http.Get("http://127.0.0.1:" + adminPort + "/stats?filter=membership_total")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	sum := 0
	for _, m := range regexp.MustCompile(`cluster\.c\d\S*membership_total: (\d+)`).FindAllStringSubmatch(string(text), -1) {
		n, _ := strconv.Atoi(m[1])
		sum += n
	}
	return sum
}
