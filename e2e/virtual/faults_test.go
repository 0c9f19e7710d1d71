package virtual

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

const (
	// length is how long a fault lasts that is not one of a single call.
	length = 30 * time.Second
	// follows is how soon a change of a service that no fault strikes is served.
	follows = 8 * time.Second
)

// kinds are the ways to fail.
func kinds() []ecssim.FaultKind {
	return []ecssim.FaultKind{
		ecssim.Throttle, ecssim.ServerError, ecssim.Unavailable, ecssim.AccessDenied, ecssim.ExpiredToken, ecssim.Truncated, ecssim.WrongType,
		ecssim.Reset, ecssim.Hang, ecssim.Huge, ecssim.Empty, ecssim.MissingDescribe, ecssim.LateList, ecssim.ClockSkew,
	}
}

// senseless says why a fault is none of an action, "" where it is one.
func senseless(kind ecssim.FaultKind, action string) string {
	switch {
	case kind == ecssim.LateList && action != "ListTasks":
		return "it is no list of tasks"
	case kind == ecssim.MissingDescribe && action == "ListTasks":
		return "a list has no failures: an empty one is the fault empty"
	case kind == ecssim.MissingDescribe && action == "DescribeInstances":
		return "it is asked by filter, whose answer leaves unknown instances out: that is the fault empty"
	default:
		return ""
	}
}

// silent tells whether a fault makes no call fail: what comes is well-formed, and wrong or late.
func silent(kind ecssim.FaultKind, action string) bool {
	switch kind {
	case ecssim.LateList, ecssim.MissingDescribe:
		return true
	case ecssim.ClockSkew:
		return true // the SDK takes the time from the answer and tries again
	case ecssim.Empty:
		return action == "DescribeInstances"
	default:
		return false
	}
}

// TestEveryFaultOfEveryCall lets each call to AWS fail in each way, once and for a while, and holds what is served against the
// simulated world all the time.
func TestEveryFaultOfEveryCall(t *testing.T) {
	fakeCredentials(t)
	for _, action := range []string{"ListTasks", "DescribeTasks", "DescribeServices", "DescribeContainerInstances", "DescribeInstances"} {
		for _, kind := range kinds() {
			if senseless(kind, action) != "" {
				continue
			}
			for name, fault := range map[string]ecssim.Fault{
				"one call": {Kind: kind, Action: action, Calls: 1}, "30 s": {Kind: kind, Action: action, For: length},
			} {
				if action != "DescribeInstances" { // EC2 knows no ECS clusters
					fault.Cluster = "c1"
				}
				t.Run(fmt.Sprintf("%s/%s/%s", action, kind, name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { strike(t, fault) })
				})
			}
		}
	}
}

// strike is the story of a fault: it begins, a task of a struck service is stopped and replaced, an other service grows, it
// ends, and in the end all is as it is.
func strike(t *testing.T, fault ecssim.Fault) {
	w := newWitness(t, fault)
	time.Sleep(20 * time.Second) // until nothing moves
	w.exact("before the fault")
	if err := w.account.sim.Server.Inject(fault); err != nil {
		t.Fatal(err)
	}
	w.watch(5 * time.Second)
	w.happen()
	w.watch(max(fault.For, 15*time.Second) - 5*time.Second)
	if w.account.sim.Server.Struck() == 0 {
		t.Fatal("the fault struck nothing")
	}
	w.watch(w.settled())
	w.exact(fmt.Sprintf("%s after the fault", w.settled()))
	w.said()
}

// service is one of the world of these tests.
type service struct{ cluster, name, network string }

func (s service) String() string { return s.cluster + "/" + s.name }

func (s service) ref() mesh.ServiceRef {
	return mesh.ServiceRef{Cluster: s.cluster, Service: s.name, Container: "web", Port: 8080}
}

// served is an endpoint of a service as the world has it.
type served struct {
	task string
	at   netip.AddrPort
}

// witness watches what is served of a world.
type witness struct {
	t        *testing.T
	fault    ecssim.Fault
	account  *account
	nightjar *nightjar
	services []service

	mu sync.Mutex
	// known are the endpoints that were served, of each service.
	known map[service]map[served]bool
	// stale is since when an endpoint is served that is none, or one is not that should be.
	stale map[service]map[served]time.Time
	// failedAt is when a reading of a service last failed.
	failedAt map[service]time.Time
}

