package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/demo"
	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// scenario is something that happens to the service c1/web, whose four tasks run on four instances with addresses of their own.
type scenario struct {
	name string
	// overlaps marks one with a D: an old task gets SIGTERM D after its replacement is RUNNING.
	overlaps bool
	// opens is how long after RUNNING a port opens.
	opens time.Duration
	// lingers marks apps that go on as before after SIGTERM, longer than a poll; balanced a load balancer, whose deregistration
	// delay is longer than a poll.
	lingers, balanced bool
	// kills marks one in which a task is killed, so that what is in flight there is lost.
	kills bool
	// stops is how many tasks stop in it.
	stops int
	// happens lets it happen, and returns how long from its beginning until the last task has got SIGTERM.
	happens func(c *course) time.Duration
}

// harmless tells whether tasks leave the routes, or stop taking requests, only when that is known for long: also an Envoy with
// plain defaults loses nothing, and no POST may meet a closing connection.
func (s scenario) harmless() bool { return s.lingers || s.balanced }

// proofRun is one run of a scenario.
type proofRun struct {
	scenario
	requests int
	poll     time.Duration // as it is set
	overlap  time.Duration // D
	protocol string        // http1 or http2
	twoHops  bool          // through the ingress of each task
	restart  bool          // nightjar is killed and started again in the middle
	plain    bool          // beside it an Envoy with plain defaults
}

// result is what came of a trial.
type result struct {
	proofRun
	// longest is the longest time between two reads of the service, and latest how late a request was sent at most.
	longest, latest time.Duration
	ours, bare      tally
}

// course is a trial under way.
type course struct {
	*proofRun
	t     testing.TB
	world *ecssim.World
	begun time.Time
	// killed is when a task was killed, and nothing of it was left.
	killed time.Time
}

// until waits until a time since the beginning.
func (c *course) until(d time.Duration) { time.Sleep(time.Until(c.begun.Add(d))) }

// known is how long it takes at most until a change is known.
func (c *proofRun) known() time.Duration { return c.poll + time.Second }

const (
	// begins is when a scenario begins, after the load, and runs how long after that new tasks are RUNNING.
	begins, runs = 300 * time.Millisecond, 250 * time.Millisecond
	// reported is how long ECS takes to know that a task died.
	reported = 1500 * time.Millisecond
)

// scenarios are those of the issue, in the order of the table.
func scenarios() []scenario {
	deploy := func(c *course) time.Duration {
		must(c.t, c.world.Deploy("c1", "other", nil))
		must(c.t, c.world.Deploy("c1", "web", nil))
		return runs + c.overlap
	}
	return []scenario{
		{name: "rolling deployment", overlaps: true, stops: 4, happens: deploy},
		{name: "rolling, apps linger", overlaps: true, lingers: true, stops: 4, happens: deploy},
		{name: "rolling, ports open 1.5 s late", overlaps: true, opens: 1500 * time.Millisecond, stops: 4, happens: deploy},
		{name: "scale 2 → 8 → 2", stops: 6, happens: func(c *course) time.Duration {
			must(c.t, c.world.Scale("c1", "web", 8))
			c.until(begins + runs + c.known())
			must(c.t, c.world.Scale("c1", "web", 2))
			return runs + c.known()
		}},
		{name: "instance drains", overlaps: true, stops: 1, happens: func(c *course) time.Duration {
			must(c.t, c.world.DrainInstance("c1", "i-0000000000000001"))
			return runs + c.overlap
		}},
		{name: "Spot stops a task", stops: 1, happens: func(c *course) time.Duration {
			must(c.t, c.world.Interrupt("c1", "web", ""))
			return 0
		}},
		{name: "rolling, load balancer", balanced: true, stops: 4, happens: func(c *course) time.Duration {
			return deploy(c) + c.deregisters()
		}},
		{name: "a task is killed", kills: true, stops: 1, happens: func(c *course) time.Duration {
			must(c.t, c.world.Kill("c1", "web"))
			c.until(begins + 100*time.Millisecond) // the backends follow every 10 ms
			c.killed = time.Now()
			return reported
		}},
	}
}

func (c *proofRun) deregisters() time.Duration { return c.poll + 1500*time.Millisecond }

// lingering is how long an app goes on after SIGTERM.
func (c *proofRun) lingering() time.Duration {
	if c.lingers {
		return c.poll + 1500*time.Millisecond
	}
	return 0
}

// desired is how many tasks there are at first.
func (c *proofRun) desired() int {
	if c.scales() {
		return 2
	}
	return 4
}

func (c *proofRun) scales() bool { return strings.HasPrefix(c.name, "scale") }

// waitTime is the WAITTIME that makes nightjar read as seldom; with the default it reads a service every second at most.
func (c *proofRun) waitTime() string {
	if c.poll > time.Second {
		return fmt.Sprint(c.poll.Milliseconds())
	}
	return ""
}

// yaml is the trial's world. Its account answers at once and rightly: what AWS adds to a poll adds to what is needed.
func (c *proofRun) yaml() string {
	containers, target := "[{name: app, ports: [8080]}]", "{container: app, port: 8080}"
	if c.twoHops {
		containers, target = "[{name: app, ports: [8080]}, {name: envoy, ports: [8000]}]", "{container: envoy, port: 8000}"
	}
	balancer := ""
	if c.balanced {
		balancer = ", load_balancers: [" + target + "]"
	}
	return fmt.Sprintf(`
region: eu-west-1
polite: true
unlimited: true
timing: {provision: 100ms, pull: 100ms, register: 50ms, sigterm: 1ms, deregister: %s, exit: %s, report: %s}
clusters:
- name: c1
  subnet: NET.2.0/24
  instances:
  - {id: i-0000000000000001, address: NET.1.1}
  - {id: i-0000000000000002, address: NET.1.2}
  - {id: i-0000000000000003, address: NET.1.3}
  - {id: i-0000000000000004, address: NET.1.4}
  services:
  - {name: web, desired: %d, network: bridge, overlap: %s, containers: %s%s}
  - {name: other, desired: 2, network: bridge, overlap: %s, containers: [{name: app, ports: [8080]}]}
`, c.deregisters(), c.lingering()+1500*time.Millisecond, reported, c.desired(), c.overlap, containers, balancer, c.overlap)
}

