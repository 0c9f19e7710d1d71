package virtual

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/awsapi"
	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// callers counts the calls of some, and those of them that were throttled. It is an awsapi.Observer.
type callers struct {
	mu sync.Mutex
	share
}

// share are calls, and those of them that were throttled.
type share struct{ all, throttled int }

func (c *callers) Called(_, result string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all++
	if result == "throttled" {
		c.throttled++
	}
}

// now is the share so far.
func (c *callers) now() share {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.share
}

// since is the share of what came after another.
func (s share) since(before share) share {
	return share{s.all - before.all, s.throttled - before.throttled}
}

// percent is how many of a hundred were throttled.
func (s share) percent() float64 { return 100 * float64(s.throttled) / float64(max(1, s.all)) }

func (s share) String() string { return fmt.Sprintf("%.2f %% of %d", s.percent(), s.all) }

// population is what is in the account of a fleet.
type population struct {
	services, tasks int // tasks of each service
	// sidecar is the name of a container that each of them has besides.
	sidecar string
	// clients are the tasks of the service that the sidecars are of, where they know it.
	clients int
}

// fleet is an account in which many sidecars read the same services.
type fleet struct {
	*account
	population
	names   []string // of the services
	refs    []mesh.ServiceRef
	calls   callers
	members []*member
	truth   *trace
	besides sync.WaitGroup
}

// newFleet makes an account, in which all tasks run.
func newFleet(t *testing.T, p population) *fleet {
	t.Helper()
	f := &fleet{population: p, truth: newTrace()}
	usual := debug.SetGCPercent(400) // many small heaps in one, of which little is garbage for long
	t.Cleanup(func() { debug.SetGCPercent(usual) })
	cluster := ecssim.FileCluster{Name: "c1", Subnet: "10.0.0.0/16"}
	for n := range p.services {
		name := fmt.Sprintf("s%02d", n)
		f.names = append(f.names, name)
		cluster.Services = append(cluster.Services, ecssim.FileService{
			Name: name, Desired: p.tasks, Network: "awsvpc", Launch: "FARGATE", Overlap: 5 * time.Second,
			Containers: []ecssim.FileContainer{{Name: "web", Ports: []uint16{8080}}, {Name: p.sidecar}},
		})
		f.refs = append(f.refs, mesh.ServiceRef{Cluster: "c1", Service: name, Container: "web", Port: 8080})
	}
	if p.clients > 0 {
		cluster.Services = append(cluster.Services, ecssim.FileService{
			Name: clients, Desired: p.clients, Network: "awsvpc", Launch: "FARGATE", Containers: []ecssim.FileContainer{{Name: "app"}},
		})
	}
	f.account = newAccount(t, &ecssim.File{Polite: true, Clusters: []ecssim.FileCluster{cluster}})
	t.Cleanup(f.besides.Wait)
	time.Sleep(30 * time.Second) // until its tasks run
	f.sim.World.Advance(time.Now())
	return f
}

// clients is the service that the sidecars are of, where they know it.
const clients = "clients"

// member is a sidecar of a fleet, with what it published.
type member struct {
	*nightjar
	seen *trace
}

// join starts n more sidecars at once.
func (f *fleet) join(n int) {
	f.t.Helper()
	o := options{refs: f.refs, calls: &f.calls}
	if f.clients > 0 {
		o.ownCluster, o.ownService = "c1", clients
	}
	for range n {
		m := &member{seen: newTrace()}
		o.observe = m.seen.published
		m.nightjar = f.start(o)
		f.members = append(f.members, m)
	}
}

// ready counts the members that have published, for which they must have read all services.
func (f *fleet) ready() int {
	n := 0
	for _, m := range f.members {
		if m.latest.serving() == len(f.refs) {
			n++
		}
	}
	return n
}

// beside does something in the background, until the test ends.
func (f *fleet) beside(do func(ctx context.Context)) {
	f.besides.Go(func() { do(f.t.Context()) })
}