// newWitness makes a world of two ECS clusters with services in bridge and awsvpc mode, and a nightjar that has read them. The
// services of c1 take two calls to describe.
func newWitness(t *testing.T, fault ecssim.Fault) *witness {
	w := &witness{t: t, fault: fault, known: map[service]map[served]bool{}, stale: map[service]map[served]time.Time{}, failedAt: map[service]time.Time{}}
	file := &ecssim.File{Polite: true}
	for n, size := range []int{12, 2} {
		cluster := ecssim.FileCluster{Name: fmt.Sprintf("c%d", n+1), Subnet: fmt.Sprintf("10.%d.0.0/16", n), Instances: []ecssim.FileInstance{
			{ID: fmt.Sprintf("i-0aaaaaaaaaaaaaa%d", n), Address: fmt.Sprintf("10.9.0.%d", n+1), Zone: "eu-west-1a"},
		}}
		for i := range size {
			s := service{cluster.Name, fmt.Sprintf("s%02d", i), []string{"bridge", "awsvpc"}[i%2]}
			spec := ecssim.FileService{Name: s.name, Desired: 1, Network: s.network, Launch: "EC2", Containers: []ecssim.FileContainer{{Name: "web", Ports: []uint16{8080}}}}
			if i < 2 {
				spec.Desired = 2
			}
			if s.network == "awsvpc" {
				spec.Launch = "FARGATE"
			}
			cluster.Services = append(cluster.Services, spec)
			w.services = append(w.services, s)
		}
		file.Clusters = append(file.Clusters, cluster)
	}
	w.account = newAccount(t, file)
	time.Sleep(time.Minute) // until its tasks run
	var refs []mesh.ServiceRef
	for _, s := range w.services {
		refs = append(refs, s.ref())
	}
	w.nightjar = w.account.start(options{refs: refs, rate: 4, observe: w.observe})
	return w
}

// happen replaces a task of a struck service, and lets another one grow that the fault doesn't strike. New tasks in bridge mode run
// on a new instance, as nothing else needs a look at instances.
func (w *witness) happen() {
	w.t.Helper()
	world := w.account.sim.World
	struck, other := service{"c1", "s00", "bridge"}, service{"c2", "s01", "awsvpc"}
	if err := world.AddInstance("c1", ecssim.Instance{ID: "i-0bbbbbbbbbbbbbbb1", Zone: "eu-west-1b", IPv4: netip.MustParseAddr("10.9.1.1")}); err != nil {
		w.t.Fatal(err)
	}
	if err := world.StopTask(struck.cluster, struck.name, ""); err != nil {
		w.t.Fatal(err)
	}
	if err := world.Scale(other.cluster, other.name, 3); err != nil {
		w.t.Fatal(err)
	}
}

// truth are the endpoints of services as they are: of tasks that are wanted, RUNNING and alive.
func (w *witness) truth() map[service]map[served]bool {
	world := w.account.sim.World
	world.Advance(time.Now())
	all := map[service]map[served]bool{}
	for _, app := range world.Apps() {
		for _, s := range w.services {
			if s.cluster != app.Cluster || s.name != app.Service || !slices.Contains(world.Tasks(s.cluster, s.name), app.Task) {
				continue
			}
			if all[s] == nil {
				all[s] = map[served]bool{}
			}
			for _, port := range app.Ports {
				all[s][served{app.Task, port.At}] = true
			}
		}
	}
	return all
}

// endpoints are those of a service in a mesh.
func endpoints(s *mesh.Service) map[served]bool {
	all := map[served]bool{}
	if s != nil {
		for _, e := range s.Endpoints {
			all[served{e.Task, e.Addr}] = true
		}
	}
	return all
}

// observe holds a mesh against the world as it is published: what serves and was known is never lost.
func (w *witness) observe(m *mesh.Mesh) {
	truth := w.truth()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.services {
		w.nothingLost(s, truth[s], endpoints(m.Service(s.ref().Name())))
	}
}

func (w *witness) nothingLost(s service, truth, now map[served]bool) {
	for e := range w.known[s] {
		switch {
		case !truth[e]:
			delete(w.known[s], e)
		case !now[e] && w.mayBeGone(s):
			delete(w.known[s], e)
		case !now[e]:
			w.t.Errorf("%s: %s serves, was known and is lost: %v", s, e.at, now)
			delete(w.known[s], e) // said once
		}
	}
	for e := range now {
		if w.known[s] == nil {
			w.known[s] = map[served]bool{}
		}
		if truth[e] {
			w.known[s][e] = true
		}
	}
}

// mayBeGone tells whether AWS has said for long enough that a service is not there: by the contract the second such answer is
// believed, of a service itself alone.
func (w *witness) mayBeGone(s service) bool {
	f := w.fault
	return f.Kind == ecssim.MissingDescribe && f.Action == "DescribeServices" && f.For > 0 && s.cluster == f.Cluster
}

// watch looks at everything each 100 ms for a while.
func (w *witness) watch(long time.Duration) {
	for range long / (100 * time.Millisecond) {
		time.Sleep(100 * time.Millisecond)
		w.look()
	}
}

