package virtual

import (
	"bytes"
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

	"github.com/groboclown/nightjar-mesh/internal/admin"
	"github.com/groboclown/nightjar-mesh/internal/control"
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
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	Expiration      time.Time
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

// dayWait is the pause between reads. A day of shorter ones takes minutes of CPU with the race detector.
const dayWait = 20 * time.Second

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
	changes  *changed
	services []string // ECS-CLUSTER/NAME
	rotated  int
	// moves are how often at most a task or container came, went or changed, emptied how often a service had none.
	moves, emptied int

	mu   sync.Mutex
	sick map[string]bool
	last map[string][]mesh.Endpoint
	lost []string // endpoints that went though they served
}

// results counts calls.
type results struct {
	mu         sync.Mutex
	ok, failed int
}

// Called implements awsapi.Observer.
func (r *results) Called(_, result string, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if result == "ok" {
		r.ok++
	} else {
		r.failed++
	}
}

func (r *results) count() (ok, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ok, r.failed
}

// changed counts changes of what services serve.
type changed struct{ n atomic.Int32 }

// Changed implements control.Observer.
func (c *changed) Changed(string) { c.n.Add(1) }

func (c *changed) count() int { return int(c.n.Load()) }

func newDay(t *testing.T, r *role) *day {
	web := []ecssim.FileContainer{{Name: "web", Ports: []uint16{8080}, HealthCheck: true}}
	instances := []ecssim.FileInstance{
		{ID: "i-0aaaaaaaaaaaaaaa1", Address: "10.1.0.1", Zone: "eu-west-1a"}, {ID: "i-0aaaaaaaaaaaaaaa2", Address: "10.1.0.2", Zone: "eu-west-1b"},
	}
	d := &day{
		t: t, role: r, chance: rand.New(rand.NewPCG(1, 2)), calls: &results{}, changes: &changed{}, sick: map[string]bool{},
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
func (d *day) start(observe func(*mesh.Mesh), changes control.Observer) *nightjar {
	var refs []mesh.ServiceRef
	for _, s := range d.services {
		cluster, name, _ := strings.Cut(s, "/")
		refs = append(refs, mesh.ServiceRef{Cluster: cluster, Service: name})
	}
	return d.a.start(options{refs: refs, wait: dayWait, calls: d.calls, observe: observe, changes: changes})
}

func (d *day) live() {
	d.rotate()
	time.Sleep(time.Minute) // until its tasks run
	begin := time.Now()
	d.n = d.start(d.published, d.changes)
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
		d.settled(d.n, 3*dayWait)
		time.Sleep(time.Duration(d.chance.IntN(100)) * time.Second)
	}
	if restart {
		other := d.start(nil, admin.NewMetrics())
		d.settled(other, 3*dayWait)
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
	d.moves += 2
	var err error
	switch d.chance.IntN(7) {
	case 0:
		err = w.Deploy(cluster, name, nil)
		d.moves += 2 * len(tasks)
	case 1:
		err = w.Scale(cluster, name, 2+d.chance.IntN(6))
		d.moves += 8
	case 2:
		err = w.Kill(cluster, name)
	case 3:
		err = w.StopTask(cluster, name, one)
	case 4:
		err = w.RestartContainers(cluster, name, one)
	case 5: // UNHEALTHY for a while
		d.mark(one, true)
		must(d.t, w.SetHealth(cluster, name, one, "web", "UNHEALTHY"))
		d.settled(d.n, 3*dayWait)
		d.mark(one, false)
		err = w.SetHealth(cluster, name, one, "web", "HEALTHY")
	default: // a service without any task, whose port another may get
		d.emptied++
		d.moves += 2
		must(d.t, w.Scale(cluster, "seldom", 0))
		d.settled(d.n, 3*dayWait)
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
		switch n {
		case 0:
			must(d.t, w.Kill("c1", "basket"))
		case 1:
			must(d.t, w.Scale("c1", "orders", 8)) // which gets the host port of what died
		case 2:
			other = d.start(nil, admin.NewMetrics())
		case 3:
			must(d.t, w.Deploy("c1", "users", nil))
			d.moves += 4 // what changed in the outage is one change each after it
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

// truth are the addresses of a service's tasks that are to serve.
func (d *day) truth(service string) (addresses []netip.AddrPort) {
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
	return addresses
}

func (d *day) isSick(task string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sick[task]
}

// settled waits until the world is quiet, and then, at most so long, until what is served is what is true.
func (d *day) settled(n *nightjar, most time.Duration) {
	d.t.Helper()
	for quiet := false; !quiet; {
		time.Sleep(time.Second)
		d.a.sim.World.Advance(time.Now())
		quiet = true
		for _, s := range d.a.sim.World.Services() {
			cluster, name, _ := strings.Cut(s.Name, "/")
			quiet = quiet && len(d.a.sim.World.Tasks(cluster, name)) == s.Desired && len(d.a.sim.World.Wanted(cluster, name)) == s.Desired
		}
	}
	begin := time.Now()
	for _, s := range d.services {
		want := d.truth(s)
		for !slices.Equal(want, n.latest.addresses(s)) {
			if time.Since(begin) > most {
				d.t.Fatalf("after %s %s is served by %v, and it has %v", most, s, n.latest.addresses(s), want)
			}
			time.Sleep(time.Second)
			want = d.truth(s)
		}
	}
}

// published sees each mesh: what leaves it serves no more.
func (d *day) published(m *mesh.Mesh) {
	for _, s := range m.Services {
		serving := d.truth(s.Name)
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

// look looks back at the day: what it cost, and what the log says of it.
func (d *day) look() {
	if len(d.lost) > 0 {
		d.t.Errorf("endpoints went though they serve: %q", d.lost)
	}
	ok, failed := d.calls.count()
	if ok < 8_000 || ok > 150_000 {
		d.t.Errorf("%d calls", ok)
	}
	// Once an hour, and every 10 s while AWS says that they are expired.
	if n := d.role.asked.Load(); n < 24 || n > 120 {
		d.t.Errorf("the role was asked %d times", n)
	}
	log := d.n.log
	faults, recoveries := log.lines("cannot read"), log.lines("reading works again")
	if most := len(d.services); len(faults) == 0 || len(faults) > most || len(recoveries) == 0 || len(recoveries) > most {
		d.t.Errorf("one outage has %d and %d lines:\n%s%s", len(faults), len(recoveries), strings.Join(faults, ""), strings.Join(recoveries, ""))
	}
	// Besides there is a line a change of a service, and one where it seems to have vanished.
	changes, doubts, all := d.changes.count(), len(log.lines("until a second read says so")), len(log.lines(""))
	if want := changes + doubts + len(faults) + len(recoveries); all != want || changes > d.moves || doubts > d.emptied {
		d.t.Errorf("%d lines; want %d, for %d changes (of at most %d) and %d doubts (of at most %d)", all, want, changes, d.moves, doubts, d.emptied)
	}
	d.t.Logf("%d calls and %d that failed; %d lines in the log: %d changes, %d doubts", ok, failed, all, changes, doubts)
}

// memory compares what a nightjar has after a day with what one has after an hour, in the same quiet world: each is what the heap
// has less when it is gone. The simulator keeps what has stopped for an hour, so before nothing happens for longer.
func (d *day) memory() {
	time.Sleep(70 * time.Minute)
	d.n.log.text = bytes.Buffer{}
	fresh := d.start(nil, admin.NewMetrics())
	time.Sleep(time.Hour)
	both := d.heap()
	d.n.stop()
	d.n = nil
	young := d.heap()
	fresh.stop()
	none := d.heap()
	aDay, anHour := both-young, young-none
	d.t.Logf("a nightjar of a day has %d bytes, one of an hour %d", aDay, anHour)
	if anHour < 20_000 || aDay*10 > anHour*11 {
		d.t.Errorf("a nightjar has %d bytes after an hour and %d after a day", anHour, aDay)
	}
}

// heap is what the heap has after garbage collections, without connections; the least of some moments, as reading goes on.
func (d *day) heap() int {
	least := 0
	for range 5 {
		time.Sleep(7 * time.Second)
		d.a.transport.CloseIdleConnections()
		time.Sleep(time.Millisecond)
		var m runtime.MemStats
		for range 3 { // as pools keep what they have for two
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		if now := int(m.HeapAlloc); least == 0 || now < least {
			least = now
		}
	}
	return least
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