// watch follows what the simulated ECS shows.
func (f *fleet) watch(ctx context.Context) {
	for ctx.Err() == nil {
		f.sim.World.Advance(time.Now())
		for _, name := range f.names {
			f.truth.saw(name, f.sim.World.Tasks("c1", name))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// never is how long what did not happen took.
const never = time.Hour

// routed is how long each change since a time took to be routed, at each member; sorted. A task that did not live for a while
// is none.
func (f *fleet) routed(since time.Time) []time.Duration {
	const lives = 30 * time.Second
	var all []time.Duration
	took := func(from, to time.Time) {
		if from.Before(since) {
			return
		}
		d := never
		if !to.IsZero() {
			d = max(0, to.Sub(from))
		}
		all = append(all, d)
	}
	f.truth.mu.Lock()
	defer f.truth.mu.Unlock()
	for _, m := range f.members {
		m.seen.mu.Lock()
		for task, came := range f.truth.came {
			left, gone := f.truth.left[task]
			if !gone || left.Sub(came) > lives {
				took(came, m.seen.came[task])
			}
			if gone && left.Sub(came) > lives {
				took(left, m.seen.left[task])
			}
		}
		m.seen.mu.Unlock()
	}
	slices.Sort(all)
	return all
}

// trace is when tasks came and left.
type trace struct {
	mu         sync.Mutex
	came, left map[string]time.Time
	present    map[string]map[string]bool // by service
	services   map[string]*mesh.Service
}

func newTrace() *trace {
	return &trace{
		came: map[string]time.Time{}, left: map[string]time.Time{}, present: map[string]map[string]bool{}, services: map[string]*mesh.Service{},
	}
}

// published notes a mesh.
func (c *trace) published(m *mesh.Mesh) {
	for _, s := range m.Services {
		if c.services[s.Name] == s {
			continue
		}
		c.services[s.Name] = s
		tasks := make([]string, 0, len(s.Endpoints))
		for _, e := range s.Endpoints {
			tasks = append(tasks, e.Task)
		}
		c.saw(s.Name, tasks)
	}
}

// saw notes the tasks of a service.
func (c *trace) saw(service string, tasks []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, here, before := time.Now(), make(map[string]bool, len(tasks)), c.present[service]
	for _, task := range tasks {
		here[task] = true
		if !before[task] {
			c.came[task] = now
			delete(c.left, task)
		}
	}
	for task := range before {
		if !here[task] {
			c.left[task] = now
		}
	}
	c.present[service] = here
}

// bystander is somebody else in the account: 2 calls a second, and 20 at once every 30 s, of one action.
type bystander struct{ callers }

// run calls until the context ends.
func (b *bystander) run(ctx context.Context, f *fleet, action string) {
	body := `{"cluster":"c1"}`
	if action == "DescribeServices" {
		body = `{"cluster":"c1","services":["s00"]}`
	}
	for second := 0; ctx.Err() == nil; second++ {
		n := 2
		if second%30 == 29 {
			n += 20
		}
		var calls sync.WaitGroup
		for range n {
			calls.Go(func() { b.call(ctx, f, action, body) })
		}
		calls.Wait()
		time.Sleep(time.Second)
	}
}

func (b *bystander) call(ctx context.Context, f *fleet, action, body string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://ecs.eu-west-1.amazonaws.com/", strings.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113."+action)
	resp, err := f.transport.RoundTrip(req)
	if err != nil {
		return // the test ends
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode == http.StatusOK:
		b.Called(action, "ok", 0)
	case strings.Contains(string(answer), "ThrottlingException"):
		b.Called(action, "throttled", 0)
	default:
		f.t.Errorf("a bystander's call: %s: %s", resp.Status, answer)
	}
}

// bystanders are one on each of the buckets.
type bystanders struct{ tasks, services bystander }

// bystanders starts them; they call until the test ends.
func (f *fleet) bystanders() *bystanders {
	b := &bystanders{}
	f.beside(func(ctx context.Context) { b.tasks.run(ctx, f, "ListTasks") })
	f.beside(func(ctx context.Context) { b.services.run(ctx, f, "DescribeServices") })
	return b
}

// naive reads as a loop without a budget does: each second the tasks of each service are listed and described, with no more
// care than the SDK's own retries.
func (f *fleet) naive(ctx context.Context, calls awsapi.Observer) {
	client, err := awsapi.New(ctx, awsapi.Options{
		Region: f.region, Budget: awsapi.NewBudget(1e6, 1e6), Log: slog.New(slog.DiscardHandler), Observer: calls, Transport: f.transport,
	})
	if err != nil {
		f.t.Error(err)
		return
	}
	time.Sleep(rand.N(time.Second))
	for next := time.Now(); ctx.Err() == nil; next = next.Add(time.Second) {
		time.Sleep(time.Until(next))
		for _, name := range f.names {
			arns, err := client.ServiceTasks(ctx, "c1", name)
			if err == nil {
				_, _ = client.Tasks(ctx, "c1", arns)
			}
		}
	}
}
