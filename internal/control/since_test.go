package control

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// sinceWhen is how long ago the loop says that a task of c/a was excluded; it fails where it isn't.
func sinceWhen(t *testing.T, l *Loop, task string) time.Duration {
	t.Helper()
	for _, e := range l.Status().Services[0].Service.Excluded {
		if e.Task == task {
			return time.Since(e.Since)
		}
	}
	t.Fatalf("%s is not excluded", task)
	return 0
}

func TestSinceWhenATaskIsNoTargetIsNotedWhereAWSDoesNotTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ports: map[string][]uint16{"c/a": {1}, "c/b": {3}}, excluded: map[string]string{}, errs: map[string]error{}}
		l, p, _ := start(t, w)
		w.change(func() { w.excluded["t1"] = "UNHEALTHY" })
		rounds(10)
		if got := sinceWhen(t, l, "t1"); got != 9*time.Second {
			t.Fatalf("first seen %s ago, want 9 s", got)
		}
		published := len(p.all())
		rounds(10)
		if len(p.all()) != published {
			t.Fatal("it is published again, though nothing changed")
		}

		w.change(func() { w.excluded["t2"] = "UNHEALTHY" }) // the service changes; of t1 nothing does
		rounds(10)
		if first, second := sinceWhen(t, l, "t1"), sinceWhen(t, l, "t2"); first != 29*time.Second || second != 9*time.Second {
			t.Fatalf("t1 since %s, t2 since %s; want 29 s and 9 s", first, second)
		}

		w.change(func() { w.errs["c/a"] = errors.New("throttled") })
		rounds(10)
		w.change(func() { delete(w.errs, "c/a") })
		rounds(10)
		if got := sinceWhen(t, l, "t1"); got != 49*time.Second {
			t.Fatalf("after a fault of AWS since %s, want 49 s", got)
		}

		w.change(func() { w.excluded["t1"] = "it is PENDING" })
		rounds(10)
		if first, second := sinceWhen(t, l, "t1"), sinceWhen(t, l, "t2"); first != 9*time.Second || second != 39*time.Second {
			t.Fatalf("another reason begins anew: t1 since %s, t2 since %s; want 9 s and 39 s", first, second)
		}
	})
}

func TestSinceWhenIsLeftAsAWSTellsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now().Add(-time.Hour)
		r := record{service: &mesh.Service{Name: "c/a"}}
		reading := mesh.Reading{At: time.Now(), Certain: true, Service: &mesh.Service{Name: "c/a", State: mesh.Active, Excluded: []mesh.Excluded{
			{Task: "t1", Reason: "it is to stop", Since: begun}, {Task: "t2", Reason: "UNHEALTHY"},
		}}}
		r.judge(reading)
		if got := r.service.Excluded; !got[0].Since.Equal(begun) || !got[1].Since.Equal(reading.At) {
			t.Fatalf("%+v", got)
		}
		if !reading.Service.Excluded[1].Since.IsZero() {
			t.Fatal("the reading's own value was changed, which others may hold")
		}
	})
}
