package virtual

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// role serves the credentials of a task role, as ECS does at AWS_CONTAINER_CREDENTIALS_FULL_URI. It is a real server outside of
// the bubble, as the SDK dials it by itself: virtual time stands still while it answers. Each answer ends its connection, as an
// idle one would hold up virtual time for ever.
type role struct {
	now   atomic.Pointer[keys] // nil: there are none
	asked atomic.Int32
}

type keys struct {
	AccessKeyId, SecretAccessKey, Token string //nolint:revive // the names of ECS
	Expiration                          time.Time
}

// taskRole makes the SDK find the credentials of a task role. It is called outside of the bubble.
func taskRole(t *testing.T) *role {
	t.Helper()
	fakeCredentials(t)
	r := &role{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r.asked.Add(1)
		w.Header().Set("Connection", "close")
		k := r.now.Load()
		if k == nil {
			http.Error(w, `{"code":"NoRole","message":"there is no role"}`, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(k)
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.URL+"/credentials")
	return r
}

// give makes an access key the role's, for so long.
func (r *role) give(key string, valid time.Duration) {
	r.now.Store(&keys{key, "secret", "token", time.Now().Add(valid)})
}

// TestADay lives through 24 hours: deployments, scaling, tasks that die, containers that come back on another host port, ports
// that are used again, an outage of an hour, credentials that change each hour, and further nightjars that start in between.
func TestADay(t *testing.T) {
	r := taskRole(t)
	synctest.Test(t, func(t *testing.T) { newDay(t, r).live() })
}

// day is a day in an account.
type day struct {
	t        *testing.T
	a        *account
	role     *role
	n        *nightjar
	chance   *rand.Rand
	calls    *results
	services []string // ECS-CLUSTER/NAME
	rotated  int
	// moves are how many tasks and containers came and went, at most: each may be a line in the log.
	happened int

	mu   sync.Mutex
	sick map[string]bool
	last map[string][]mesh.Endpoint
	lost []string // endpoints that went though they served
}

// results counts calls by their result.
type results struct {
	mu sync.Mutex
	of map[string]int
}

// Called implements awsapi.Observer.
func (r *results) Called(_, result string, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[result]++
}

func (r *results) count() (ok, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for result, n := range r.of {
		if result == "ok" {
			ok += n
		} else {
			failed += n
		}
	}
	return ok, failed
}

func newDay(t *testing.T, r *role) *day {
	web := []ecssim.FileContainer{{Name: "web", Ports: []uint16{8080}, HealthCheck: true}}
	instances := []ecssim.FileInstance{
		{ID: "i-0aaaaaaaaaaaaaaa1", Address: "10.1.0.1", Zone: "eu-west-1a"}, {ID: "i-0aaaaaaaaaaaaaaa2", Address: "10.1.0.2", Zone: "eu-west-1b"},
	}
	d := &day{
		t: t, role: r, chance: rand.New(rand.NewPCG(1, 2)), calls: &results{of: map[string]int{}}, sick: map[string]bool{}, //nolint:gosec // repeatable
		last: map[string][]mesh.Endpoint{}, services: []string{"c1/orders", "c1/basket", "c1/users", "c1/seldom"},
	}
	d.a = newAccount(t, &ecssim.File{Polite: true, Seed: 3, Clusters: []ecssim.FileCluster{{
		Name: "c1", Subnet: "10.0.0.0/16", Instances: instances, Services: []ecssim.FileService{
			{Name: "orders", Desired: 6, Network: "bridge", Overlap: 20 * time.Second, Containers: web},
			{Name: "basket", Desired: 4, Network: "bridge", Containers: web},
			{
				Name: "users", Desired: 5, Network: "awsvpc", Launch: "FARGATE", Overlap: 5 * time.Second, Containers: web,
				LoadBalancers: []ecssim.FileTarget{{Container: "web", Port: 8080}},
			},
			{Name: "seldom", Desired: 1, Network: "bridge", Containers: web},
		},
	}}})
	return d
}

// start starts one more nightjar.
func (d *day) start(observe func(*mesh.Mesh)) *nightjar {
	var refs []mesh.ServiceRef
	for _, s := range d.services {
		cluster, name, _ := strings.Cut(s, "/")
		refs = append(refs, mesh.ServiceRef{Cluster: cluster, Service: name})
	}
	return d.a.start(options{refs: refs, wait: 3 * time.Second, calls: d.calls, observe: observe})
}

func (d *day) live() {
	d.rotate()
	time.Sleep(time.Minute) // until its tasks run
	begin := time.Now()
	d.n = d.start(d.published)
	d.settled(d.n, time.Minute)
	for hour := range 24 {
		if hour == 8 {
			d.outage()
		} else {
			d.hour(hour%6 == 5)
		}
		if spent := time.Since(begin); spent > time.Duration(hour+1)*time.Hour {
			d.t.Fatalf("hour %d took %s", hour, spent)
		}
		time.Sleep(time.Until(begin.Add(time.Duration(hour+1) * time.Hour)))
		d.rotate()
	}
	d.look()
	d.memory()
}

// rotate gives the role the next access key, which is the only one that AWS takes when the one before has expired.
func (d *day) rotate() {
	before := fmt.Sprintf("AKID%04d", d.rotated)
	d.rotated++
	next := fmt.Sprintf("AKID%04d", d.rotated)
	d.a.sim.Server.KnowKeys(before, next)
	d.role.give(next, time.Hour+10*time.Minute)
	time.AfterFunc(10*time.Minute, func() { d.a.sim.Server.KnowKeys(next) })
}

// hour lets something happen every few minutes. After each the routes are right, within a bound.
func (d *day) hour(restart bool) {
	for range 12 {
		d.something()
		d.settled(d.n, 15*time.Second)
		time.Sleep(time.Duration(d.chance.IntN(100)) * time.Second)
	}
	if restart {
		other := d.start(nil)
		d.settled(other, 30*time.Second)
		other.stop()
	}
}

// something happens to a service.
func (d *day) something() {
	w := d.a.sim.World
	w.Advance(time.Now())
	service := d.services[d.chance.IntN(3)]
	cluster, name, _ := strings.Cut(service, "/")
	tasks := w.Tasks(cluster, name)
	one := tasks[d.chance.IntN(len(tasks))]
	d.happened += 2 * len(tasks)
	var err error
	switch d.chance.IntN(7) {
	case 0:
		err = w.Deploy(cluster, name, nil)
	case 1:
		err = w.Scale(cluster, name, 2+d.chance.IntN(6))
		d.happened += 8
	case 2:
		err = w.Kill(cluster, name)
	case 3:
		err = w.StopTask(cluster, name, one)
	case 4:
		err = w.RestartContainers(cluster, name, one)
	case 5: // UNHEALTHY for a while
		d.mark(one, true)
		must(d.t, w.SetHealth(cluster, name, one, "web", "UNHEALTHY"))
		d.settled(d.n, 15*time.Second)
		d.mark(one, false)
		err = w.SetHealth(cluster, name, one, "web", "HEALTHY")
	default: // a service without any task, whose port another may get
		must(d.t, w.Scale(cluster, "seldom", 0))
		d.settled(d.n, 30*time.Second)
		must(d.t, w.Scale(cluster, name, len(tasks)+1))
		err = w.Scale(cluster, "seldom", 1)
	}
	must(d.t, err)
}

// outage is an hour in which every call fails, in several ways, while tasks come and go; a nightjar that starts in it too.
func (d *day) outage() {
	w := d.a.sim.World
	before := d.n.latest.served()
	var other *nightjar
	for n, kind := range []ecssim.FaultKind{ecssim.ServerError, ecssim.Reset, ecssim.Throttle, ecssim.Hang, ecssim.ExpiredToken, ecssim.WrongType} {
		d.a.sim.Server.Heal()
		must(d.t, d.a.sim.Server.Inject(ecssim.Fault{Kind: kind}))
		w.Advance(time.Now())
		d.happened += 40
		switch n {
		case 0:
			must(d.t, w.Kill("c1", "basket"))
		case 1:
			must(d.t, w.Scale("c1", "orders", 8)) // which gets the host port of what died
		case 2:
			other = d.start(nil)
		case 3:
			must(d.t, w.Deploy("c1", "users", nil))
		}
		time.Sleep(9 * time.Minute)
		if now := d.n.latest.served(); !slices.Equal(now, before) {
			d.t.Fatalf("%s changes what is served from %v to %v", kind, before, now)
		}
		if other != nil && (other.latest.endpoints("c1/orders") != 0 || other.latest.serving() != 0) {
			d.t.Fatalf("a nightjar that started in the outage serves %v", other.latest.served())
		}
	}
	d.a.sim.Server.Heal()
	d.settled(d.n, 2*time.Minute) // the budget fell with the throttles
	d.settled(other, 2*time.Minute)
	other.stop()
}

func (d *day) mark(task string, sick bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sick[task] = sick
}

// truth are the addresses of a service's tasks that are to serve, and whether nothing of it moves.
func (d *day) truth(service string) (addresses []netip.AddrPort, quiet bool) {
	w := d.a.sim.World
	w.Advance(time.Now())
	cluster, name, _ := strings.Cut(service, "/")
	tasks := w.Tasks(cluster, name)
	for _, app := range w.Apps() {
		if app.Service == name && slices.Contains(tasks, app.Task) && !d.isSick(app.Task) {
			addresses = append(addresses, app.Ports[0].At)
		}
	}
	slices.SortFunc(addresses, netip.AddrPort.Compare)
	return addresses, len(tasks) == len(w.Wanted(cluster, name))
}

func (d *day) isSick(task string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sick[task]
}

// settled waits until the world is quiet, and then, at most so long, until what is served is what is true.
func (d *day) settled(n *nightjar, most time.Duration) {
	d.t.Helper()
	within(d.t, 2*time.Minute, "the world is quiet", func() bool {
		for _, s := range d.services {
			_, quiet := d.truth(s)
			if info := d.a.sim.World.Services(); !quiet || desired(info, s) != len(d.a.sim.World.Tasks("c1", s[3:])) {
				return false
			}
		}
		return true
	})
	begin := time.Now()
	for _, s := range d.services {
		want, _ := d.truth(s)
		for !slices.Equal(want, n.latest.addresses(s)) {
			if time.Since(begin) > most {
				d.t.Fatalf("after %s %s is served by %v, and it has %v", most, s, n.latest.addresses(s), want)
			}
			time.Sleep(250 * time.Millisecond)
			want, _ = d.truth(s)
		}
	}
}

func desired(all []ecssim.ServiceInfo, service string) int {
	return all[slices.IndexFunc(all, func(s ecssim.ServiceInfo) bool { return s.Name == service })].Desired
}

// published sees each mesh: what leaves it serves no more.
func (d *day) published(m *mesh.Mesh) {
	for _, s := range m.Services {
		serving, _ := d.truth(s.Name)
		d.mu.Lock()
		for _, e := range d.last[s.Name] {
			if slices.Contains(serving, e.Addr) && !slices.ContainsFunc(s.Endpoints, func(now mesh.Endpoint) bool { return now.Addr == e.Addr }) {
				d.lost = append(d.lost, fmt.Sprintf("%s %s of %s", time.Now().Format(time.TimeOnly), e.Addr, s.Name))
			}
		}
		d.last[s.Name] = s.Endpoints
		d.mu.Unlock()
	}
}

// look looks back at the day.
func (d *day) look() {
	if len(d.lost) > 0 {
		d.t.Errorf("endpoints went though they serve: %q", d.lost)
	}
	ok, failed := d.calls.count()
	if ok < 20_000 || ok > 150_000 {
		d.t.Errorf("%d calls", ok)
	}
	if n := d.role.asked.Load(); n < 24 || n > 60 {
		d.t.Errorf("the role was asked %d times", n)
	}
	faults, recoveries := d.n.log.lines("cannot read"), d.n.log.lines("reading works again")
	if len(faults) != 1 || len(recoveries) != 1 {
		d.t.Errorf("one outage has %d and %d lines:\n%s%s", len(faults), len(recoveries), strings.Join(faults, ""), strings.Join(recoveries, ""))
	}
	doubts, all := len(d.n.log.lines("until a second read says so")), len(d.n.log.lines(""))
	d.t.Logf("%d calls and %d that failed, %d log lines, %d doubts, %d things happened", ok, failed, all, doubts, d.happened)
}

// memory compares what a nightjar has after a day with what one has after an hour, in the same quiet world. The simulator
// keeps what has stopped for an hour, so before nothing happens for longer.
func (d *day) memory() {
	time.Sleep(70 * time.Minute)
	d.n.log.text.Reset()
	fresh := d.start(nil)
	time.Sleep(time.Hour)
	both := heap()
	d.n.stop()
	d.n = nil
	d.a.transport.CloseIdleConnections()
	time.Sleep(time.Minute)
	one := heap()
	fresh.stop()
	fresh = nil
	d.a.transport.CloseIdleConnections()
	time.Sleep(time.Minute)
	none := heap()
	d.t.Logf("%d %d %d: %d %d", both, one, none, both-one, one-none)
	_ = fresh
}

// heap is what the heap has after garbage collections.
func heap() int {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// addresses are those at which a service is served, in order.
func (l *latest) addresses(name string) []netip.AddrPort {
	s := l.service(name)
	if s == nil {
		return nil
	}
	var all []netip.AddrPort
	for _, e := range s.Endpoints {
		all = append(all, e.Addr)
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return all
}

// served are all addresses of all services.
func (l *latest) served() []netip.AddrPort {
	l.mu.Lock()
	m := l.mesh
	l.mu.Unlock()
	var all []netip.AddrPort
	for _, s := range m.Services {
		all = append(all, l.addresses(s.Name)...)
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
