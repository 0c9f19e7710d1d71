package control

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// claimed is a Reader of services that each have one task, at an address since a time; one that isn't there can't be read.
type claimed struct {
	mu sync.Mutex
	by map[string]*mesh.Claim
}

func (c *claimed) set(name string, claim *mesh.Claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[name] = claim
}

func (c *claimed) Read(_ context.Context, refs []mesh.ServiceRef) []mesh.Reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	var readings []mesh.Reading
	for _, ref := range refs {
		r := mesh.Reading{Ref: ref, At: time.Now()}
		if has := c.by[ref.Name()]; has != nil {
			r.Service = &mesh.Service{
				Name: ref.Name(), State: mesh.Active, Claims: []mesh.Claim{*has}, Endpoints: []mesh.Endpoint{{Addr: has.Addr, Task: has.Task}},
			}
		} else {
			r.Err = context.DeadlineExceeded
		}
		readings = append(readings, r)
	}
	return readings
}

// A service that can't be read keeps what it had, but not a port that another service's newer task has by now.
func TestAPortThatIsUsedAgainLeavesTheServiceThatHadIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		claim := func(port uint16, task string) *mesh.Claim {
			return &mesh.Claim{Addr: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), port), Task: task, Started: time.Now()}
		}
		world := &claimed{by: map[string]*mesh.Claim{"c/a": claim(32768, "old"), "c/b": claim(32769, "other")}}
		p := &published{}
		l, err := New(Options{
			Reader: world, Publisher: p, Observer: &changes{}, Log: slog.New(slog.DiscardHandler), Wait: time.Second,
			Refs: []mesh.ServiceRef{{Cluster: "c", Service: "a"}, {Cluster: "c", Service: "b"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		go l.Run(t.Context())
		rounds(2)
		world.set("c/a", nil) // from here on it can't be read
		world.set("c/b", claim(32768, "new"))
		rounds(2)
		if p.serving("c/a") != 0 || p.serving("c/b") != 1 {
			t.Errorf("c/a serves %d, c/b %d", p.serving("c/a"), p.serving("c/b"))
		}
		n := len(p.all())
		rounds(30)
		if len(p.all()) != n {
			t.Errorf("%d meshes are published while nothing changes", len(p.all())-n)
		}
		if s := l.Status().Services[0].Service; len(s.Endpoints) != 0 || len(s.Excluded) != 1 {
			t.Errorf("status: %+v", s)
		}
	})
}

// changes is an Observer.
type changes struct{}

func (*changes) Changed(string) {}
