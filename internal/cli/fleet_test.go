package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/admin"
	"github.com/groboclown/nightjar-mesh/internal/awsapi"
	"github.com/groboclown/nightjar-mesh/internal/control"
	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// callers counts calls by who makes them and what becomes of them.
type callers struct {
	mu        sync.Mutex
	all       int
	throttled int
}

func (c *callers) Called(_, result string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all++
	if result == "throttled" {
		c.throttled++
	}
}

func (c *callers) since(all, throttled int) (int, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all - all, c.throttled - throttled
}

// sidecar is a nightjar of a fleet.
type sidecar struct {
	published *latest
	loop      *control.Loop
}

// fleet is an account in which many sidecars read.
type fleet struct {
	t       *testing.T
	sim     *ecssim.Sim
	refs    []mesh.ServiceRef
	calls   callers
	members []*sidecar
}

// newFleet makes an account with services of so many tasks each, which all have a nightjar.
func newFleet(t *testing.T, services, tasks int) *fleet {
	t.Helper()
	f := &fleet{t: t}
	cluster := ecssim.FileCluster{Name: "c1", Subnet: "10.0.0.0/16"}
	for n := range services {
		name := fmt.Sprintf("s%02d", n)
		cluster.Services = append(cluster.Services, ecssim.FileService{
			Name: name, Desired: tasks, Network: "awsvpc", Launch: "FARGATE", Overlap: 5 * time.Second,
			Containers: []ecssim.FileContainer{{Name: "web", Ports: []uint16{8080}}, {Name: "nightjar"}},
		})
		f.refs = append(f.refs, mesh.ServiceRef{Cluster: "c1", Service: name, Container: "web", Port: 8080})
	}
	var err error
	f.sim, err = ecssim.New(&ecssim.File{Region: "eu-west-1", Account: "111122223333", Polite: true, Clusters: []ecssim.FileCluster{cluster}})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute) // until its tasks run
	return f
}

// join starts n more sidecars at once.
func (f *fleet) join(ctx context.Context, n int) {
	f.t.Helper()
	for range n {
		budget, log := awsapi.NewBudget(1, 10), slog.New(slog.DiscardHandler)
		client, err := awsapi.New(ctx, awsapi.Options{
			Region: "eu-west-1", Budget: budget, Log: log, Observer: &f.calls, Transport: inMemory{f.sim.Server},
		})
		if err != nil {
			f.t.Fatal(err)
		}
		s := &sidecar{published: &latest{}}
		s.loop, err = control.New(control.Options{
			Reader:    ecs.NewInventory(client, &ecs.Schedule{Rate: 1, Wait: 100 * time.Millisecond, Sidecar: "nightjar"}),
			Publisher: s.published, Observer: admin.NewMetrics(), Log: log, Refs: f.refs, Wait: 100 * time.Millisecond, Proxies: []mesh.Proxy{{ID: "p"}},
		})
		if err != nil {
			f.t.Fatal(err)
		}
		f.members = append(f.members, s)
		go s.loop.Run(ctx)
	}
}

// bystander makes 2 calls a second, and 20 at once every 30 s, of one action, and tells how many it made and were throttled.
type bystander struct{ callers }

func (b *bystander) run(ctx context.Context, f *fleet, action string) {
	call := func() {
		body := `{"cluster":"c1"}`
		if action == "DescribeServices" {
			body = `{"cluster":"c1","services":["s00"]}`
		}
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://ecs/", http.NoBody)
		req.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113."+action)
		req.Body = readCloser(body)
		resp, err := inMemory{f.sim.Server}.RoundTrip(req)
		if err != nil {
			return
		}
		result := "ok"
		if resp.StatusCode == http.StatusBadRequest {
			result = "throttled"
		}
		b.Called("", result, 0)
	}
	for second := 0; ctx.Err() == nil; second++ {
		n := 2
		if second%30 == 29 {
			n = 22
		}
		for range n {
			call()
		}
		time.Sleep(time.Second)
	}
}

func (f *fleet) agree(service string, want int) int {
	n := 0
	for _, s := range f.members {
		s.published.mu.Lock()
		if s.published.mesh != nil && len(s.published.mesh.Service(service).Endpoints) == want {
			n++
		}
		s.published.mu.Unlock()
	}
	return n
}

func TestFleetPrototype(t *testing.T) {
	fakeCredentials(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3, 20)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var lists, services bystander
		var bystanders sync.WaitGroup
		bystanders.Go(func() { lists.run(ctx, f, "ListTasks") })
		bystanders.Go(func() { services.run(ctx, f, "DescribeServices") })
		time.Sleep(10 * time.Second)
		begin := time.Now()
		f.join(ctx, 60)
		for n := 0; n < 60; n = f.agree("c1/s00/web:8080", 20) {
			time.Sleep(time.Second)
			if time.Since(begin) > 2*time.Minute {
				t.Fatalf("%d of 60 are ready", n)
			}
		}
		t.Logf("all ready after %s", time.Since(begin))
		a, th := f.calls.since(0, 0)
		t.Logf("crowd start: %d calls, %d throttled", a, th)
		time.Sleep(2 * time.Minute)
		a0, th0 := f.calls.since(0, 0)
		time.Sleep(4 * time.Minute)
		a, th = f.calls.since(a0, th0)
		t.Logf("steady: %d calls in 10 min (%.1f/s), %d throttled (%.2f %%)", a, float64(a)/240, th, 100*float64(th)/float64(a))
		var all []time.Duration
		for i := range 2 {
			want := 21 + i
			if err := f.sim.World.Scale("c1", "s00", want); err != nil {
				t.Fatal(err)
			}
			ready := make([]time.Duration, 60)
			begin := time.Now().Add(1500 * time.Millisecond) // until it runs
			for time.Since(begin) < 90*time.Second {
				time.Sleep(100 * time.Millisecond)
				for m, s := range f.members {
					s.published.mu.Lock()
					if ready[m] == 0 && len(s.published.mesh.Service("c1/s00/web:8080").Endpoints) == want {
						ready[m] = time.Since(begin)
					}
					s.published.mu.Unlock()
				}
			}
			all = append(all, ready...)
		}
		slices.Sort(all)
		t.Logf("change routed: p50 %s p99 %s max %s min %s", all[len(all)/2], all[len(all)*99/100], all[len(all)-1], all[0])
		for name, b := range map[string]*bystander{"lists": &lists, "services": &services} {
			a, th := b.since(0, 0)
			t.Logf("bystander %s: %d calls, %d throttled (%.2f %%)", name, a, th, 100*float64(th)/float64(a))
		}
		cancel()
		bystanders.Wait()
	})
}

type textBody struct{ *strings.Reader }

func (textBody) Close() error { return nil }

func readCloser(text string) textBody { return textBody{strings.NewReader(text)} }
