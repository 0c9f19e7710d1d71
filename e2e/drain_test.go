package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// pair is a task with an app of two containers, nightjar and an Envoy that runs under `nightjar envoy`, with ingress and egress.
type pair struct {
	*rig
	task   string
	egress string // URL
	web    string // the app's own port
	envoy  *process
	admin  *envoy.Admin
}

// elsewhere is an ECS cluster with a service that egress leads to.
const elsewhere = `
- name: c1
  subnet: NET.2.0/24
  instances: [{id: i-0000000000000001, address: NET.1.1}]
  services: [{name: far, desired: 1, network: bridge, containers: [{name: app, ports: [8080]}]}]
`

// startPair starts a pair. Settings are NAME=VALUE.
func startPair(t *testing.T, settings ...string) *pair {
	t.Helper()
	ports := freePorts(t, 3)
	world := ownWorld("host", fmt.Sprintf("{name: web, ports: [%s]}, {name: rpc, ports: [%s]}, {name: envoy}, {name: nightjar}, {name: aws-guardduty-agent-x}",
		ports[0], ports[2]))
	world = strings.Replace(world, "exit: 100ms", "exit: "+appExit.String(), 1) + strings.TrimPrefix(elsewhere, "\n")
	r := inOwnTask(t, world, slices.Concat(containersOf("/", "web", ports[0], "/own.Echo", "rpc", ports[2]), []string{"CONTAINER_PROTOCOL_2=grpc"}, services("/far", "c1/far"), []string{"EGRESS_LISTEN_PORT=" + ports[1]}, settings)...)
	p := &pair{rig: r, egress: "http://127.0.0.1:" + ports[1], web: ports[0], task: r.ownTask()}
	r.settings["NIGHTJAR_ENVOY_PATH"] = envoytest.Path(t)
	p.admin = envoy.NewAdmin("tcp", "127.0.0.1:"+r.settings["ENVOY_ADMIN_PORT"])
	r.startNightjar()
	p.startEnvoy()
	r.waitStatus("/", http.StatusOK)
	r.waitStatus(healthPath, http.StatusOK)
	if r.settings["EGRESS_LISTEN_PORT"] != "" {
		r.eventually("egress works", func() bool { return p.far() == http.StatusOK })
	}
	return p
}

// startEnvoy starts `nightjar envoy`, as in the task's container envoy.
func (p *pair) startEnvoy(args ...string) {
	p.t.Helper()
	settings := map[string]string{}
	for name, value := range p.settings {
		settings[name] = value
	}
	if settings["ECS_CONTAINER_METADATA_URI_V4"] != "" {
		settings["ECS_CONTAINER_METADATA_URI_V4"] += "-envoy"
	}
	p.envoy = p.spawn(command(settings, append([]string{"envoy"}, args...)...))
}

// spawn is startCommand beside the control plane.
func (p *pair) spawn(cmd *exec.Cmd) *process {
	p.t.Helper()
	serve := p.nightjar
	p.startCommand(cmd)
	beside := p.nightjar
	p.nightjar = serve
	return beside
}

// far is the status of a request by egress.
func (p *pair) far() int {
	resp, err := http.Get(p.egress + "/far")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil { // to its end, so that the connection is used again
		return 0
	}
	return resp.StatusCode
}

// signal sends a signal to `nightjar envoy`.
func (p *pair) signal(s os.Signal) {
	p.t.Helper()
	must(p.t, p.envoy.cmd.Process.Signal(s))
}

// leaves waits for the end of `nightjar envoy` with a status, and returns when that was.
func (p *pair) leaves(within time.Duration, status int) time.Time {
	p.t.Helper()
	select {
	case <-p.envoy.done:
	case <-time.After(within):
		p.t.Fatalf("nightjar envoy still runs after %s; its log:\n%s", within, tail(p.envoy.output(), 20))
	}
	at := time.Now()
	if got := p.envoy.cmd.ProcessState.ExitCode(); got != status {
		p.t.Errorf("nightjar envoy ends with %d, want %d; its log:\n%s", got, status, tail(p.envoy.output(), 20))
	}
	_, rest, _ := strings.Cut(p.envoy.output(), " pid=") // which the log tells as Envoy starts
	var child int
	if _, err := fmt.Sscan(rest, &child); err != nil || syscall.Kill(child, 0) == nil {
		p.t.Errorf("Envoy, process %d, has outlived nightjar envoy (%v)", child, err)
	}
	return at
}

// listens tells whether ingress takes connections.
func (p *pair) listens() bool {
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.base, "http://"))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// stopped tells whether the app is, as the metadata endpoint shows it.
func (p *pair) stopped() bool {
	return !slices.ContainsFunc(p.sim.World.Apps(), func(a ecssim.App) bool { return a.Task == p.task })
}

