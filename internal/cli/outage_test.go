package cli

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/admin"
	"github.com/groboclown/nightjar-mesh/internal/awsapi"
	"github.com/groboclown/nightjar-mesh/internal/control"
	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// acceptedOnce are the Envoys of a nightjar whose Envoy has accepted what it was sent, and went away.
type acceptedOnce struct{}

func (acceptedOnce) Nodes() []xds.Node         { return nil }
func (acceptedOnce) LastRefusal() *xds.Refusal { return nil }
func (acceptedOnce) Accepted() bool            { return true }

// TestAnOutageOfAnHourNeverMakesItUnready lets every call fail for an hour, in each way in which AWS fails.
func TestAnOutageOfAnHourNeverMakesItUnready(t *testing.T) {
	fakeCredentials(t)
	for _, kind := range []ecssim.FaultKind{
		ecssim.Throttle, ecssim.ServerError, ecssim.AccessDenied, ecssim.ExpiredToken, ecssim.WrongType, ecssim.Empty,
	} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { outage(t, kind) })
		})
	}
}

func outage(t *testing.T, kind ecssim.FaultKind) {
	sim, err := ecssim.New(&ecssim.File{Region: "eu-west-1", Account: "111122223333", Polite: true, Clusters: []ecssim.FileCluster{{
		Name: "c1", Subnet: "10.0.0.0/16", Services: []ecssim.FileService{{
			Name: "web", Desired: 2, Network: "awsvpc", Launch: "FARGATE", Containers: []ecssim.FileContainer{{Name: "web", Ports: []uint16{8080}}},
		}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute) // until its tasks run
	budget, log := awsapi.NewBudget(1, 10), slog.New(slog.DiscardHandler)
	client, err := awsapi.New(t.Context(), awsapi.Options{
		Region: "eu-west-1", Budget: budget, Log: log, Observer: admin.NewMetrics(), Transport: inMemory{sim.Server},
	})
	if err != nil {
		t.Fatal(err)
	}
	published := &latest{}
	loop, err := control.New(control.Options{
		Reader: ecs.NewInventory(client, nil), Publisher: published, Observer: admin.NewMetrics(), Log: log,
		Refs: []mesh.ServiceRef{{Cluster: "c1", Service: "web", Port: 8080}}, Wait: 100 * time.Millisecond, Proxies: []mesh.Proxy{{ID: "p"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &admin.Server{Loop: loop, Envoys: acceptedOnce{}, Rates: budget, Metrics: admin.NewMetrics()}
	go loop.Run(t.Context())
	time.Sleep(30 * time.Second)
	if r := server.Report(); !r.Ready {
		t.Fatalf("not ready before the outage: %s", r.NotReady)
	}
	if err := sim.Server.Inject(ecssim.Fault{Kind: kind, For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for minute := range 60 {
		time.Sleep(time.Minute)
		r := server.Report()
		if !r.Ready || published.serving() != 1 {
			t.Fatalf("after %d minutes of outage: ready %v (%s), %d services served", minute+1, r.Ready, r.NotReady, published.serving())
		}
		if minute == 30 && (r.Services[0].Error == "" || r.Services[0].FailingSince.IsZero()) {
			t.Errorf("the status doesn't tell of the outage: %+v", r.Services[0])
		}
	}
}
