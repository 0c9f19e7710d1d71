package explain

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// noon is 12:30 on a day, two hours east of Greenwich.
func noon() time.Time { return time.Date(2026, 3, 14, 12, 30, 0, 0, time.FixedZone("EET", 2*60*60)) }

func ref(service string) mesh.ServiceRef {
	return mesh.ServiceRef{Cluster: "shop", Service: service, ClusterVar: "SERVICE_ARN_1", ServiceVar: "SERVICE_ARN_1"}
}

func endpoint(n int) mesh.Endpoint {
	return mesh.Endpoint{
		Addr: netip.AddrPortFrom(netip.MustParseAddr("10.0.1.12"), uint16(n)), Task: fmt.Sprint("task", n), Health: mesh.Healthy,
		Container: "web", Port: 8080, Zone: "eu-west-1a", Revision: "orders:7", Deployment: "ecs-svc/1", Since: noon().Add(-time.Hour),
	}
}

// orders is a reading of shop/orders.
func orders(how func(*mesh.Service)) mesh.Reading {
	s := &mesh.Service{Name: "shop/orders", State: mesh.Active}
	how(s)
	return mesh.Reading{Ref: ref("orders"), Service: s}
}

// world is a world with a route to each service read.
func world(readings ...mesh.Reading) World {
	w := World{Readings: readings, Now: noon(), Proxy: mesh.Proxy{Listeners: []mesh.Listener{
		{Name: "egress", Addr: netip.MustParseAddrPort("127.0.0.1:8080")},
	}}}
	for i, r := range readings {
		w.Proxy.Routes = append(w.Proxy.Routes, mesh.Route{
			Listener: "egress", Path: "/" + r.Ref.Service, Service: r.Ref.Name(), Origin: fmt.Sprint("SERVICE_PATH_", i+1),
		})
	}
	return w
}