// reads notes when the service was read.
type reads struct {
	mu sync.Mutex
	at []time.Time
}

// watched is the simulator's API with the reads noted.
func (r *reads) watched(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		api.ServeHTTP(w, req)
		if strings.HasSuffix(req.Header.Get("X-Amz-Target"), ".DescribeServices") {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.at = append(r.at, time.Now())
		}
	})
}

// longest is the longest time between two reads from a time on; what followed the last one counts too.
func (r *reads) longest(from, to time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, longest := from, time.Duration(0)
	for _, at := range r.at {
		if at.After(to) {
			break
		}
		if at.After(last) {
			longest = max(longest, at.Sub(last))
			last = at
		}
	}
	return max(longest, to.Sub(last))
}

// stage is what a run happens on.
type stage struct {
	*rig
	reads   *reads
	ingress *ingresses
	// log is Envoy's access log.
	log *bytes.Buffer
	// loads are that of nightjar's Envoy, and of the plain one where there is one.
	loads []*openLoad
}

// set sets the stage: all runs, and nothing happens yet.
func (c *proofRun) set(t *testing.T) *stage {
	t.Helper()
	envoytest.Path(t)
	sim := simOf(t, c.yaml())
	s := &stage{reads: &reads{}, log: &bytes.Buffer{}}
	api := httptest.NewServer(s.reads.watched(sim.Server))
	t.Cleanup(api.Close)
	backends := demo.NewBackends(sim.World, func(err error) { t.Error(err) })
	backends.Opens, backends.Lingers = c.opens, c.lingering()
	backends.Plays = func(a ecssim.App) bool { return a.Container == "app" }
	follow(t, backends)
	settings := append(services("/web", "c1/web"), "WAITTIME="+c.waitTime(), "SERVICE_PROTOCOL_1="+c.protocol, "NIGHTJAR_LOG_LEVEL=info")
	cluster := "c1/web"
	if c.twoHops {
		settings = append(settings, "SERVICE_CONTAINER_1=envoy", "SERVICE_PORT_1=8000")
		cluster = "c1/web/envoy:8000"
		s.ingress = startIngresses(t, sim.World)
	}
	s.rig = rigOf(t, sim, api.URL, settings...)
	s.startNightjar()
	s.envoy = envoytest.Start(t, envoytest.Options{Bootstrap: []byte(s.run("bootstrap")), Stdout: s.log})
	count := max(c.requests, int(c.lasts().Seconds()*proofRate))
	served := func(task string) bool { _, ever := backends.Since(task); return ever }
	s.loads = append(s.loads, newOpenLoad(s.base, "c1/web", count, served))
	if c.plain {
		_, xdsPort, _ := strings.Cut(s.settings["NIGHTJAR_XDS_LISTEN"], ":")
		s.loads = append(s.loads, newOpenLoad(startPlain(t, cluster, xdsPort), "c1/web", count, served))
	}
	for _, l := range s.loads {
		at := *s.rig
		at.base = l.base
		at.waitTasks("/web", "c1", "web", c.desired())
	}
	return s
}

// run runs the trial.
func (c *proofRun) run(t *testing.T) result {
	t.Helper()
	s := c.set(t)
	load, world := s.loads[0], s.sim.World
	begun, first := time.Now(), world.Wanted("c1", "web")
	load.killed = c.under(t, s.rig, s.loads)
	ended := time.Now()
	if got := load.gone(first, world.Wanted("c1", "web")); got != c.stops {
		t.Errorf("%d tasks stopped, want %d: the scenario didn't happen", got, c.stops)
	}
	s.envoy.Stop() // which writes the rest of its access log
	flags, err := flagsIn(s.log.String(), s.ingress.stop())
	must(t, err)
	res := result{proofRun: *c, longest: s.reads.longest(begun, ended), latest: load.latest, ours: load.tallyOf(flags)}
	if c.plain {
		res.bare = s.loads[1].tallyOf(nil)
	}
	return res
}

// lasts is how long the load must last so that all happens in it, and is known.
func (c *proofRun) lasts() time.Duration {
	d := begins + runs + c.overlap + c.lingering() + c.known()
	if c.balanced {
		d += c.deregisters()
	}
	if c.scales() {
		d += c.known() + runs
	}
	if c.kills {
		d += reported
	}
	return d
}

// under lets the scenario happen under the loads, and returns when a task was killed, zero for none.
func (c *proofRun) under(t *testing.T, r *rig, loads []*openLoad) time.Time {
	t.Helper()
	var all sync.WaitGroup
	k := &course{proofRun: c, t: t, world: r.sim.World, begun: time.Now()}
	for _, l := range loads {
		all.Go(l.run)
	}
	k.until(begins)
	done := make(chan time.Duration, 1)
	go func() { done <- k.happens(k) }()
	if c.restart {
		k.until(begins + runs)
		r.stopNightjar(syscall.SIGKILL)
		r.startNightjar()
	}
	last := begins + <-done
	all.Wait()
	if lasted := time.Since(k.begun); lasted < last {
		t.Errorf("the load ended after %s, before the last SIGTERM at %s", lasted, last)
	}
	return k.killed
}
