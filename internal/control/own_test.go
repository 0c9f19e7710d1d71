package control

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// startBoth runs a loop over c/a, which AWS tells of, and own-task/web, which the own task tells of.
func startBoth(t *testing.T, aws, own *world) (*Loop, *published) {
	t.Helper()
	p := &published{}
	l, err := New(Options{
		Reader: aws, Publisher: p, Observer: aws, Log: slog.New(slog.DiscardHandler), Wait: time.Second,
		Refs: []mesh.ServiceRef{{Cluster: "c", Service: "a"}},
		Own:  Source{Reader: own, Refs: []mesh.ServiceRef{{Own: true, Container: "web"}}, Wait: time.Second},
		Proxies: []mesh.Proxy{{Listeners: []mesh.Listener{{Name: "egress"}, {Name: "ingress", Direction: mesh.Ingress}}, Routes: []mesh.Route{
			{Listener: "egress", Path: "/a", Service: "c/a"}, {Listener: "ingress", Path: "/", Service: "own-task/web"},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	go l.Run(t.Context())
	synctest.Wait()
	return l, p
}

func TestAnOutageOfAWSHoldsUpNoOwnContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aws, own := &world{ports: map[string][]uint16{"c/a": {1}}, errs: map[string]error{}}, &world{ports: map[string][]uint16{}}
		_, p := startBoth(t, aws, own)
		aws.change(func() { aws.slow, aws.errs["c/a"] = time.Minute, errors.New("500") })
		rounds(2) // AWS is asked, and takes a minute
		own.change(func() { own.ports["own-task/web"] = []uint16{8080} })
		rounds(2)
		if p.serving("own-task/web") != 1 || p.serving("c/a") != 1 {
			t.Errorf("own-task/web serves %d, c/a %d; want 1 and 1", p.serving("own-task/web"), p.serving("c/a"))
		}
	})
}

func TestAnOwnContainerThatIsGoneIsBelievedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aws, own := &world{ports: map[string][]uint16{"c/a": {1}}}, &world{ports: map[string][]uint16{"own-task/web": {8080}}, certain: true}
		_, p := startBoth(t, aws, own)
		own.change(func() { delete(own.ports, "own-task/web") })
		rounds(1)
		if p.serving("own-task/web") != 0 {
			t.Error("the metadata endpoint is no eventually consistent API: it is believed at the first read")
		}
	})
}

func TestNobodyWaitsForOwnContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aws := &world{ports: map[string][]uint16{"c/a": {1}}}
		own := &world{errs: map[string]error{"own-task/web": errors.New("no endpoint")}}
		l, p := startBoth(t, aws, own)
		if len(p.all()) != 1 || p.serving("c/a") != 1 || p.serving("own-task/web") != -1 {
			t.Fatalf("%d meshes; an Envoy keeps what it has for own-task/web, and is served the rest", len(p.all()))
		}
		if s := l.Status().Services[1]; !s.Own || s.Err == nil || s.Answered {
			t.Errorf("status: %+v", s)
		}
	})
}
