package cli

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

// inMemory sends requests to a handler without a network, so that they take no time of their own.
type inMemory struct{ handler http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, r)
	answer := w.Result()
	answer.Request = r
	return answer, nil
}

// latest is a Publisher that keeps the latest mesh.
type latest struct {
	mu   sync.Mutex
	mesh *mesh.Mesh
}

func (l *latest) Publish(m *mesh.Mesh) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mesh = m
	return nil
}

// serving counts the services with an endpoint.
func (l *latest) serving() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	if l.mesh != nil {
		for _, s := range l.mesh.Services {
			if len(s.Endpoints) > 0 {
				n++
			}
		}
	}
	return n
}

// fakeCredentials gives the SDK credentials, and keeps it from looking for others.
func fakeCredentials(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
}

// TestManyServicesAtTheDefaultRate starts with more services than 1 call a second reads in 30 s.
func TestManyServicesAtTheDefaultRate(t *testing.T) {
	fakeCredentials(t)
	for _, services := range []int{50, 100} {
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
	sim, err := ecssim.New(&ecssim.File{Region: "eu-west-1", Account: "111122223333", Polite: true, Clusters: []ecssim.FileCluster{cluster}})
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
		Refs: refs, Wait: 100 * time.Millisecond, Proxies: []mesh.Proxy{{ID: "p"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	go loop.Run(t.Context())
	time.Sleep(31 * time.Second)
	first := published.serving()
	if first < 30 {
		t.Errorf("after 31 s %d of %d services are served; 40 calls read 30", first, services)
	}
	time.Sleep(time.Duration(services) * 1500 * time.Millisecond)
	if now := published.serving(); now != services {
		t.Errorf("after 1.5 s more for each service %d of %d are served", now, services)
	}
	t.Logf("%d services: %d after 31 s", services, first)
}
