package control

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// world answers reads with what it holds: the ports that a service serves on, or an error.
type world struct {
	mu       sync.Mutex
	ports    map[string][]uint16
	excluded map[string]string // the tasks of c/a that are no targets, and why
	errs     map[string]error
	definite bool
	certain  bool
	idle     bool // nothing is due
	repeats  bool
	slow     time.Duration
	reads    int
}

func (w *world) Read(ctx context.Context, refs []mesh.ServiceRef) []mesh.Reading {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	select {
	case <-ctx.Done():
	case <-time.After(w.slow):
	}
	var readings []mesh.Reading
	for _, ref := range refs {
		r := mesh.Reading{Ref: ref, At: time.Now(), Err: w.errs[ref.Name()], Definite: w.definite, Certain: w.certain, NotAsked: w.idle, Repeats: w.repeats}
		if ctx.Err() != nil {
			r.Err = ctx.Err()
		}
		if r.Err == nil {
			r.Service = &mesh.Service{Name: ref.Name(), State: mesh.Active}
			for _, p := range w.ports[ref.Name()] {
				addr := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), p)
				r.Service.Endpoints = append(r.Service.Endpoints, mesh.Endpoint{Addr: addr})
			}
			for _, task := range slices.Sorted(maps.Keys(w.excluded)) {
				if ref.Service == "a" {
					r.Service.Excluded = append(r.Service.Excluded, mesh.Excluded{Task: task, Reason: w.excluded[task]})
				}
			}
		}
		readings = append(readings, r)
	}
	return readings
}

func (w *world) Changed(string) {}

// change lets a test change the world between reads.
func (w *world) change(how func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	how()
}

// published keeps what was published.
type published struct {
	mu     sync.Mutex
	meshes []*mesh.Mesh
}

func (p *published) Publish(m *mesh.Mesh) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meshes = append(p.meshes, m)
	return nil
}

func (p *published) all() []*mesh.Mesh {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.meshes
}

// serving counts the endpoints of a service in the latest mesh; -1 where it isn't read.
func (p *published) serving(name string) int {
	meshes := p.all()
	s := meshes[len(meshes)-1].Service(name)
	if s.State == mesh.Unread {
		return -1
	}
	return len(s.Endpoints)
}

// logged keeps what was logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs a loop over c/a and c/b, with a round each second.
func start(t *testing.T, w *world) (*Loop, *published, *logged) {
	t.Helper()
	p, log := &published{}, &logged{}
	refs := []mesh.ServiceRef{{Cluster: "c", Service: "a"}, {Cluster: "c", Service: "b"}}
	l, err := New(Options{
		Reader: w, Publisher: p, Observer: w, Log: slog.New(slog.NewTextHandler(log, nil)), Refs: refs, Wait: time.Second,
		Proxies: []mesh.Proxy{{Listeners: []mesh.Listener{{Name: "egress"}}, Routes: []mesh.Route{
			{Listener: "egress", Path: "/a", Service: "c/a"}, {Listener: "egress", Path: "/b", Service: "c/b"},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	go l.Run(t.Context())
	synctest.Wait()
	return l, p, log
}

// rounds lets n more rounds pass.
func rounds(n int) {
	time.Sleep(time.Duration(n) * time.Second)
	synctest.Wait()
}

func TestAnErrorKeepsWhatWasAndIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ports: map[string][]uint16{"c/a": {1, 2}, "c/b": {3}}, errs: map[string]error{}}
		l, p, log := start(t, w)
		w.change(func() {
			w.errs["c/a"] = errors.New("ListTasks: throttled")
			w.ports["c/b"] = []uint16{3, 4}
		})
		rounds(60)
		if p.serving("c/a") != 2 || p.serving("c/b") != 2 {
			t.Fatalf("a serves %d, b %d; want 2 and 2", p.serving("c/a"), p.serving("c/b"))
		}
		if s := l.Status().Services[0]; s.Err == nil || time.Since(s.ReadAt) != 60*time.Second {
			t.Fatalf("status: %+v", s)
		}
		w.change(func() { delete(w.errs, "c/a") })
		rounds(60)
		if n := strings.Count(log.String(), "throttled"); n != 1 {
			t.Errorf("the fault is said %d times, want once:\n%s", n, log)
		}
		if n := strings.Count(log.String(), "reading works again"); n != 1 {
			t.Errorf("the recovery is said %d times, want once:\n%s", n, log)
		}
	})
}

func TestAnEmptiedServiceIsBelievedAtTheSecondRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ports: map[string][]uint16{"c/a": {1}, "c/b": {3}}}
		_, p, _ := start(t, w)
		w.change(func() { w.ports["c/a"] = nil })
		rounds(1)
		if p.serving("c/a") != 1 {
			t.Fatal("believed at the first read")
		}
		w.change(func() { w.ports["c/a"] = []uint16{1} })
		rounds(1)
		w.change(func() { w.ports["c/a"] = nil })
		rounds(1)
		if p.serving("c/a") != 1 {
			t.Fatal("a read between that shows endpoints starts anew")
		}
		rounds(1)
		if p.serving("c/a") != 0 {
			t.Fatal("not believed at the second read")
		}
	})
}

func TestWhatRepeatsIsNoSecondRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ports: map[string][]uint16{"c/a": {1}, "c/b": {3}}}
		_, p, log := start(t, w)
		w.change(func() { w.ports["c/a"] = nil })
		rounds(1)
		w.change(func() { w.repeats = true })
		rounds(10)
		if p.serving("c/a") != 1 {
			t.Fatal("believed for the same slip of AWS")
		}
		if n := strings.Count(log.String(), "until a second read says so"); n != 1 {
			t.Errorf("the doubt is said %d times, want once", n)
		}
		w.change(func() { w.repeats = false })
		rounds(1)
		if p.serving("c/a") != 0 {
			t.Fatal("not believed at the second read")
		}
	})
}

func TestTheFirstPublishWaitsForEveryService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ports: map[string][]uint16{"c/b": {3}}, errs: map[string]error{"c/a": errors.New("500")}}
		_, p, _ := start(t, w)
		rounds(29)
		if len(p.all()) != 0 {
			t.Fatal("published before every service was read")
		}
		rounds(2)
		if len(p.all()) != 1 || p.serving("c/a") != -1 || p.serving("c/b") != 1 {
			t.Fatalf("after 30 s what was read is published; got %d meshes", len(p.all()))
		}
	})
}

func TestAReadThatHangsAtStartIsEndedAfterThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{slow: time.Hour}
		_, p, _ := start(t, w)
		rounds(30)
		if len(p.all()) != 1 {
			t.Fatalf("%d meshes, want one", len(p.all()))
		}
	})
}

func TestADefiniteErrorIsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ports: map[string][]uint16{"c/b": {3}}, errs: map[string]error{"c/a": errors.New("denied")}, definite: true}
		l, p, _ := start(t, w)
		if len(p.all()) != 1 || p.all()[0].Service("c/a").State != mesh.Denied {
			t.Fatal("a denied service is served as empty, beside the others")
		}
		if s := l.Status().Services[0]; !s.Answered || s.Service.Problem != "denied" {
			t.Fatalf("status: %+v", s)
		}
	})
}

func TestNothingIsPublishedWhereNothingChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ports: map[string][]uint16{"c/a": {1}, "c/b": {3}}}
		_, p, _ := start(t, w)
		rounds(60)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.reads < 60 || len(p.all()) != 1 {
			t.Fatalf("%d reads, %d meshes; want one", w.reads, len(p.all()))
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{slow: time.Hour}
		l, err := New(Options{
			Reader: w, Publisher: &published{}, Observer: w, Log: slog.New(slog.DiscardHandler),
			Refs: []mesh.ServiceRef{{Cluster: "c", Service: "a"}}, Wait: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { l.Run(ctx); close(done) }()
		synctest.Wait()
		begin := time.Now()
		cancel()
		<-done
		if took := time.Since(begin); took > time.Second {
			t.Fatalf("took %v", took)
		}
	})
}

func TestLoopRefusesRoutesToNowhere(t *testing.T) {
	_, err := New(Options{Proxies: []mesh.Proxy{{Routes: []mesh.Route{{Path: "/"}}}}})
	if err == nil || !strings.Contains(err.Error(), "not there") {
		t.Fatalf("error %v", err)
	}
}

func TestAnEmptyFirstReadIsNotPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ports: map[string][]uint16{"c/a": {1}}} // c/b shows nothing at first
		_, p, _ := start(t, w)
		if n := len(p.all()); n != 0 {
			t.Fatalf("published %d times after one read, in which c/b showed nothing", n)
		}
		w.change(func() { w.ports["c/b"] = []uint16{2} })
		rounds(1)
		if p.serving("c/b") != 1 || len(p.all()) != 1 {
			t.Fatalf("%d serving after %d publishes", p.serving("c/b"), len(p.all()))
		}
	})
}

func TestAServiceThatComesToServeNothingIsAWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ports: map[string][]uint16{"c/a": {1}, "c/b": {3}}}
		_, _, log := start(t, w)
		w.change(func() { delete(w.ports, "c/a") })
		rounds(3)
		if !strings.Contains(log.String(), `level=WARN msg="c/a: −1 endpoints, 0 serving"`) {
			t.Errorf("%s", log)
		}
		w.change(func() { w.ports["c/a"] = []uint16{1, 2} })
		rounds(2)
		if !strings.Contains(log.String(), `level=INFO msg="c/a: +2 endpoints, 2 serving"`) {
			t.Errorf("%s", log)
		}
	})
}