func text(t *testing.T, w World) string {
	t.Helper()
	got, err := Text(w)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// line is the only line of a text that has a part, its columns two spaces apart.
func line(t *testing.T, text, part string) string {
	t.Helper()
	var found []string
	for l := range strings.Lines(text) {
		if strings.Contains(l, part) {
			found = append(found, strings.Join(strings.Fields(l), " "))
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d lines have %q, want one:\n%s", len(found), part, text)
	}
	return found[0]
}

func TestATimeIsOfTheDayOrHasItsDate(t *testing.T) {
	tests := map[string]struct {
		at   time.Time
		want string
	}{
		"today":                        {noon().Add(-27 * time.Minute), " 12:03 "},
		"today, though not in UTC":     {time.Date(2026, 3, 13, 22, 5, 0, 0, time.UTC), " 00:05 "},
		"yesterday":                    {time.Date(2026, 3, 13, 21, 55, 0, 0, time.UTC), " 2026-03-13 23:55 "},
		"the same time a day before":   {noon().Add(-24 * time.Hour), " 2026-03-13 12:30 "},
		"not known: nobody can say it": {time.Time{}, " - it is PENDING"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := line(t, text(t, world(orders(func(s *mesh.Service) {
				s.Endpoints = []mesh.Endpoint{endpoint(1)}
				s.Excluded = []mesh.Excluded{{Task: "late", Reason: "it is PENDING", Since: test.at}}
			}))), "late")
			if !strings.Contains(got, test.want) {
				t.Fatalf("%q, want %q in it", got, test.want)
			}
		})
	}
}

func TestARunningNightjarKnowsWhatAWSDoesNotDate(t *testing.T) {
	w := world(orders(func(s *mesh.Service) {
		s.Excluded = []mesh.Excluded{
			{Task: "sick", Reason: "UNHEALTHY"},
			{Task: "dated", Reason: "it is to stop", Since: noon().Add(-time.Minute)},
			{Task: "other", Reason: "its container web is STOPPED"},
		}
	}))
	at := noon().Add(-2 * time.Hour)
	w.Seen = map[Sight]time.Time{
		{"shop/orders", "sick", "UNHEALTHY"}: at, {"shop/orders", "dated", "it is to stop"}: at,
		{"shop/orders", "other", "UNHEALTHY"}: at, {"shop/customers", "other", "its container web is STOPPED"}: at,
	}
	got := text(t, w)
	for task, want := range map[string]string{"sick": "10:30 UNHEALTHY", "dated": "12:29 it is to stop", "other": "- its container web is STOPPED"} {
		if l := line(t, got, task); !strings.HasSuffix(l, want) {
			t.Errorf("%q, want %q at its end", l, want)
		}
	}
}

func TestWhatCanNotBeReadHoldsBackNoOther(t *testing.T) {
	broken := mesh.Reading{Ref: ref("broken"), Err: errors.New("ecs:ListTasks:\n\taccess denied\x1b[31m")}
	got := text(t, world(broken, orders(func(s *mesh.Service) { s.Endpoints = []mesh.Endpoint{endpoint(1)} })))
	want := `shop/broken: not read
  from SERVICE_ARN_1
  egress 127.0.0.1:8080 /broken (SERVICE_PATH_1): every request
  error: ecs:ListTasks:  access denied [31m

shop/orders: active; its only task is a target
  from SERVICE_ARN_1
  egress 127.0.0.1:8080 /orders (SERVICE_PATH_2): every request

  TASK   TARGET  ADDRESS      ZONE        HEALTH   REVISION  DEPLOYMENT  SINCE  WHY
  task1  yes     10.0.1.12:1  eu-west-1a  healthy  orders:7  ecs-svc/1   11:30  RUNNING, container web:8080 HEALTHY

Can't serve as set up, or could not be read (1 of 2): shop/broken
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheOwnZonesPartIsToldOfECSServices(t *testing.T) {
	const near, off = "zone eu-west-1a: 2 of 3 endpoints are in this task's zone and take all requests while they work",
		"ZONE_AWARE=off: all zones share the requests"
	for name, test := range map[string]struct {
		zone string
		how  func(*World)
		want string
	}{
		"known":            {"eu-west-1a", func(*World) {}, near},
		"unknown":          {"", func(*World) {}, ""},
		"off":              {"", func(w *World) { w.ZonesOff = true }, off},
		"off, and no task": {"", func(w *World) { w.ZonesOff, w.Readings[0].Service.Endpoints = true, nil }, ""},
		"an own container": {"eu-west-1a", func(w *World) { w.Readings[0].Ref.Own = true }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(orders(func(s *mesh.Service) { s.Endpoints = []mesh.Endpoint{endpoint(1), endpoint(2), endpoint(3)} }))
			w.Readings[0].Service.Endpoints[2].Zone = "eu-west-1b"
			w.Proxy.Zone = test.zone
			test.how(&w)
			if got := strings.Join(zoneOf(w, w.Readings[0]), "\n"); got != test.want {
				t.Errorf("%q", got)
			}
			if test.want != "" {
				line(t, text(t, w), test.want)
			}
		})
	}
}

func TestTroubleIsWhatSomebodyHasToMend(t *testing.T) {
	served := func(s *mesh.Service) { s.Endpoints = []mesh.Endpoint{endpoint(1)} }
	tests := map[string]struct {
		reading mesh.Reading
		want    bool
	}{
		"not read":                      {mesh.Reading{Ref: ref("orders"), Err: errors.New("throttled")}, true},
		"a problem, and nothing serves": {orders(func(s *mesh.Service) { s.Problem = "two containers" }), true},
		"a problem beside targets":      {orders(func(s *mesh.Service) { served(s); s.Problem = "two containers" }), false},
		"nothing to serve yet":          {orders(func(s *mesh.Service) { s.Excluded = []mesh.Excluded{{Task: "t", Reason: "it is PENDING"}} }), false},
		"serves":                        {orders(served), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := len(Trouble([]mesh.Reading{test.reading})) > 0; got != test.want {
				t.Fatalf("%t, want %t", got, test.want)
			}
		})
	}
}

func TestThreeHundredTasksAreInLine(t *testing.T) {
	got := text(t, world(orders(func(s *mesh.Service) {
		for n := range 300 {
			s.Endpoints = append(s.Endpoints, endpoint(n*7+1))
			s.Excluded = append(s.Excluded, mesh.Excluded{Task: strings.Repeat("x", n%32+1), Zone: "eu-south-21b", Reason: "WHY not"})
		}
	})))
	columns := map[int]int{}
	for l := range strings.Lines(got) {
		if i := max(strings.Index(l, "WHY"), strings.Index(l, "RUNNING")); i >= 0 {
			columns[i]++
		}
		if strings.TrimRight(l, " \n") != strings.TrimRight(l, "\n") {
			t.Errorf("a line ends with spaces: %q", l)
		}
	}
	if got := slices.Collect(maps.Values(columns)); !slices.Equal(got, []int{601}) {
		t.Errorf("the last column begins at %v; want one place for the head and 600 tasks", columns)
	}
}

func TestSharesByWeightAreThoseOfNow(t *testing.T) {
	const served, empty, unread = "served", "empty", "unread"
	tests := map[string]struct {
		weights []uint32
		states  []string
		want    []string
	}{
		"all serve": {[]uint32{1, 2}, []string{served, served}, []string{"33.3 % of the requests (weight 1 of 3)", "66.7 % of the requests (weight 2 of 3)"}},
		"one has nothing": {[]uint32{1, 2, 1}, []string{served, empty, served}, []string{
			"50 % of the requests (weight 1 of 2)", "no request: it has nothing to serve, and the others take its share (its weight is 2)",
			"50 % of the requests (weight 1 of 2)",
		}},
		"none has anything": {[]uint32{1, 3}, []string{empty, empty}, []string{
			"25 % of the requests (weight 1 of 4), answered with 503", "75 % of the requests (weight 3 of 4), answered with 503",
		}},
		"a weight of 0":                          {[]uint32{0, 3}, []string{empty, served}, []string{"no request: its weight is 0", "100 % of the requests (weight 3 of 3)"}},
		"what could not be read keeps its share": {[]uint32{1, 3}, []string{unread, served}, []string{"25 % of the requests (weight 1 of 4)", "75 % of the requests (weight 3 of 4)"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var readings []mesh.Reading
			for i, state := range test.states {
				r := mesh.Reading{Ref: ref(fmt.Sprint("s", i))}
				switch r.Service = (&mesh.Service{Name: r.Ref.Name(), State: mesh.Active}); state {
				case served:
					r.Service.Endpoints = []mesh.Endpoint{endpoint(i + 1)}
				case unread:
					r.Service, r.Err = nil, errors.New("throttled")
				}
				readings = append(readings, r)
			}
			w := world(readings...)
			for i, weight := range test.weights {
				w.Proxy.Routes[i].Path, w.Proxy.Routes[i].Weighted, w.Proxy.Routes[i].Weight = "/all", true, weight
			}
			got := text(t, w)
			for i, want := range test.want {
				want = fmt.Sprintf("egress 127.0.0.1:8080 /all (SERVICE_PATH_%d): %s", i+1, want)
				if l := line(t, got, fmt.Sprintf("(SERVICE_PATH_%d)", i+1)); l != want {
					t.Errorf("%q, want %q", l, want)
				}
			}
		})
	}
}

func TestWhyATaskIsATarget(t *testing.T) {
	tests := map[string]struct {
		own  bool
		how  func(*mesh.Endpoint)
		want string
	}{
		"healthy":                    {false, func(*mesh.Endpoint) {}, "RUNNING, container web:8080 HEALTHY"},
		"no health check":            {false, func(e *mesh.Endpoint) { e.Health = mesh.HealthUnknown }, "RUNNING, container web:8080, no health check or no result yet"},
		"as all are":                 {false, func(e *mesh.Endpoint) { e.Health = mesh.Unhealthy }, "RUNNING, container web:8080 UNHEALTHY, as all are"},
		"the port alone decides":     {false, func(e *mesh.Endpoint) { e.Container, e.Health = "", mesh.HealthUnknown }, "RUNNING, container port 8080, no health check or no result yet"},
		"an own container":           {true, func(e *mesh.Endpoint) { e.Health = mesh.HealthUnknown }, "container web:8080, no health check or no result yet; Envoy checks its port"},
		"a closed own container":     {true, func(e *mesh.Endpoint) { e.Health = mesh.Closed }, "container web:8080, and nothing listens at 10.0.1.12:1: is CONTAINER_PORT_1 right, and is the app up?"},
		"an unhealthy own container": {true, func(e *mesh.Endpoint) { e.Health = mesh.Unhealthy }, "container web:8080 UNHEALTHY; there is no other"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := endpoint(1)
			test.how(&e)
			r := orders(func(s *mesh.Service) { s.Endpoints = []mesh.Endpoint{e} })
			if test.own {
				r.Ref = mesh.ServiceRef{Own: true, Container: "web", ContainerVar: "CONTAINER_NAME_1", PortVar: "CONTAINER_PORT_1"}
				r.Service.Name = r.Ref.Name()
			}
			if l := line(t, text(t, world(r)), "task1"); !strings.HasSuffix(l, "11:30 "+test.want) {
				t.Fatalf("%q, want %q", l, test.want)
			}
		})
	}
}
