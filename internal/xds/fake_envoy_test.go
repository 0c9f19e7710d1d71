package xds

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// fakeEnvoy speaks delta xDS with go-control-plane's real server in memory, and does only what a test tells it to.
type fakeEnvoy struct {
	grpc.ServerStream
	t        *testing.T
	ctx      context.Context
	requests chan *discovery.DeltaDiscoveryRequest
	mu       sync.Mutex
	got      []*discovery.DeltaDiscoveryResponse
}

func (e *fakeEnvoy) Context() context.Context { return e.ctx }

func (e *fakeEnvoy) Send(r *discovery.DeltaDiscoveryResponse) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got = append(e.got, r)
	return nil
}

func (e *fakeEnvoy) Recv() (*discovery.DeltaDiscoveryRequest, error) {
	select {
	case r := <-e.requests:
		return r, nil
	case <-e.ctx.Done():
		return nil, errors.New("closed")
	}
}

// connectFake connects an Envoy to the cache until the test ends.
func connectFake(t *testing.T, c *testCache) *fakeEnvoy {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	e := &fakeEnvoy{t: t, ctx: ctx, requests: make(chan *discovery.DeltaDiscoveryRequest)}
	done := make(chan error, 1)
	go func() { done <- c.server.DeltaAggregatedResources(e) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return e
}

// ask sends a request of a type, with the versions that the Envoy brings along.
func (e *fakeEnvoy) ask(typeURL string, names []string, initial map[string]string) {
	e.requests <- &discovery.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: "envoy"}, TypeUrl: typeURL,
		ResourceNamesSubscribe: names, InitialResourceVersions: initial,
	}
}

// next takes the next response, which must be of that type, with exactly those resources, and removals as "-name".
func (e *fakeEnvoy) next(typeURL string, want ...string) *discovery.DeltaDiscoveryResponse {
	e.t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.got) == 0 {
		e.t.Fatalf("no response came, want %s %q", shortType(typeURL), want)
	}
	r := e.got[0]
	e.got = e.got[1:]
	var got []string
	for _, resource := range r.GetResources() {
		got = append(got, resource.GetName())
	}
	for _, name := range r.GetRemovedResources() {
		got = append(got, "-"+name)
	}
	if r.GetTypeUrl() != typeURL || !slices.Equal(got, want) {
		e.t.Fatalf("response: %s %q, want %s %q", shortType(r.GetTypeUrl()), got, shortType(typeURL), want)
	}
	return r
}

// quiet fails the test if anything was sent.
func (e *fakeEnvoy) quiet(why string) {
	e.t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.got {
		e.t.Fatalf("%s: got %s %v −%v", why, shortType(r.GetTypeUrl()), r.GetResources(), r.GetRemovedResources())
	}
}

func (e *fakeEnvoy) ack(r *discovery.DeltaDiscoveryResponse) {
	e.requests <- &discovery.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}
}

func (e *fakeEnvoy) nack(r *discovery.DeltaDiscoveryResponse, message string) {
	e.requests <- &discovery.DeltaDiscoveryRequest{
		TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce(), ErrorDetail: &status.Status{Code: 13, Message: message},
	}
}

// settle starts the Envoy from nothing with the two services a and b, as a real one does, until it has everything.
func (e *fakeEnvoy) settle() {
	e.t.Helper()
	e.ask(ClusterType, nil, nil)
	clusters := e.next(ClusterType, "a", "b")
	e.ask(EndpointType, []string{"a", "b"}, nil)
	e.ack(e.next(EndpointType, "a", "b"))
	e.ack(clusters)
	e.ask(ListenerType, nil, nil)
	listeners := e.next(ListenerType, "egress")
	e.ask(RouteType, []string{"egress"}, nil)
	e.ack(e.next(RouteType, "egress"))
	e.ack(listeners)
	e.quiet("everything is there")
}

// counter counts what the cache observes.
type counter struct{ refused, overdue, acknowledged int }

func (c *counter) Refused(string)             { c.refused++ }
func (c *counter) Overdue()                   { c.overdue++ }
func (c *counter) Acknowledged(time.Duration) { c.acknowledged++ }

// testCache is a Cache behind go-control-plane's server.
type testCache struct {
	*Cache
	server server.Server
}

func newTestCache(t *testing.T) (*testCache, *counter) {
	count := &counter{}
	c := NewCache(slog.New(slog.DiscardHandler), count)
	return &testCache{c, server.NewServer(t.Context(), c, c.callbacks())}, count
}

// service is a service with endpoints on that many ports.
func service(name string, endpoints int) *mesh.Service {
	s := &mesh.Service{Name: name, State: mesh.Active}
	for i := range endpoints {
		s.Endpoints = append(s.Endpoints, mesh.Endpoint{Addr: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(8000+i))})
	}
	return s
}

// testMesh has the services, and the routes given as path and service in turn.
func testMesh(t *testing.T, services []*mesh.Service, routes ...string) *mesh.Mesh {
	t.Helper()
	p := mesh.Proxy{Listeners: []mesh.Listener{{Name: "egress", Addr: netip.MustParseAddrPort("127.0.0.1:8080")}}}
	for i := 0; i < len(routes); i += 2 {
		p.Routes = append(p.Routes, mesh.Route{Listener: "egress", Path: routes[i], Service: routes[i+1], Policy: mesh.Policy{Retries: 5}})
	}
	m, err := mesh.New(services, []mesh.Proxy{p})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mustPublish(t *testing.T, c *testCache, m *mesh.Mesh) {
	t.Helper()
	if err := c.Publish(m); err != nil {
		t.Fatal(err)
	}
}
