package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/groboclown/nightjar-mesh/internal/demo"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// swappingECS is an ECS with one service of one task, which is replaced by another at once. It notes when the last byte
// of the answer that first describes the present task is out.
type swappingECS struct {
	mu       sync.Mutex
	task     int
	answered chan time.Time // of the present task; holds one
}

func (s *swappingECS) swap() <-chan time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.task++
	s.answered = make(chan time.Time, 1)
	return s.answered
}

func (s *swappingECS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	s.mu.Lock()
	arn, answered := fmt.Sprintf("arn:aws:ecs:eu-west-1:111122223333:task/c1/t%d", s.task), s.answered
	address := backendAddress(s.task)
	s.mu.Unlock()
	var answer string
	describes := false
	switch r.Header.Get("X-Amz-Target") {
	case "AmazonEC2ContainerServiceV20141113.DescribeServices":
		answer = `{"services":[{"serviceName":"web","status":"ACTIVE","runningCount":1}],"failures":[]}`
	case "AmazonEC2ContainerServiceV20141113.ListTasks":
		answer = fmt.Sprintf(`{"taskArns":[%q]}`, arn)
	default:
		var in struct{ Tasks []string }
		_ = json.Unmarshal(body, &in)
		describes = slices.Contains(in.Tasks, arn)
		answer = fmt.Sprintf(`{"tasks":[{"taskArn":%q,"group":"service:web","lastStatus":"RUNNING","desiredStatus":"RUNNING","containers":[
			{"name":"app","lastStatus":"RUNNING","networkInterfaces":[{"privateIpv4Address":%q}]}]}],"failures":[]}`, arn, address)
		if !describes {
			answer = fmt.Sprintf(`{"tasks":[],"failures":[{"arn":%q,"reason":"MISSING"}]}`, in.Tasks[0])
		}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
	_, _ = io.WriteString(w, answer)
	if describes && answered != nil {
		_ = http.NewResponseController(w).Flush()
		select {
		case answered <- time.Now():
		default:
		}
	}
}

// backendAddress is one of two, in turn.
func backendAddress(n int) string { return fmt.Sprintf("127.98.1.%d", 1+n%2) }

// firstAnswerOf asks again and again until the backend answers, and tells when.
func firstAnswerOf(b *testing.B, client *http.Client, base string, n int) time.Time {
	b.Helper()
	for late := time.Now().Add(patience); ; {
		if r := demo.Get(client, base, "/web"); r.Answer.Task == backendAddress(n) {
			return r.At.Add(r.Took)
		}
		if time.Now().After(late) {
			b.Fatalf("the change to %s did not arrive", backendAddress(n))
		}
	}
}

// floor is the least that xDS can do: go-control-plane's LinearCaches with the same resources, set by hand.
type floor struct {
	base      string
	endpoints *cache.LinearCache
}

func startFloor(b *testing.B, port string) *floor {
	b.Helper()
	ports := freePorts(b, 2)
	m, err := mesh.New([]*mesh.Service{{Name: "c1/web", State: mesh.Active, Endpoints: []mesh.Endpoint{
		{Addr: netip.MustParseAddrPort(backendAddress(0) + ":" + port)},
	}}}, []mesh.Proxy{{
		Listeners: []mesh.Listener{{Name: "egress", Addr: netip.MustParseAddrPort("127.0.0.1:" + ports[0])}},
		Routes:    []mesh.Route{{Listener: "egress", Path: "/web", Service: "c1/web", Policy: usualPolicy()}},
	}})
	must(b, err)
	document, err := xds.Render(m, "")
	must(b, err)
	linear := func(typeURL string, all []json.RawMessage, message func() proto.Message) *cache.LinearCache {
		resources := map[string]types.Resource{}
		for _, text := range all {
			r := message()
			must(b, protojson.Unmarshal(text, r))
			resources[cache.GetResourceName(r)] = r
		}
		return cache.NewLinearCache(typeURL, cache.WithInitialResources(resources))
	}
	f := &floor{base: "http://127.0.0.1:" + ports[0]}
	f.endpoints = linear(xds.EndpointType, document.Endpoints, func() proto.Message { return &endpointv3.ClusterLoadAssignment{} })
	caches := map[string]cache.Cache{
		xds.EndpointType: f.endpoints,
		xds.ClusterType:  linear(xds.ClusterType, document.Clusters, func() proto.Message { return &clusterv3.Cluster{} }),
		xds.RouteType:    linear(xds.RouteType, document.Routes, func() proto.Message { return &routev3.RouteConfiguration{} }),
		xds.ListenerType: linear(xds.ListenerType, document.Listeners, func() proto.Message { return &listenerv3.Listener{} }),
	}
	mux := &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        caches,
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+ports[1])
	must(b, err)
	s := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(s, server.NewServer(context.Background(), mux, nil))
	go func() { _ = s.Serve(l) }()
	b.Cleanup(s.Stop)
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapOptions{
		NodeID: "floor", NodeService: "floor", XDSNetwork: "tcp", XDSAddress: l.Addr().String(), AdminHost: "127.0.0.1",
	})
	must(b, err)
	envoytest.Start(b, envoytest.Options{Bootstrap: bootstrap}).WaitReady()
	return f
}