// look holds what is served, and what the status says, against the world now.
func (w *witness) look() {
	truth, now := w.truth(), time.Now()
	status := w.nightjar.loop.Status()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, s := range w.services {
		got := status.Services[i]
		if (got.Err != nil) != !got.FailingSince.IsZero() || got.FailingSince.After(now) {
			w.t.Errorf("%s: the status says %v since %s", s, got.Err, got.FailingSince)
		}
		if got.Err != nil {
			w.failedAt[s] = now
		}
		published := endpoints(w.nightjar.latest.service(s.ref().Name()))
		w.nothingLost(s, truth[s], published)
		w.followed(s, truth[s], published, now)
	}
}

// followed fails where something wrong is served, or something right is not, for longer than a service takes whose readings are
// good.
func (w *witness) followed(s service, truth, published map[served]bool, now time.Time) {
	before := w.stale[s]
	w.stale[s] = map[served]time.Time{}
	for e := range union(truth, published) {
		if truth[e] == published[e] || w.mayBeGone(s) {
			continue
		}
		since, known := before[e]
		if !known {
			since = now
		}
		w.stale[s][e] = since
		if bound := w.follows(truth[e]); now.Sub(since) > bound && now.Sub(w.failedAt[s]) > bound {
			w.t.Errorf("%s: %s: served %v, and serves %v, for %s, while every reading is good", s, e.at, published[e], truth[e], now.Sub(since))
			w.stale[s][e] = now.Add(time.Hour) // said once
		}
	}
}

// follows is how soon a change is served of a service whose readings are good: that something serves now, or serves no more.
func (w *witness) follows(comes bool) time.Duration {
	switch f := w.fault; {
	case f.Kind == ecssim.Throttle: // by the call budget, which is for all
		return w.settled()
	case f.Kind == ecssim.Hang: // in a round each kind of call waits for its slowest
		return follows + 10*time.Second
	case f.Kind == ecssim.LateList && comes:
		return follows + 10*time.Second
	case f.For > 0 && comes && silent(f.Kind, f.Action): // what AWS doesn't tell nobody knows
		return follows + f.For
	default:
		return follows
	}
}

// settled is how soon after a fault everything is as it is: the backoff, the pace, and the line that says so. After throttles the
// budget doubles every two minutes alone.
func (w *witness) settled() time.Duration {
	if w.fault.Kind == ecssim.Throttle && w.fault.For > 0 {
		return 5 * time.Minute
	}
	if w.fault.For == 0 {
		return 25 * time.Second
	}
	return 40 * time.Second
}

func union(a, b map[served]bool) map[served]bool {
	all := map[served]bool{}
	for _, m := range []map[served]bool{a, b} {
		for e := range m {
			all[e] = true
		}
	}
	return all
}

// exact fails unless all that serves is served, and nothing else.
func (w *witness) exact(when string) {
	w.t.Helper()
	truth := w.truth()
	for _, s := range w.services {
		got := endpoints(w.nightjar.latest.service(s.ref().Name()))
		if len(got) == 0 || len(got) != len(truth[s]) || len(union(got, truth[s])) != len(got) {
			w.t.Errorf("%s: %s serves %v, want %v", when, s, got, truth[s])
		}
	}
}

// said holds the log against what was seen: a line where a reading failed, and one for its end, whatever it struck.
func (w *witness) said() {
	w.t.Helper()
	want := 0
	if len(w.failedAt) > 0 {
		want = 1
	}
	failed, recovered := w.nightjar.log.lines("cannot read;"), w.nightjar.log.lines("reading works again")
	if len(failed) != want || len(recovered) != want {
		w.t.Errorf("%d services failed; the log says %d times that a fault began, and %d times that it ended; want %d:\n%s", len(w.failedAt),
			len(failed), len(recovered), want, strings.Join(append(failed, recovered...), ""))
	}
	if f := w.fault; f.For > 0 && (want == 1) == silent(f.Kind, f.Action) && f.Kind != ecssim.ClockSkew {
		w.t.Errorf("%d services failed", len(w.failedAt))
	}
	for s := range w.failedAt {
		if w.needsNot(s, w.fault) {
			w.t.Errorf("%s is disturbed by a fault of a call that it doesn't need", s)
		}
	}
}

// needsNot tells whether a service can be read without the call that a fault strikes.
func (w *witness) needsNot(s service, fault ecssim.Fault) bool {
	ofInstances := fault.Action == "DescribeContainerInstances" || fault.Action == "DescribeInstances"
	return fault.Cluster != "" && s.cluster != fault.Cluster || ofInstances && s.network == "awsvpc"
}
