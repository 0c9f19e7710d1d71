package xds

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

const portTaken = "Error adding/updating listener(s) egress: cannot bind '127.0.0.1:8080': Address already in use"

// refusesItsListener starts an Envoy that has everything but the listener, which it refuses.
func refusesItsListener(t *testing.T, c *testCache) *fakeEnvoy {
	t.Helper()
	e := connectFake(t, c)
	e.ask(ClusterType, nil, nil)
	clusters := e.next(ClusterType, "a", "b")
	e.ask(EndpointType, []string{"a", "b"}, nil)
	e.ack(e.next(EndpointType, "a", "b"))
	e.ack(clusters)
	e.ask(ListenerType, nil, nil)
	e.nack(e.next(ListenerType, "egress"), portTaken)
	e.quiet("a refusal isn't answered at once")
	return e
}

func TestWhatIsRefusedIsSentAgainUntilItIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, count := newTestCache(t)
		var log bytes.Buffer
		c.log = slog.New(slog.NewTextHandler(&log, nil))
		mustPublish(t, c, twoServices(t))
		began := time.Now()
		e := refusesItsListener(t, c)
		for range 3 {
			time.Sleep(repeatAfter - time.Millisecond)
			e.quiet("the time isn't over")
			time.Sleep(time.Millisecond)
			e.nack(e.next(ListenerType, "egress"), portTaken)
		}
		e.quiet("refused again")
		if n := strings.Count(log.String(), "Envoy refuses"); n != 1 || count.refused != 4 {
			t.Errorf("logged %d times, counted %d; want 1 and 4:\n%s", n, count.refused, log.String())
		}
		if refused := c.Nodes()[0].Refused; len(refused) != 1 || !refused[0].At.Equal(began) || !c.LastRefusal().At.Equal(began) {
			t.Errorf("it is refused since the first time: %+v", refused)
		}
		if c.Accepted() {
			t.Error("accepted without a listener")
		}
		time.Sleep(repeatAfter)
		e.nack(e.next(ListenerType, "egress"), "another reason")
		synctest.Wait()
		if n := strings.Count(log.String(), "Envoy refuses"); n != 2 {
			t.Errorf("another reason is news:\n%s", log.String())
		}
		time.Sleep(repeatAfter)
		e.ack(e.next(ListenerType, "egress"))
		time.Sleep(5 * repeatAfter)
		e.quiet("it is taken")
		if !c.Accepted() || len(c.Nodes()[0].Refused) > 0 {
			t.Errorf("accepted %v, %+v", c.Accepted(), c.Nodes())
		}
	})
}

// While something is refused, and while it is sent again, the rest goes its way.
func TestWhatIsRefusedHoldsNothingElseBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, count := newTestCache(t)
		mustPublish(t, c, twoServices(t))
		e := refusesItsListener(t, c)
		e.ask(RouteType, []string{"egress"}, nil)
		e.ack(e.next(RouteType, "egress"))
		time.Sleep(repeatAfter)
		again := e.next(ListenerType, "egress")
		mustPublish(t, c, testMesh(t, []*mesh.Service{service("b", 1), service("c", 1)}, "/a", "c", "/b", "b"))
		clusters := e.next(ClusterType, "c")
		e.ask(EndpointType, []string{"c"}, nil)
		e.ack(e.next(EndpointType, "c"))
		e.ack(clusters)
		e.ack(e.next(RouteType, "egress"))
		e.ack(e.next(ClusterType, "-a"))
		e.nack(again, portTaken)
		e.quiet("everything else is there")
		if count.overdue != 0 {
			t.Errorf("%d times something waited in vain", count.overdue)
		}
	})
}

func TestARefusedClusterIsSentAgainAndThenItsRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTestCache(t)
		mustPublish(t, c, twoServices(t))
		e := connectFake(t, c)
		e.settle()
		services := []*mesh.Service{service("a", 1), service("b", 1), service("c", 1)}
		mustPublish(t, c, testMesh(t, services, "/a", "a", "/b", "b", "/c", "c"))
		e.nack(e.next(ClusterType, "c"), "Error adding/updating cluster(s) c: no")
		e.quiet("the routes need the cluster")
		time.Sleep(repeatAfter)
		clusters := e.next(ClusterType, "c")
		e.ask(EndpointType, []string{"c"}, nil)
		e.ack(e.next(EndpointType, "c"))
		e.ack(clusters)
		e.ack(e.next(RouteType, "egress"))
		e.quiet("everything is there")
	})
}

func TestWhatIsPublishedInPlaceOfWhatIsRefusedIsSentAtOnceAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTestCache(t)
		mustPublish(t, c, twoServices(t))
		e := connectFake(t, c)
		e.settle()
		mustPublish(t, c, testMesh(t, []*mesh.Service{service("a", 1), service("b", 1)}, "/b", "b", "/", "a"))
		e.nack(e.next(RouteType, "egress"), "no")
		time.Sleep(time.Second)
		first := c.LastRefusal().At
		mustPublish(t, c, testMesh(t, []*mesh.Service{service("a", 1), service("b", 1)}, "/b", "a", "/", "a"))
		e.nack(e.next(RouteType, "egress"), "no")
		synctest.Wait()
		if !c.LastRefusal().At.After(first) {
			t.Error("another version's refusal is news")
		}
	})
}

func TestARefusalSaysWhatToDoByItsCause(t *testing.T) {
	for message, want := range map[string]string{
		portTaken: "Another process has its port: end that, or change EGRESS_LISTEN_PORT. It is tried again every 10 s.",
		"cannot bind '127.0.0.1:80': Permission denied": "Envoy's user may not use that port: change EGRESS_LISTEN_PORT to one from 1024 on.",
		"no such filter": "Please report this, with what `nightjar render` prints.",
	} {
		r := Refusal{Type: "listener", Name: "egress", Setting: "EGRESS_LISTEN_PORT", Message: message}
		if got := r.Remedy(); got != want {
			t.Errorf("%s: %s", message, got)
		}
	}
}