// set publishes the endpoint.
func (f *floor) set(b *testing.B, n int, port string) {
	b.Helper()
	text := fmt.Sprintf(`{"cluster_name":"c1/web","endpoints":[{"lb_endpoints":[{"endpoint":{"address":{"socket_address":
		{"address":%q,"port_value":%s}}}}]}]}`, backendAddress(n), port)
	assignment := &endpointv3.ClusterLoadAssignment{}
	must(b, protojson.Unmarshal([]byte(text), assignment))
	must(b, f.endpoints.UpdateResource("c1/web", assignment))
}

// BenchmarkFromTheAnswerOfAWSToTraffic takes the time from the last byte of the AWS answer that shows a change to the
// first request that is served by it, and beside it in turn the floor: from setting a bare xDS cache to that. It fails if
// the median is more than three times the floor's.
func BenchmarkFromTheAnswerOfAWSToTraffic(b *testing.B) {
	const changes = 200
	envoytest.Path(b)
	port := freePorts(b, 1)[0]
	for n := range 2 {
		backend, err := demo.StartBackend(demo.Identity{Task: backendAddress(n)}, netip.MustParseAddrPort(backendAddress(n)+":"+port))
		must(b, err)
		b.Cleanup(backend.Kill)
	}
	aws := &swappingECS{}
	api := httptest.NewServer(aws)
	b.Cleanup(api.Close)
	r := newRig(b, "region: eu-west-1", append(services("/web", "c1/web"), "SERVICE_PORT_1="+port, "WAITTIME=20",
		"AWS_ENDPOINT_URL="+api.URL, "NIGHTJAR_AWS_RATE=10000", "NIGHTJAR_AWS_BURST=10000", "NIGHTJAR_LOG_LEVEL=info")...)
	r.startNightjar()
	r.startEnvoy()
	bare := startFloor(b, port)
	client := &http.Client{Timeout: 10 * time.Second}
	firstAnswerOf(b, client, r.base, 0)
	firstAnswerOf(b, client, bare.base, 0)
	var ours, floors []time.Duration
	for n := 1; n <= changes; n++ {
		answered := aws.swap()
		at := firstAnswerOf(b, client, r.base, n)
		ours = append(ours, at.Sub(<-answered))
		begin := time.Now()
		bare.set(b, n, port)
		floors = append(floors, firstAnswerOf(b, client, bare.base, n).Sub(begin))
	}
	median := func(all []time.Duration, part int) float64 {
		slices.Sort(all)
		return float64(all[len(all)*part/100].Microseconds()) / 1000
	}
	ratio := median(ours, 50) / median(floors, 50)
	b.ReportMetric(median(ours, 50), "p50-ms")
	b.ReportMetric(median(ours, 99), "p99-ms")
	b.ReportMetric(median(floors, 50), "floor-p50-ms")
	b.ReportMetric(median(floors, 99), "floor-p99-ms")
	b.ReportMetric(ratio, "ratio-p50")
	if len(floors) != changes || ratio > 3 {
		b.Errorf("%d changes of the floor; the median is %.2f times the floor's, want at most 3", len(floors), ratio)
	}
	if strings.Contains(r.nightjar.output(), "level=WARN") {
		b.Errorf("nightjar warns:\n%s", tail(r.nightjar.output(), 10))
	}
}