// inFlight sends slow requests, waits until the app has them all, and returns a function that waits for their good end.
func (p *pair) inFlight(count int) (end func()) {
	p.t.Helper()
	var all sync.WaitGroup
	for n := range count {
		all.Go(func() {
			client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			resp, err := client.Post(fmt.Sprintf("%s/?sleep=1s&n=%d", p.base, n), "text/plain", strings.NewReader("x"))
			if err != nil {
				p.t.Errorf("a request in flight: %v", err)
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				p.t.Errorf("a request in flight ends with %d", resp.StatusCode)
			}
		})
	}
	p.eventually("the app works on all of them", func() bool {
		resp, err := http.Get("http://127.0.0.1:" + p.web + "/?working")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		working, _ := strconv.Atoi(resp.Header.Get("X-Working"))
		return working > count // this one is among them
	})
	return all.Wait
}

// steadyEgress sends requests by egress until the returned function is called: each must be answered well.
func (p *pair) steadyEgress() (stop func() int64) {
	var count atomic.Int64
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			if got := p.far(); got != http.StatusOK {
				p.t.Errorf("a request by egress, while the app may need it: %d", got)
				return
			}
			count.Add(1)
		}
	}()
	return func() int64 { close(end); <-done; return count.Load() }
}

// unhealthy waits until the health path says 503.
func (p *pair) unhealthy(within time.Duration) {
	p.t.Helper()
	begin := time.Now()
	p.within(within, "the health path says 503", func() bool { return p.get(healthPath).status == http.StatusServiceUnavailable })
	p.t.Logf("the health path says 503 after %s", time.Since(begin).Round(time.Millisecond))
}

const healthPath = "/.nightjar/health"

// stop begins the end of the task, and of the app where it is one of those that are stopped first.
func (p *pair) stop(app bool) {
	p.t.Helper()
	must(p.t, p.sim.World.StopInOrder("own", "me", p.task))
	if !app {
		return
	}
	for _, container := range []string{"web", "rpc"} {
		must(p.t, p.sim.World.StopContainer("own", "me", p.task, container))
	}
}

// appExit is how long the app of these tests takes to end.
const appExit = 1500 * time.Millisecond

// stopTimings are a short stopTimeout with a drain time that fits it, and the usual ones.
func stopTimings() map[string]time.Duration {
	return map[string]time.Duration{"3s": 5 * time.Second, "": 30 * time.Second}
}

func TestDrainingWhereECSStopsTheAppFirst(t *testing.T) {
	t.Parallel()
	for setting, stopTimeout := range stopTimings() {
		t.Run(stopTimeout.String(), func(t *testing.T) {
			t.Parallel()
			p := startPair(t, "NIGHTJAR_DRAIN_TIME="+setting)
			requests, egress := p.inFlight(20), p.steadyEgress()
			p.stop(true)
			p.unhealthy(2 * time.Second) // by the metadata endpoint alone
			if got := p.get("/"); got.status == 0 {
				t.Errorf("a new connection gets no answer: %s", got.body)
			}
			requests()
			p.eventually("the app has stopped", p.stopped)
			t.Logf("%d requests by egress", egress())
			begin := time.Now() // now ECS sends SIGTERM to Envoy's container
			p.signal(syscall.SIGTERM)
			took := p.leaves(stopTimeout, 0).Sub(begin)
			t.Logf("ended %s after SIGTERM", took.Round(time.Millisecond))
			if took > 2500*time.Millisecond { // the metadata endpoint is asked once a second
				t.Errorf("the apps are gone, and it takes %s", took)
			}
		})
	}
}

func TestDrainingWhereECSStopsEnvoyFirst(t *testing.T) {
	t.Parallel()
	for setting, stopTimeout := range stopTimings() {
		t.Run(stopTimeout.String(), func(t *testing.T) {
			t.Parallel()
			p := startPair(t, "NIGHTJAR_DRAIN_TIME="+setting)
			requests, egress := p.inFlight(20), p.steadyEgress()
			begin := time.Now()
			p.stop(false)
			p.signal(syscall.SIGTERM)
			p.unhealthy(time.Second)
			requests()
			if got := p.get("/"); got.status != http.StatusOK {
				t.Errorf("the app is there, and a new connection gets %d %s", got.status, got.body)
			}
			p.within(stopTimeout, "the port closes", func() bool { return !p.listens() })
			t.Logf("the port closes %s after SIGTERM; %d requests by egress", time.Since(begin).Round(time.Millisecond), egress())
			took := p.leaves(stopTimeout, 0).Sub(begin)
			t.Logf("ended %s after SIGTERM", took.Round(time.Millisecond))
			if most := map[string]time.Duration{"3s": 3 * time.Second, "": 20 * time.Second}[setting]; took > most+500*time.Millisecond || took < most/2 {
				t.Errorf("an app that is there may need egress for %s, and Envoy leaves after %s", most, took)
			}
		})
	}
}

