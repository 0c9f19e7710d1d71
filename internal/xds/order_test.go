package xds

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// twoServices is the mesh that settle expects: /a goes to a, /b to b.
func twoServices(t *testing.T) *mesh.Mesh {
	return testMesh(t, []*mesh.Service{service("a", 1), service("b", 1)}, "/a", "a", "/b", "b")
}

func TestANewEnvoyGetsRoutesAndListenersAfterItsClusters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, count := newTestCache(t)
		mustPublish(t, c, twoServices(t))
		e := connectFake(t, c)
		e.ask(ClusterType, nil, nil)
		clusters := e.next(ClusterType, "a", "b")
		e.ask(ListenerType, nil, nil)
		e.quiet("the clusters are not answered for")
		e.ask(EndpointType, []string{"a", "b"}, nil)
		e.ack(e.next(EndpointType, "a", "b"))
		e.quiet("the clusters are not answered for")
		if c.Accepted() {
			t.Fatal("accepted before the answer for clusters and listeners")
		}
		e.ack(clusters)
		listeners := e.next(ListenerType, "egress")
		e.ask(RouteType, []string{"egress"}, nil)
		e.ack(e.next(RouteType, "egress"))
		e.ack(listeners)
		e.quiet("everything is there")
		if !c.Accepted() || count.acknowledged != 1 || !c.Nodes()[0].Current {
			t.Fatalf("accepted %v, acknowledged %d, nodes %+v", c.Accepted(), count.acknowledged, c.Nodes())
		}
	})
}

func TestAPathMovesMakeBeforeBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTestCache(t)
		mustPublish(t, c, twoServices(t))
		e := connectFake(t, c)
		e.settle()
		mustPublish(t, c, testMesh(t, []*mesh.Service{service("b", 2), service("c", 1)}, "/a", "c", "/b", "b"))
		endpoints := e.next(EndpointType, "b")
		clusters := e.next(ClusterType, "c")
		e.quiet("neither is answered for")
		e.ask(EndpointType, []string{"c"}, nil)
		more := e.next(EndpointType, "c")
		e.ack(clusters)
		e.ack(more)
		e.quiet("the first endpoints are not answered for: another nonce of that type doesn't count")
		e.ack(endpoints)
		routes := e.next(RouteType, "egress")
		e.quiet("the old cluster stays until the routes are answered for")
		e.ack(routes)
		e.ack(e.next(ClusterType, "-a"))
		e.quiet("everything is there")
	})
}

func TestAPathMovesMakeBeforeBreakOverARestartOfNightjar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, _ := newTestCache(t)
		mustPublish(t, before, twoServices(t))
		held := before.targetOf(nil)
		versions := func(typeURL string) map[string]string {
			all := map[string]string{}
			for name, r := range held[typeURL] {
				all[name] = r.Version()
			}
			return all
		}
		c, _ := newTestCache(t)
		mustPublish(t, c, testMesh(t, []*mesh.Service{service("b", 1)}, "/a", "b", "/b", "b"))
		e := connectFake(t, c)
		e.ask(ClusterType, nil, versions(ClusterType))
		e.ask(EndpointType, []string{"a", "b"}, versions(EndpointType))
		e.ask(ListenerType, nil, versions(ListenerType))
		e.quiet("what the Envoy holds is not sent again, and nothing is removed before it asked for routes")
		e.ask(RouteType, []string{"egress"}, versions(RouteType))
		routes := e.next(RouteType, "egress")
		e.quiet("the old cluster stays until the routes are answered for")
		e.ack(routes)
		e.ack(e.next(ClusterType, "-a"))
		e.quiet("everything is there")
	})
}

func TestNothingIsSentWhereNothingChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTestCache(t)
		mustPublish(t, c, twoServices(t))
		e := connectFake(t, c)
		e.settle()
		mustPublish(t, c, testMesh(t, []*mesh.Service{service("b", 1), service("a", 1)}, "/b", "b", "/a", "a"))
		e.quiet("equal content has an equal version")
	})
}

func TestAChangedLiveClusterGetsItsEndpointsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTestCache(t)
		mustPublish(t, c, twoServices(t))
		e := connectFake(t, c)
		e.settle()
		changed := c.targetOf(nil)
		clusters := map[string]*Resource{"a": changed[ClusterType]["a"], "b": changed[ClusterType]["a"]}
		e2 := Resources{
			ClusterType: clusters, EndpointType: changed[EndpointType],
			RouteType: changed[RouteType], ListenerType: changed[ListenerType],
		}
		c.mu.Lock()
		for id := range c.current {
			c.current[id] = e2
		}
		s := c.streams[1]
		c.mu.Unlock()
		s.publish(func() Resources { return e2 })
		synctest.Wait()
		e.mu.Lock()
		got := e.got
		e.mu.Unlock()
		if len(got) != 2 || got[0].GetTypeUrl() != ClusterType || got[1].GetTypeUrl() != EndpointType {
			t.Fatalf("want the cluster and right behind it its endpoints, got %v", got)
		}
	})
}

