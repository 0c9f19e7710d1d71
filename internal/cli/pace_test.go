package cli

import (
	"context"
	"fmt"
	"log/slog"
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

// tally is an awsapi.Observer that counts calls, and an ecs.API that counts the reads of one service.
type tally struct {
	ecs.API
	mu sync.Mutex
	counts
}

type counts struct {
	calls   int
	inTasks int // of these, from the bucket of the tasks
	rounds  int
}

// now are the counts so far.
func (c *tally) now() counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

func (c *tally) Called(action, _ string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls++; action != "DescribeServices" {
		c.inTasks++
	}
}

func (c *tally) ServiceTasks(ctx context.Context, cluster, service string) ([]string, error) {
	if service == "s000" {
		c.mu.Lock()
		c.rounds++
		c.mu.Unlock()
	}
	return c.API.ServiceTasks(ctx, cluster, service)
}

// TestThePaceIsWhatReadingTakes holds what ecs.Pace promises against the loop, the reader and the budget, in virtual time.
func TestThePaceIsWhatReadingTakes(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
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
				var sizes []ecs.Size
				clusters := make([]ecssim.FileCluster, test.clusters)
				for n := range test.services {
					c := &clusters[n%test.clusters]
					c.Name, c.Subnet = fmt.Sprintf("c%d", n%test.clusters), fmt.Sprintf("10.%d.0.0/16", n%test.clusters)
					service := ecssim.FileService{
						Name: fmt.Sprintf("s%03d", n), Desired: test.tasks, Network: "awsvpc", Launch: "FARGATE", Containers: []ecssim.FileContainer{{Name: "web", Ports: []uint16{8080}}},
					}
					c.Services = append(c.Services, service)
					refs = append(refs, mesh.ServiceRef{Cluster: c.Name, Service: service.Name, Port: 8080})
					sizes = append(sizes, ecs.Size{Cluster: c.Name, Tasks: test.tasks})
				}
				got, took := measure(t, clusters, refs, test.rate, test.wait)
				want := ecs.NewPace(sizes, test.rate, test.wait)
				t.Logf("%s: %d calls in %d rounds, %s each", want, got.calls, got.rounds, took/time.Duration(got.rounds))
				near(t, "calls of a read", want.Calls, float64(got.calls)/float64(got.rounds))
				near(t, "seconds from read to read", want.Round.Seconds(), took.Seconds()/float64(got.rounds))
				near(t, "sidecars", float64(want.Sidecars), 20*took.Seconds()/float64(got.inTasks))
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
	sim, err := ecssim.New(&ecssim.File{Region: "eu-west-1", Account: "111122223333", Polite: true, Clusters: clusters})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Minute) // until its tasks run
	counted := &tally{}
	budget, log := awsapi.NewBudget(rate, 10), slog.New(slog.DiscardHandler)
	client, err := awsapi.New(t.Context(), awsapi.Options{
		Region: "eu-west-1", Budget: budget, Log: log, Observer: counted, Transport: inMemory{sim.Server},
	})
	if err != nil {
		t.Fatal(err)
	}
	counted.API = client
	loop, err := control.New(control.Options{
		Reader: ecs.NewInventory(counted), Publisher: &latest{}, Budget: budget, Observer: admin.NewMetrics(), Log: log,
		Refs: refs, Wait: wait, Proxies: []mesh.Proxy{{ID: "p"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	go loop.Run(t.Context())
	time.Sleep(3 * time.Minute)
	before := counted.now()
	const span = 20 * time.Minute
	time.Sleep(span)
	after := counted.now()
	return counts{calls: after.calls - before.calls, inTasks: after.inTasks - before.inTasks, rounds: after.rounds - before.rounds}, span
}

func TestThePaceInWords(t *testing.T) {
	t.Parallel()
	three := []ecs.Size{{Cluster: "c", Tasks: 20}, {Cluster: "c", Tasks: 20}, {Cluster: "c", Tasks: 20}}
	for want, pace := range map[string]ecs.Pace{
		"3 services, 60 tasks: a read costs 3.6 calls; at 1 call/s you are fresh within 3.6 s (7.2 s for a container's health); " +
			"20 sidecars like this one would use the account's whole bucket": ecs.NewPace(three, 1, 100*time.Millisecond),
		"1 service, 1 task: a read costs 1.4 calls; at 0.5 calls/s you are fresh within 2.8 s":                                                                        ecs.NewPace([]ecs.Size{{Tasks: 1}}, 0.5, time.Millisecond),
		"with WAITTIME=10000 you are fresh within 10 s; 50 sidecars":                                                                                                  ecs.NewPace(three, 1, 10*time.Second),
		"3 services, 60 tasks: a read costs 3 calls; with WAITTIME=100 you are fresh within 0.1 s; that alone is more than the 20 calls/s that the whole account has": ecs.NewPace(three, 200, 100*time.Millisecond),
		"0 services, 0 tasks: a read costs 0 calls":                                                                                                                   ecs.NewPace(nil, 1, time.Second),
	} {
		if got := pace.String(); !strings.Contains(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
