// Package virtual runs nightjar's reader and loop, with the real AWS SDK, against the simulated ECS in virtual time: hours pass
// in seconds. A file a feature.
package virtual

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/admin"
	"github.com/groboclown/nightjar-mesh/internal/awsapi"
	"github.com/groboclown/nightjar-mesh/internal/control"
	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// fakeCredentials gives the SDK credentials, and keeps it from looking for others. It is called outside of the bubble.
func fakeCredentials(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
}

// account is a simulated AWS account that is served in memory: sockets would hold up virtual time, pipes don't.
type account struct {
	t         *testing.T
	region    string
	sim       *ecssim.Sim
	transport *http.Transport
}

// newAccount makes an account of a world, whose time begins now.
func newAccount(t *testing.T, file *ecssim.File) *account {
	t.Helper()
	if file.Region == "" {
		file.Region, file.Account = "eu-west-1", "111122223333"
	}
	if file.Latency == 0 {
		// As of AWS; and an answer that comes before net/http has done with the request breaks the connection.
		file.Latency = 20 * time.Millisecond
	}
	sim, err := ecssim.New(file)
	if err != nil {
		t.Fatal(err)
	}
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: sim.Server}
	go func() { _ = server.Serve(l) }()
	a := &account{t: t, region: file.Region, sim: sim, transport: &http.Transport{
		DialContext: l.dial, DialTLSContext: l.dial, MaxIdleConnsPerHost: 32, DisableCompression: true,
	}}
	t.Cleanup(func() {
		_ = server.Close()
		a.transport.CloseIdleConnections()
	})
	return a
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "virtual", Net: "unix"} }

// nightjar is a running reader and loop.
type nightjar struct {
	loop      *control.Loop
	inventory *ecs.Inventory
	budget    *awsapi.Budget
	latest    *latest
	log       *logged
	stop      context.CancelFunc
}

// options say how a nightjar reads; the zero values are the defaults of the settings.
type options struct {
	refs  []mesh.ServiceRef
	rate  float64
	wait  time.Duration
	calls awsapi.Observer
	// changes is told each change of a service.
	changes control.Observer
	// ownCluster and ownService name the service that it is of, where it knows.
	ownCluster, ownService string
	// observe is told each mesh as it is published; nil for nobody.
	observe func(*mesh.Mesh)
	// through takes requests to the account; nil for its own transport.
	through http.RoundTripper
	// seen sees what the reader asks, and what the loop gets of it; nil for nobody.
	seen seer
	// random spreads out what the schedule spreads; nil for chance.
	random func() float64
}

// seer stands between AWS and the reader, and between the reader and the loop.
type seer interface {
	api(api ecs.API) ecs.API
	reader(r control.Reader) control.Reader
}

// start starts a nightjar, which runs until the test ends or stop is called.
func (a *account) start(o options) *nightjar {
	a.t.Helper()
	if o.rate == 0 {
		o.rate = 1
	}
	if o.wait == 0 {
		o.wait = 100 * time.Millisecond
	}
	if o.calls == nil {
		o.calls = admin.NewMetrics()
	}
	if o.changes == nil {
		o.changes = admin.NewMetrics()
	}
	if o.through == nil {
		o.through = a.transport
	}
	ctx, stop := context.WithCancel(a.t.Context())
	n := &nightjar{budget: awsapi.NewBudget(o.rate, 10), latest: &latest{observe: o.observe}, log: &logged{}, stop: stop}
	log := slog.New(slog.NewTextHandler(n.log, nil))
	client, err := awsapi.New(ctx, awsapi.Options{
		Region: a.region, Budget: n.budget, Log: log, Observer: o.calls, Transport: o.through,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	var api ecs.API = client
	if o.seen != nil {
		api = o.seen.api(client)
	}
	n.inventory = ecs.NewInventory(api, &ecs.Schedule{
		Refs: o.refs, Rate: o.rate, Wait: o.wait, Sidecar: "nightjar", OwnCluster: o.ownCluster, OwnService: o.ownService,
		Random: o.random,
	})
	var reader control.Reader = n.inventory
	if o.seen != nil {
		reader = o.seen.reader(reader)
	}
	n.loop, err = control.New(control.Options{
		Reader: reader, Publisher: n.latest, Observer: o.changes, Log: log, Refs: o.refs, Wait: o.wait,
		Proxies: []mesh.Proxy{{ID: "p"}},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	go n.loop.Run(ctx)
	return n
}

// report is what its /api/status would say, of an Envoy that has accepted what it was sent and went away.
func (n *nightjar) report() admin.Report {
	s := &admin.Server{Loop: n.loop, Envoys: acceptedOnce{}, Rates: n.budget, Metrics: admin.NewMetrics()}
	return s.Report()
}

type acceptedOnce struct{}

func (acceptedOnce) Nodes() []xds.Node         { return nil }
func (acceptedOnce) LastRefusal() *xds.Refusal { return nil }
func (acceptedOnce) Accepted() bool            { return true }
func (acceptedOnce) Left() time.Time           { return time.Time{} }

// latest is a Publisher that keeps the latest mesh.
type latest struct {
	observe func(*mesh.Mesh)
	mu      sync.Mutex
	mesh    *mesh.Mesh
}

func (l *latest) Publish(m *mesh.Mesh) error {
	l.mu.Lock()
	l.mesh = m
	l.mu.Unlock()
	if l.observe != nil {
		l.observe(m)
	}
	return nil
}

// service is what is served of a service now; nil before the first publish.
func (l *latest) service(name string) *mesh.Service {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mesh == nil {
		return nil
	}
	return l.mesh.Service(name)
}

// endpoints counts those of a service; -1 before the first publish.
func (l *latest) endpoints(name string) int {
	s := l.service(name)
	if s == nil {
		return -1
	}
	return len(s.Endpoints)
}

// serving counts the services with an endpoint.
func (l *latest) serving() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	if l.mesh != nil {
		for _, s := range l.mesh.Services {
			if len(s.Endpoints) > 0 {
				n++
			}
		}
	}
	return n
}

// logged keeps what was logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// lines are the lines with a text in them.
func (l *logged) lines(part string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, part) {
			found = append(found, line)
		}
	}
	return found
}

// within waits for a condition in virtual time, and tells how long that took.
func within(t *testing.T, most time.Duration, what string, condition func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !condition() {
		if time.Since(begin) > most {
			t.Fatalf("waited %s in vain for: %s", most, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(begin)
}
