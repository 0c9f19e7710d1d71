package virtual

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// TestManyServicesAtTheDefaultRate starts with more services than 1 call a second reads in 30 s.
func TestManyServicesAtTheDefaultRate(t *testing.T) {
	fakeCredentials(t)
	for _, services := range []int{50, 100, 300} {
		t.Run(fmt.Sprint(services), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { manyServices(t, services) })
		})
	}
}

func manyServices(t *testing.T, services int) {
	cluster := ecssim.FileCluster{
		Name: "c1", Subnet: "10.0.0.0/16", Instances: []ecssim.FileInstance{{ID: "i-0aaaaaaaaaaaaaaa1", Address: "10.1.0.1", Zone: "eu-west-1a"}},
	}
	var refs []mesh.ServiceRef
	for n := range services {
		name := fmt.Sprintf("s%03d", n)
		cluster.Services = append(cluster.Services, ecssim.FileService{
			Name: name, Desired: 2, Network: "bridge", Containers: []ecssim.FileContainer{{Name: "web", Ports: []uint16{8080}}},
		})
		refs = append(refs, mesh.ServiceRef{Cluster: "c1", Service: name})
	}
	a := newAccount(t, &ecssim.File{Polite: true, Clusters: []ecssim.FileCluster{cluster}})
	time.Sleep(time.Minute) // until its tasks run
	n := a.start(options{refs: refs})
	time.Sleep(31 * time.Second)
	first := n.latest.serving()
	if first < min(services, 150) {
		t.Errorf("after 31 s %d of %d services are served; 40 calls read 150", first, services)
	}
	time.Sleep(time.Duration(services) * 1500 * time.Millisecond)
	if now := n.latest.serving(); now != services {
		t.Errorf("after 1.5 s more for each service %d of %d are served", now, services)
	}
	t.Logf("%d services: %d after 31 s", services, first)
}
