package mesh

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRoutesAreTriedLongestFirstWhateverTheirOrder(t *testing.T) {
	given := []Route{
		{Listener: "egress", Path: "/", Service: "c/root"},
		{Listener: "egress", Path: "/api", Service: "c/api"},
		{Listener: "egress", Path: "/api/v2", Service: "c/two"},
		{Listener: "egress", Path: "/api/", Service: "c/below"},
		{Listener: "another", Path: "/", Service: "c/root"},
		{Listener: "egress", Path: "/api", Service: "c/api", Origin: "again"},
	}
	var got []string
	for _, r := range InMatchOrder(given) {
		got = append(got, r.Listener+r.Path)
	}
	want := []string{"another/", "egress/api/v2", "egress/api/", "egress/api", "egress/"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestAMeshThatContradictsItselfIsRefused(t *testing.T) {
	listeners := []Listener{{Name: "egress"}}
	tests := map[string]struct {
		services []string
		routes   []Route
		want     string
	}{
		"two services of one name": {services: []string{"c/a", "c/a"}, want: "c/a is there twice"},
		"route to nowhere": {
			routes: []Route{{Listener: "egress", Path: "/x", Service: "c/a", Origin: "SERVICE_PATH_1"}},
			want:   "the route /x (SERVICE_PATH_1) goes to the service c/a, which is not there",
		},
		"route on no listener": {
			services: []string{"c/a"}, routes: []Route{{Listener: "ingress", Path: "/x", Service: "c/a"}},
			want: `on the listener "ingress", which is not there`,
		},
		"one path for two services": {
			services: []string{"c/a", "c/b"},
			routes: []Route{
				{Listener: "egress", Path: "/x", Service: "c/a", Origin: "SERVICE_PATH_1"},
				{Listener: "egress", Path: "/x", Service: "c/b", Origin: "SERVICE_PATH_2"},
			},
			want: "the path /x is given to two services: c/a by SERVICE_PATH_1 and c/b by SERVICE_PATH_2",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var services []*Service
			for _, s := range test.services {
				services = append(services, &Service{Name: s})
			}
			_, err := New(services, []Proxy{{Listeners: listeners, Routes: test.routes}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestADiffReadsWellInALogLine(t *testing.T) {
	service := func(name string, ports ...uint16) *Service {
		s := &Service{Name: name, State: Active}
		for _, p := range ports {
			s.Endpoints = append(s.Endpoints, Endpoint{Addr: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), p)})
		}
		return s
	}
	doubt := &Service{Name: "doubt", State: Active, Problem: "two containers; set SERVICE_CONTAINER_2"}
	tests := map[string]struct {
		before, after []*Service
		want          []string
	}{
		"first":           {nil, []*Service{service("orders", 1, 2)}, []string{"orders: +2 endpoints, 2 serving"}},
		"swap":            {[]*Service{service("orders", 1, 2, 3)}, []*Service{service("orders", 2, 3, 4, 5)}, []string{"orders: +2 −1 endpoints, 4 serving"}},
		"nothing":         {[]*Service{service("orders", 1)}, []*Service{service("orders", 1)}, nil},
		"problem":         {[]*Service{service("doubt")}, []*Service{doubt}, []string{"doubt: 0 serving; two containers; set SERVICE_CONTAINER_2"}},
		"problem is gone": {[]*Service{doubt}, []*Service{service("doubt", 1)}, []string{"doubt: +1 endpoints, 1 serving; the problem is gone"}},
		"deleted":         {[]*Service{service("orders", 1)}, []*Service{{Name: "orders", State: Inactive}}, []string{"orders: −1 endpoints, 0 serving; inactive"}},
		"no longer asked": {[]*Service{service("orders", 1)}, nil, []string{"orders: −1 endpoints, 0 serving; no longer routed to"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, _ := New(test.before, nil)
			after, _ := New(test.after, nil)
			var got []string
			for _, c := range Diff(before, after) {
				got = append(got, c.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestAServicesNameComesFromSettingsAlone(t *testing.T) {
	tests := map[string]ServiceRef{
		"c1/orders":          {Cluster: "c1", Service: "orders", ContainerVar: "SERVICE_CONTAINER_1"},
		"c1/orders/web":      {Cluster: "c1", Service: "orders", Container: "web"},
		"c1/orders:8080":     {Cluster: "c1", Service: "orders", Port: 8080},
		"c1/orders/web:8080": {Cluster: "c1", Service: "orders", Container: "web", Port: 8080},
	}
	for want, ref := range tests {
		if got := ref.Name(); got != want {
			t.Errorf("%+v: %q, want %q", ref, got, want)
		}
	}
}

// Since when a task is excluded may be known to one and not to the other.
func TestServicesAreEqualThatSayTheSame(t *testing.T) {
	service := func(how func(*Service)) *Service {
		s := &Service{
			Name: "c1/web", State: Active, Endpoints: []Endpoint{{Task: "t1", Since: time.Unix(1, 0)}},
			Excluded: []Excluded{{Task: "t2", Reason: "it is PENDING"}},
		}
		how(s)
		return s
	}
	tests := map[string]struct {
		how   func(*Service)
		equal bool
	}{
		"the same":                {func(*Service) {}, true},
		"excluded since":          {func(s *Service) { s.Excluded[0].Since = time.Unix(1, 0) }, true},
		"another name":            {func(s *Service) { s.Name = "c1/api" }, false},
		"another state":           {func(s *Service) { s.State = Inactive }, false},
		"a problem":               {func(s *Service) { s.Problem = "two containers" }, false},
		"a reason to be empty":    {func(s *Service) { s.Empty = "its desired count is 0" }, false},
		"another task":            {func(s *Service) { s.Endpoints[0].Task = "t3" }, false},
		"an endpoint since":       {func(s *Service) { s.Endpoints[0].Since = time.Unix(2, 0) }, false},
		"another task excluded":   {func(s *Service) { s.Excluded[0].Task = "t3" }, false},
		"another reason":          {func(s *Service) { s.Excluded[0].Reason = "it is to stop" }, false},
		"one more that is no one": {func(s *Service) { s.Excluded = append(s.Excluded, Excluded{}) }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := service(func(*Service) {}).Equal(service(test.how)); got != test.equal {
				t.Fatalf("equal: %t, want %t", got, test.equal)
			}
		})
	}
}

func TestAServiceThatComesToServeNothingIsMarked(t *testing.T) {
	at := func(ports ...uint16) []Endpoint {
		var all []Endpoint
		for _, p := range ports {
			all = append(all, Endpoint{Addr: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), p)})
		}
		return all
	}
	unread, empty := &Service{Name: "c/a"}, &Service{Name: "c/a", State: Active}
	missing := &Service{Name: "c/a", State: Missing, Problem: "check SERVICE_ARN_1"}
	serving := &Service{Name: "c/a", State: Active, Endpoints: at(1, 2)}
	tests := map[string]struct {
		before, after *Service
		ceased        bool
	}{
		"the last ones went":       {serving, empty, true},
		"it was deleted":           {serving, missing, true},
		"it was never there":       {unread, missing, true},
		"one went":                 {serving, &Service{Name: "c/a", State: Active, Endpoints: at(1)}, false},
		"back again":               {empty, serving, false},
		"it served nothing before": {empty, missing, false},
	}
	for name, test := range tests {
		changes := Diff(&Mesh{Services: []*Service{test.before}}, &Mesh{Services: []*Service{test.after}})
		if len(changes) != 1 || changes[0].Ceased != test.ceased {
			t.Errorf("%s: %+v", name, changes)
		}
	}
}