func TestARefusedClusterHoldsBackOnlyWhatNeedsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, count := newTestCache(t)
		mustPublish(t, c, twoServices(t))
		e := connectFake(t, c)
		e.settle()
		services := []*mesh.Service{service("a", 1), service("b", 1), service("c", 1)}
		mustPublish(t, c, testMesh(t, services, "/a", "c", "/b", "b"))
		e.nack(e.next(ClusterType, "c"), "Error adding/updating cluster(s) c: no")
		e.quiet("the routes need the refused cluster; the old ones work on")
		if count.refused != 1 || c.LastRefusal().Name != "c" {
			t.Fatalf("refused %d, last %+v", count.refused, c.LastRefusal())
		}
		mustPublish(t, c, testMesh(t, append(services[:2:2], service("c", 2)), "/a", "c", "/b", "b"))
		e.quiet("the routes are still held back")
		mustPublish(t, c, testMesh(t, []*mesh.Service{service("a", 2), services[1], services[2]}, "/a", "c", "/b", "b"))
		e.ack(e.next(EndpointType, "a"))
		mustPublish(t, c, testMesh(t, []*mesh.Service{service("a", 2), services[1]}, "/a", "b", "/b", "b"))
		e.ack(e.next(RouteType, "egress"))
		e.ack(e.next(ClusterType, "-c"))
		e.quiet("everything is there")
	})
}

func TestARefusedRouteKeepsTheClustersItNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTestCache(t)
		mustPublish(t, c, twoServices(t))
		e := connectFake(t, c)
		e.settle()
		mustPublish(t, c, testMesh(t, []*mesh.Service{service("b", 1)}, "/b", "b"))
		e.nack(e.next(RouteType, "egress"), "no")
		e.quiet("the Envoy still routes to the cluster a")
		time.Sleep(repeatAfter - time.Millisecond)
		e.quiet("a refusal is an answer: no time-out makes it go on")
		time.Sleep(time.Millisecond)
		e.nack(e.next(RouteType, "egress"), "no")
		e.quiet("nor does a second refusal")
	})
}

func TestWithoutAnAnswerItGoesOnAfterFiveSecondsAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, count := newTestCache(t)
		mustPublish(t, c, twoServices(t))
		e := connectFake(t, c)
		e.settle()
		mustPublish(t, c, testMesh(t, []*mesh.Service{service("b", 1), service("c", 1)}, "/a", "c", "/b", "b"))
		e.next(ClusterType, "c")
		time.Sleep(answerTimeout - time.Millisecond)
		e.quiet("the time isn't over")
		time.Sleep(time.Millisecond)
		e.ack(e.next(RouteType, "egress"))
		if count.overdue != 1 {
			t.Fatalf("counted %d, want 1", count.overdue)
		}
	})
}

func TestAServiceNotReadYetKeepsWhatTheEnvoyHolds(t *testing.T) {
	for _, state := range []mesh.State{mesh.Unread, mesh.Denied} {
		synctest.Test(t, func(t *testing.T) { keepsWhatItHolds(t, state) })
	}
}

func keepsWhatItHolds(t *testing.T, state mesh.State) {
	c, _ := newTestCache(t)
	unread := &mesh.Service{Name: "a", State: state}
	mustPublish(t, c, testMesh(t, []*mesh.Service{unread, service("b", 1)}, "/a", "a", "/b", "b"))
	fresh := connectFake(t, c)
	fresh.settle()

	returning := connectFake(t, c)
	returning.ask(EndpointType, []string{"a", "b"}, map[string]string{"a": "of old", "b": "of old"})
	returning.ack(returning.next(EndpointType, "b"))
	returning.quiet("a is not read: its endpoints stay")
	mustPublish(t, c, testMesh(t, []*mesh.Service{service("a", 1), service("b", 1)}, "/a", "a", "/b", "b"))
	returning.next(EndpointType, "a")
	fresh.next(EndpointType, "a")
}

func TestANameAskedForAnewIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTestCache(t)
		mustPublish(t, c, twoServices(t))
		e := connectFake(t, c)
		e.settle()
		e.ask(EndpointType, []string{"b"}, nil)
		e.ack(e.next(EndpointType, "b"))
		e.quiet("asked once")
	})
}
