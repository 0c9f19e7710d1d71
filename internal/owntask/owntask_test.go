package owntask

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

func network(mode string, addresses ...string) []taskmeta.Network {
	return []taskmeta.Network{{NetworkMode: mode, IPv4Addresses: addresses}}
}

func ref(port uint16) mesh.ServiceRef {
	return mesh.ServiceRef{Own: true, Container: "web", Port: port, ContainerVar: "CONTAINER_NAME_1", PortVar: "CONTAINER_PORT_1"}
}

// task is a task of the containers given, which the endpoint tells of.
func task(containers ...taskmeta.Container) *taskmeta.Task {
	return &taskmeta.Task{
		TaskARN: "arn:aws:ecs:eu-west-1:111122223333:task/shop/0123", Family: "web", Revision: "7", AvailabilityZone: "eu-west-1a",
		Own: taskmeta.Container{Name: "nightjar", Networks: containers[0].Networks}, Containers: containers,
	}
}

func read(t *testing.T, targets *Targets, r mesh.ServiceRef, own *taskmeta.Task) *mesh.Service {
	t.Helper()
	reader := &Reader{Fetch: func(context.Context) (*taskmeta.Task, error) { return own, nil }, Targets: targets}
	readings := reader.Read(t.Context(), []mesh.ServiceRef{r})
	if len(readings) != 1 || readings[0].Err != nil || !readings[0].Certain || readings[0].Service.Name != r.Name() {
		t.Fatalf("%+v", readings)
	}
	return readings[0].Service
}

// TestAContainerAtAPortOfEnvoysIsNotReached has the task tell the port that Envoy listens at: a request would never end.
func TestAContainerAtAPortOfEnvoysIsNotReached(t *testing.T) {
	web := taskmeta.Container{Name: "web", KnownStatus: "RUNNING", Networks: network("awsvpc", "10.0.0.5"), Ports: []taskmeta.Port{{ContainerPort: 3000}}}
	reader := &Reader{
		Fetch: func(context.Context) (*taskmeta.Task, error) { return task(web), nil }, Taken: map[uint16]string{3000: "INGRESS_LISTEN_PORT"},
	}
	const want = "the port 3000 of the container web is INGRESS_LISTEN_PORT's too, so that Envoy would call itself: change INGRESS_LISTEN_PORT, " +
		"or the container's port"
	if s := reader.Read(t.Context(), []mesh.ServiceRef{ref(0)})[0].Service; len(s.Endpoints) > 0 || s.Problem != want {
		t.Errorf("%+v", s)
	}
}

func TestWhereAnOwnContainerIsReached(t *testing.T) {
	port := func(n uint16, protocol string) taskmeta.Port {
		return taskmeta.Port{ContainerPort: n, Protocol: protocol}
	}
	web := func(networks []taskmeta.Network, ports ...taskmeta.Port) taskmeta.Container {
		return taskmeta.Container{Name: "web", KnownStatus: "RUNNING", Networks: networks, Ports: ports}
	}
	stopped, created := web(network("bridge", "172.17.0.4")), web(network("bridge"))
	stopped.KnownStatus, created.KnownStatus = "STOPPED", "CREATED"
	tests := map[string]struct {
		port      uint16
		container taskmeta.Container
		at        string // or else
		reason    string
	}{
		"awsvpc":                          {8080, web(network("awsvpc", "10.0.0.5")), "127.0.0.1:8080", ""},
		"host":                            {8080, web(network("host")), "127.0.0.1:8080", ""},
		"bridge, unpublished":             {8080, web(network("bridge", "172.17.0.4")), "172.17.0.4:8080", ""},
		"a network of the user's":         {8080, web(network("mine", "172.20.0.4")), "172.20.0.4:8080", ""},
		"no mode told: as awsvpc":         {8080, web(nil), "127.0.0.1:8080", ""},
		"the one port that is shown":      {0, web(network("bridge", "172.17.0.4"), port(9000, "tcp"), port(53, "udp"), port(9000, "tcp")), "172.17.0.4:9000", ""},
		"the port that is set goes first": {8080, web(network("bridge", "172.17.0.4"), port(9000, "tcp")), "172.17.0.4:8080", ""},
		"several ports":                   {0, web(network("bridge", "172.17.0.4"), port(9000, "tcp"), port(80, "")), "", "the container web has the ports [80 9000]: set CONTAINER_PORT_1 to one of them"},
		"no port":                         {0, web(network("awsvpc", "10.0.0.5")), "", "shows no tcp port of the container web: set CONTAINER_PORT_1"},
		"stopped":                         {8080, stopped, "", "its container web is STOPPED"},
		"created, without an address":     {8080, created, "", "its container web has no address yet"},
		"an address that is none":         {8080, web(network("bridge", "nonsense", "0.0.0.0")), "", "has no address yet"},
		"not created yet":                 {8080, taskmeta.Container{Name: "other", Networks: network("host")}, "", "its container web is not created yet, or no container has that name (CONTAINER_NAME_1)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := read(t, nil, ref(test.port), task(test.container))
			switch {
			case test.at != "" && (len(s.Endpoints) != 1 || s.Endpoints[0].Addr.String() != test.at || len(s.Excluded) > 0):
				t.Errorf("%+v", s)
			case test.at == "" && (len(s.Endpoints) > 0 || len(s.Excluded) != 1 || !strings.Contains(s.Excluded[0].Reason, test.reason)):
				t.Errorf("%+v", s)
			}
			if asked := strings.Contains(test.reason, "CONTAINER_PORT_1"); asked != (s.Problem != "") {
				t.Errorf("problem: %q", s.Problem)
			}
		})
	}
}