func TestDrainingWhereECSStopsAllAtOnce(t *testing.T) {
	t.Parallel()
	for setting, stopTimeout := range stopTimings() {
		t.Run(stopTimeout.String(), func(t *testing.T) {
			t.Parallel()
			p := startPair(t, "NIGHTJAR_DRAIN_TIME="+setting)
			requests, egress := p.inFlight(20), p.steadyEgress()
			begin := time.Now()
			p.stop(true)
			p.signal(syscall.SIGTERM)
			p.stopNightjar(syscall.SIGTERM)
			if got := p.get(healthPath).status; got != http.StatusServiceUnavailable && got != http.StatusOK {
				t.Errorf("the health path answers %d", got)
			}
			requests()
			for !p.stopped() && time.Since(begin) < stopTimeout {
				time.Sleep(10 * time.Millisecond)
			}
			t.Logf("%d requests by egress", egress())
			took := p.leaves(stopTimeout-time.Since(begin), 0).Sub(begin)
			t.Logf("ended %s after SIGTERM", took.Round(time.Millisecond))
			if took < appExit || took > 4*time.Second {
				t.Errorf("the app ends after %s, and Envoy after %s", appExit, took)
			}
		})
	}
}

// TestDrainingOfIngressAlone has Envoy stopped first, in a task whose apps don't need it: it leaves once nothing comes any more.
func TestDrainingOfIngressAlone(t *testing.T) {
	t.Parallel()
	p := startPair(t, "EGRESS_LISTEN_PORT=", "SERVICE_ARN_1=", "SERVICE_PATH_1=")
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	closes := func(base string) bool {
		resp, err := client.Get(base + "/")
		must(t, err)
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		must(t, err)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s answers %d", base, resp.StatusCode)
		}
		return resp.Close
	}
	if closes(p.base) {
		t.Error("while it serves, connections are closed")
	}
	p.stop(false)
	p.signal(syscall.SIGTERM)
	p.unhealthy(time.Second)
	begin := time.Now()
	for time.Since(begin) < 5*time.Second { // somebody hasn't noticed yet
		if !closes(p.base) {
			t.Fatal("the answer doesn't ask to close the connection")
		}
		time.Sleep(20 * time.Millisecond)
	}
	begin = time.Now()
	took := p.leaves(10*time.Second, 0).Sub(begin)
	t.Logf("ended %s after the last request", took.Round(time.Millisecond))
	if took < 900*time.Millisecond || took > 3*time.Second {
		t.Errorf("it ends %s after the last request", took)
	}
}

// balancer is a load balancer: it asks the health paths every half second, and sends requests to who answered 200 at last.
type balancer struct {
	targets []*balanced
	next    atomic.Uint64
}

type balanced struct {
	base    string
	healthy atomic.Bool
}

func (b *balancer) watch(t *testing.T) {
	end := make(chan struct{})
	var all sync.WaitGroup
	for _, target := range b.targets {
		all.Go(func() {
			tick := time.NewTicker(500 * time.Millisecond)
			defer tick.Stop()
			for {
				resp, err := http.Get(target.base + healthPath)
				target.healthy.Store(err == nil && resp.StatusCode == http.StatusOK)
				if err == nil {
					_ = resp.Body.Close()
				}
				select {
				case <-end:
					return
				case <-tick.C:
				}
			}
		})
	}
	t.Cleanup(func() { close(end); all.Wait() })
}

// pick is the next healthy target, "" where there is none.
func (b *balancer) pick() string {
	first := b.next.Add(1)
	for i := range uint64(len(b.targets)) {
		if target := b.targets[(first+i)%uint64(len(b.targets))]; target.healthy.Load() {
			return target.base
		}
	}
	return ""
}

// TestEnvoysRestartBehindALoadBalancerWithoutAFailedRequest restarts two tasks' Envoys one after the other.
func TestEnvoysRestartBehindALoadBalancerWithoutAFailedRequest(t *testing.T) {
	t.Parallel()
	pairs := []*pair{startPair(t), startPair(t)}
	b := &balancer{targets: []*balanced{{base: pairs[0].base}, {base: pairs[1].base}}}
	b.watch(t)
	both := func() bool { return b.targets[0].healthy.Load() && b.targets[1].healthy.Load() }
	pairs[0].eventually("both are healthy", both)
	var sent, failed atomic.Int64
	end := make(chan struct{})
	var all sync.WaitGroup
	for worker := range 6 {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
		all.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for n := worker; ; n++ {
				select {
				case <-end:
					return
				case <-tick.C:
				}
				method := []string{http.MethodGet, http.MethodPost}[n%2]
				request, err := http.NewRequestWithContext(t.Context(), method, b.pick()+"/", strings.NewReader("body"))
				must(t, err)
				resp, err := client.Do(request)
				if sent.Add(1); err != nil || resp.StatusCode != http.StatusOK {
					failed.Add(1)
					t.Errorf("%s fails: %v %v", method, resp, err)
				}
				if err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			}
		})
	}
	for i, p := range pairs {
		begin := time.Now()
		p.signal(syscall.SIGTERM)
		took := p.leaves(20*time.Second, 0).Sub(begin)
		t.Logf("Envoy %d ended %s after SIGTERM", i+1, took.Round(time.Millisecond))
		p.startEnvoy()
		p.eventually("the load balancer finds both healthy", both)
	}
	close(end)
	all.Wait()
	t.Logf("%d requests, %d failed", sent.Load(), failed.Load())
	if sent.Load() < 1000 {
		t.Errorf("only %d requests", sent.Load())
	}
}
