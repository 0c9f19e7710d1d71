package virtual

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// TestAnOutageOfAnHourNeverMakesItUnready lets every call fail for an hour, in each way in which AWS fails.
func TestAnOutageOfAnHourNeverMakesItUnready(t *testing.T) {
	fakeCredentials(t)
	for _, kind := range []ecssim.FaultKind{
		ecssim.Throttle, ecssim.ServerError, ecssim.AccessDenied, ecssim.ExpiredToken, ecssim.WrongType, ecssim.Empty, ecssim.Reset, ecssim.Hang,
	} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { outage(t, kind) })
		})
	}
}

func outage(t *testing.T, kind ecssim.FaultKind) {
	a := newAccount(t, &ecssim.File{Polite: true, Clusters: []ecssim.FileCluster{{
		Name: "c1", Subnet: "10.0.0.0/16", Services: []ecssim.FileService{{
			Name: "web", Desired: 2, Network: "awsvpc", Launch: "FARGATE", Containers: []ecssim.FileContainer{{Name: "web", Ports: []uint16{8080}}},
		}},
	}}})
	time.Sleep(time.Minute) // until its tasks run
	n := a.start(options{refs: []mesh.ServiceRef{{Cluster: "c1", Service: "web", Port: 8080}}})
	time.Sleep(30 * time.Second)
	if r := n.report(); !r.Ready {
		t.Fatalf("not ready before the outage: %s", r.NotReady)
	}
	if err := a.sim.Server.Inject(ecssim.Fault{Kind: kind, For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for minute := range 60 {
		time.Sleep(time.Minute)
		r := n.report()
		if !r.Ready || n.latest.serving() != 1 {
			t.Fatalf("after %d minutes of outage: ready %v (%s), %d services served", minute+1, r.Ready, r.NotReady, n.latest.serving())
		}
		if minute == 30 && (r.Services[0].Error == "" || r.Services[0].FailingSince.IsZero()) {
			t.Errorf("the status doesn't tell of the outage: %+v", r.Services[0])
		}
	}
}
