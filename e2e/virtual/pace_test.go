package virtual

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// tally is an awsapi.Observer that counts calls.
type tally struct {
	mu sync.Mutex
	counts
}

type counts struct{ services, tasks int }

// now are the counts so far.
func (c *tally) now() counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

func (c *tally) Called(action, _ string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if action == "DescribeServices" {
		c.services++
	} else {
		c.tasks++
	}
}

// TestThePaceIsWhatReadingTakes holds what ecs.Pace promises against the loop, the reader and the budget, in virtual time.
func TestThePaceIsWhatReadingTakes(t *testing.T) {
	fakeCredentials(t)
	for _, test := range []struct {
		services, tasks, clusters int // tasks of each service
		rate                      float64
		wait                      time.Duration
	}{
		{services: 1, tasks: 2, clusters: 1, rate: 1, wait: 100 * time.Millisecond},
		{services: 3, tasks: 20, clusters: 1, rate: 1, wait: 100 * time.Millisecond},
		{services: 12, tasks: 3, clusters: 1, rate: 1, wait: 100 * time.Millisecond},
		{services: 12, tasks: 3, clusters: 6, rate: 1, wait: 100 * time.Millisecond},
		{services: 50, tasks: 2, clusters: 1, rate: 1, wait: 100 * time.Millisecond},
		{services: 2, tasks: 250, clusters: 1, rate: 2, wait: 100 * time.Millisecond},
		{services: 4, tasks: 5, clusters: 1, rate: 10, wait: 5 * time.Second},
		{services: 3, tasks: 4, clusters: 2, rate: 10, wait: 1500 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var refs []mesh.ServiceRef
				size := ecs.Size{Services: map[string]int{}, Tasks: map[string]int{}}
				clusters := make([]ecssim.FileCluster, test.clusters)
				for n := range test.services {
					c := &clusters[n%test.clusters]
					c.Name, c.Subnet = fmt.Sprintf("c%d", n%test.clusters), fmt.Sprintf("10.%d.0.0/16", n%test.clusters)
					service := ecssim.FileService{
						Name: fmt.Sprintf("s%03d", n), Desired: test.tasks, Network: "awsvpc", Launch: "FARGATE", Containers: []ecssim.FileContainer{{Name: "web", Ports: []uint16{8080}}},
					}
					c.Services = append(c.Services, service)
					refs = append(refs, mesh.ServiceRef{Cluster: c.Name, Service: service.Name, Port: 8080})
					size.Services[c.Name]++
					size.Tasks[c.Name] += test.tasks
				}
				got, took := measure(t, clusters, refs, test.rate, test.wait)
				want := ecs.NewPace(size, test.rate, test.wait)
				rounds := took.Seconds() / want.Every.Services.Seconds()
				t.Logf("%s: %+v in %s", want, got, took)
				near(t, "calls of a read", want.Calls, float64(got.services+got.tasks)/rounds)
				near(t, "sidecars", float64(want.Sidecars), 20*took.Seconds()/float64(max(got.services, got.tasks)))
				if spent := float64(got.services+got.tasks) / took.Seconds(); spent > 1.02*test.rate {
					t.Errorf("%.2f calls a second, of %g", spent, test.rate)
				}
			})
		})
	}
}

// near fails where a promise is more than 15 % off.
func near(t *testing.T, what string, promised, measured float64) {
	t.Helper()
	if off := promised/measured - 1; off < -0.15 || off > 0.15 {
		t.Errorf("%s: promised %.3f, measured %.3f", what, promised, measured)
	}
}

// measure counts what the loop asks in some minutes of virtual time, when all tasks run and all is read.
func measure(t *testing.T, clusters []ecssim.FileCluster, refs []mesh.ServiceRef, rate float64, wait time.Duration) (counts, time.Duration) {
	t.Helper()
	a := newAccount(t, &ecssim.File{Polite: true, Clusters: clusters})
	time.Sleep(5 * time.Minute) // until its tasks run
	counted := &tally{}
	a.start(options{refs: refs, rate: rate, wait: wait, calls: counted})
	time.Sleep(3 * time.Minute)
	before := counted.now()
	const span = 10 * time.Minute
	time.Sleep(span)
	after := counted.now()
	return counts{services: after.services - before.services, tasks: after.tasks - before.tasks}, span
}

func TestThePaceInWords(t *testing.T) {
	t.Parallel()
	size := func(services, tasks, readers int) ecs.Size {
		return ecs.Size{Services: map[string]int{"c": services}, Tasks: map[string]int{"c": tasks}, Readers: readers}
	}
	for want, pace := range map[string]ecs.Pace{
		"3 services, 60 tasks: a read costs 1.3 calls; at 1 call/s you are fresh within 1.4 s (1 s while something moves); " +
			"28 sidecars like this one would use up the 20 reads a second that everybody in the account shares": ecs.NewPace(size(3, 60, 1), 1, 100*time.Millisecond),
		"that leaves room for 60 sidecars like this one, as many as are seen": ecs.NewPace(size(3, 60, 60), 1, 100*time.Millisecond),
		"0 services, 0 tasks": ecs.NewPace(size(0, 0, 1), 1, time.Second),
		"that alone is more than the 20 calls/s that the whole account has": ecs.NewPace(size(1000, 10_000, 1), 200, time.Millisecond),
	} {
		if got := pace.String(); !strings.Contains(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