func TestTheHealthOfAnOwnContainerIsItsOwn(t *testing.T) {
	for word, want := range map[string]mesh.Health{"HEALTHY": mesh.Healthy, "UNHEALTHY": mesh.Unhealthy, "UNKNOWN": mesh.HealthUnknown, "": mesh.HealthUnknown} {
		c := taskmeta.Container{Name: "web", Networks: network("host"), Health: taskmeta.Health{Status: word}, StartedAt: "2026-11-24T10:00:00.5Z"}
		if got := read(t, nil, ref(8080), task(c)).Endpoints[0]; got.Health != want || got.Task != "0123" || got.Zone != "eu-west-1a" || got.Revision != "web:7" ||
			got.Since.Format(time.TimeOnly) != "10:00:00" {
			t.Errorf("%s: %+v", word, got)
		}
	}
}

func TestAnEndpointThatFailsIsAnErrorForAll(t *testing.T) {
	broken := errors.New("no answer")
	reader := &Reader{Fetch: func(context.Context) (*taskmeta.Task, error) { return nil, broken }}
	readings := reader.Read(t.Context(), []mesh.ServiceRef{ref(1), ref(2)})
	for _, r := range readings {
		if !errors.Is(r.Err, broken) || r.Service != nil {
			t.Errorf("%+v", r)
		}
	}
	if len(readings) != 2 {
		t.Error(readings)
	}
}

func TestATargetGroupNamesThePortThatNothingElseTells(t *testing.T) {
	c := taskmeta.Container{Name: "web", Networks: network("awsvpc", "10.0.0.5")}
	tests := map[string]struct {
		named  []Target
		err    error
		at     string
		reason string
	}{
		"one":           {[]Target{{"web", 8080}, {"web", 8080}, {"other", 1}}, nil, "127.0.0.1:8080", ""},
		"several":       {[]Target{{"web", 9000}, {"web", 8080}}, nil, "", "target groups name the ports [8080 9000] of the container web: set CONTAINER_PORT_1"},
		"none":          {nil, nil, "", "and no target group of the own service names one: set CONTAINER_PORT_1"},
		"AWS is denied": {nil, errors.New("access denied"), "", "and AWS can't be asked for its target groups (access denied): set CONTAINER_PORT_1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				targets := &Targets{Ask: func(context.Context) ([]Target, error) {
					time.Sleep(20 * time.Second)
					return test.named, test.err
				}}
				begin := time.Now()
				if s := read(t, targets, ref(0), task(c)); !strings.Contains(s.Problem, "AWS has not told yet") || time.Since(begin) > 0 {
					t.Errorf("the first reading waits for nobody: %+v after %s", s, time.Since(begin))
				}
				if len(test.named) > 1 {
					time.Sleep(time.Minute) // the answer is there before anybody waits for it
				}
				if !targets.Settle(t.Context()) || targets.Settle(t.Context()) {
					t.Error("there is one question to settle")
				}
				s := read(t, targets, ref(0), task(c))
				if test.at != "" && (len(s.Endpoints) != 1 || s.Endpoints[0].Addr.String() != test.at) || !strings.Contains(s.Problem, test.reason) {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestTargetGroupsAreAskedForSeldomAndKeptOverAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, fails := 0, false
		targets := &Targets{Ask: func(context.Context) ([]Target, error) {
			if asked++; fails {
				return nil, errors.New("throttled")
			}
			return []Target{{"web", 8080}}, nil
		}}
		c := taskmeta.Container{Name: "web", Networks: network("awsvpc", "10.0.0.5")}
		for range 3600 { // an hour, in which AWS fails after the first minute
			read(t, targets, ref(0), task(c))
			synctest.Wait()
			fails = fails || time.Now().Second() == 59
			time.Sleep(time.Second)
		}
		if s := read(t, targets, ref(0), task(c)); len(s.Endpoints) != 1 {
			t.Errorf("what was known is lost: %+v", s)
		}
		synctest.Wait()
		if asked < 100 || asked > 360 {
			t.Errorf("asked %d times in an hour of which 55 minutes fail", asked)
		}
	})
}
