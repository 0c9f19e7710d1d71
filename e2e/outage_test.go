package e2e

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

// TestAMinuteWithoutAWSInADeployment takes AWS away for a minute, in one way after another, while a deployment rolls, one of the
// tasks that Envoy knows crashes, another is stopped, and nightjar is killed and starts anew. What still runs answers.
func TestAMinuteWithoutAWSInADeployment(t *testing.T) {
	t.Parallel()
	// The old tasks serve until some time after the outage, as Envoy can't know the new ones as long as it lasts.
	r := startAll(t, worldOf(`- {name: web, desired: 3, network: bridge, overlap: 85s, containers: [{name: app, ports: [8080]}]}`),
		services("/web", "c1/web")...)
	w := r.sim.World
	r.waitTasks("/web", "c1", "web", 3)
	old, known := w.Tasks("c1", "web"), r.endpointsInEnvoy()
	stop := underLoad(t, r.base, "/web")
	for _, phase := range []struct {
		fault ecssim.FaultKind
		do    func()
	}{
		{ecssim.Throttle, func() {
			must(t, w.Deploy("c1", "web", nil))
			r.eventually("the new tasks run", func() bool { return len(w.Tasks("c1", "web")) == 6 })
			must(t, w.Kill("c1", "web"))
		}},
		{ecssim.ServerError, func() {
			r.stopNightjar(syscall.SIGKILL)
			r.startNightjar()
		}},
		{ecssim.Hang, func() { must(t, w.StopTask("c1", "web", old[1])) }},
		{ecssim.Reset, func() {}},
		{ecssim.WrongType, func() {
			r.within(15*time.Second, "30 s after its start nightjar publishes what it read, which is nothing, and Envoy comes back", func() bool {
				return contains(r.nightjar.output(), "Envoy connected")
			})
			if s := r.service("c1/web"); len(s.Endpoints) > 0 || r.status().Ready {
				t.Errorf("in the outage it is ready or has endpoints: %+v", s)
			}
		}},
		{ecssim.AccessDenied, func() {
			r.eventually("it is told that AWS denies", func() bool { return r.service("c1/web").State == "denied" })
		}},
	} {
		end := time.After(10 * time.Second)
		r.sim.Server.Heal()
		must(t, r.sim.Server.Inject(ecssim.Fault{Kind: phase.fault}))
		phase.do()
		<-end
		if now := r.endpointsInEnvoy(); !slices.Equal(now, known) {
			t.Fatalf("%s: Envoy has the endpoints %v, and had %v before", phase.fault, now, known)
		}
	}
	for range 50 {
		if got := r.get("/web"); got.answer.Task != old[2] {
			t.Fatalf("%d %q; want an answer of %s, which still runs", got.status, got.body, old[2])
		}
	}
	r.sim.Server.Heal()
	r.waitTasks("/web", "c1", "web", 4)
	if !r.status().Ready {
		t.Error("it isn't ready though AWS is back")
	}
	r.eventually("the last old task is stopped", func() bool { return len(w.Wanted("c1", "web")) == 3 })
	r.waitTasks("/web", "c1", "web", 3)
	sent, failed := stop()
	noneFailed(t, sent, failed)
	t.Logf("%d requests, %d failed", sent, len(failed))
}

// endpointsInEnvoy are the addresses of all endpoints that Envoy has, in order.
func (r *rig) endpointsInEnvoy() []string {
	r.t.Helper()
	clusters, err := r.envoy.Admin.Clusters(r.t.Context())
	must(r.t, err)
	var all []string
	for _, c := range clusters.GetClusterStatuses() {
		if c.GetAddedViaApi() {
			for _, h := range c.GetHostStatuses() {
				at := h.GetAddress().GetSocketAddress()
				all = append(all, fmt.Sprintf("%s:%d", at.GetAddress(), at.GetPortValue()))
			}
		}
	}
	slices.Sort(all)
	return all
}
