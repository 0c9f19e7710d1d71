package virtual

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// generations notes which generations of tasks each published mesh serves together.
type generations struct {
	mu   sync.Mutex
	seen [][]string
}

// published is an options.observe.
func (g *generations) published(m *mesh.Mesh) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := deploymentsOf(m.Service("c1/web"))
	if len(g.seen) == 0 || !slices.Equal(g.seen[len(g.seen)-1], now) {
		g.seen = append(g.seen, now)
	}
}

func deploymentsOf(s *mesh.Service) []string {
	var all []string
	for _, e := range s.Endpoints {
		all = append(all, e.Deployment)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// startWeb starts a nightjar on a service with three tasks and a deployment controller.
func startWeb(t *testing.T, controller string) (*account, *nightjar, *generations) {
	a := newAccount(t, &ecssim.File{Polite: true, Clusters: []ecssim.FileCluster{{
		Name: "c1", Subnet: "10.0.0.0/16", Services: []ecssim.FileService{{
			Name: "web", Desired: 3, Network: "awsvpc", Launch: "FARGATE", Controller: controller, Overlap: 2 * time.Minute,
			Containers:    []ecssim.FileContainer{{Name: "web", Ports: []uint16{8080}}},
			LoadBalancers: []ecssim.FileTarget{{Container: "web", Port: 8080}},
		}},
	}}})
	time.Sleep(time.Minute) // until its tasks run
	g := &generations{}
	n := a.start(options{refs: []mesh.ServiceRef{{Cluster: "c1", Service: "web"}}, observe: g.published})
	within(t, 5*time.Second, "its tasks serve", func() bool { return n.latest.endpoints("c1/web") == 3 })
	must(t, a.sim.World.Deploy("c1", "web", nil))
	return a, n, g
}

// TestTrafficMovesInOneStepWhenAnotherTaskSetBecomesThePrimaryOne has nothing change but the status of the task sets.
func TestTrafficMovesInOneStepWhenAnotherTaskSetBecomesThePrimaryOne(t *testing.T) {
	fakeCredentials(t)
	for _, controller := range []string{"CODE_DEPLOY", "EXTERNAL"} {
		t.Run(controller, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, n, g := startWeb(t, controller)
				blue := n.latest.service("c1/web").Endpoints
				time.Sleep(5 * time.Minute)
				if tasks := a.sim.World.Tasks("c1", "web"); len(tasks) != 6 || !slices.Equal(n.latest.service("c1/web").Endpoints, blue) {
					t.Fatalf("of the %d tasks these serve before the switch: %v; want %v", len(tasks), n.latest.service("c1/web").Endpoints, blue)
				}
				must(t, a.sim.World.SwitchPrimary("c1", "web"))
				took := within(t, 3*time.Second, "the tasks of the other set serve, all of them", func() bool {
					s := n.latest.service("c1/web")
					return len(s.Endpoints) == 3 && s.Endpoints[0].Deployment != blue[0].Deployment
				})
				green := n.latest.service("c1/web").Endpoints
				time.Sleep(5 * time.Minute) // the old set is gone
				if tasks := a.sim.World.Tasks("c1", "web"); len(tasks) != 3 || !slices.Equal(n.latest.service("c1/web").Endpoints, green) {
					t.Errorf("of the %d tasks these serve in the end: %v; want %v", len(tasks), n.latest.service("c1/web").Endpoints, green)
				}
				want := [][]string{{blue[0].Deployment}, {green[0].Deployment}}
				if !slices.EqualFunc(g.seen, want, slices.Equal) {
					t.Errorf("one after another these sets served: %q; want %q", g.seen, want)
				}
				t.Logf("traffic moved %s after the switch", took)
			})
		})
	}
}

// TestAllRunningTasksOfADeploymentByECSServe, of the old and of the new one, as with every strategy of ECS's own: rolling, blue and
// green, linear and canary. Each endpoint tells its deployment.
func TestAllRunningTasksOfADeploymentByECSServe(t *testing.T) {
	fakeCredentials(t)
	synctest.Test(t, func(t *testing.T) {
		_, n, g := startWeb(t, "ECS")
		old := n.latest.service("c1/web").Endpoints[0].Deployment
		within(t, 30*time.Second, "all six tasks serve", func() bool { return n.latest.endpoints("c1/web") == 6 })
		both := deploymentsOf(n.latest.service("c1/web"))
		if len(both) != 2 || !slices.Contains(both, old) {
			t.Errorf("their deployments are %q", both)
		}
		time.Sleep(5 * time.Minute)
		if s := n.latest.service("c1/web"); len(s.Endpoints) != 3 || slices.Contains(deploymentsOf(s), old) {
			t.Errorf("in the end these serve: %v", s.Endpoints)
		}
		for _, now := range g.seen {
			if len(now) == 0 {
				t.Errorf("for a while none served: %q", g.seen)
			}
		}
	})
}
