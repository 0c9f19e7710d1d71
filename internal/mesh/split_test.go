package mesh

import (
	"net/netip"
	"slices"
	"testing"
)

// sharing is a mesh in which services share the path /web by weight; those with true serve.
func sharing(t *testing.T, weights map[string]uint32, serves map[string]bool) *Mesh {
	t.Helper()
	var services []*Service
	p := Proxy{Listeners: []Listener{{Name: "egress"}}}
	for name, weight := range weights {
		s := &Service{Name: name, State: Active}
		if serves[name] {
			s.Endpoints = []Endpoint{{Addr: netip.MustParseAddrPort("10.0.0.1:1")}}
		}
		services = append(services, s)
		p.Routes = append(p.Routes, Route{Listener: "egress", Path: "/web", Service: name, Weighted: true, Weight: weight})
	}
	m, err := New(services, []Proxy{p})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAServiceWithNothingToServePassesItsShareOn(t *testing.T) {
	weights := map[string]uint32{"a": 9, "b": 1, "c": 0}
	tests := map[string]struct {
		serves []string
		want   [3]uint32
	}{
		"all serve":                          {[]string{"a", "b", "c"}, [3]uint32{9, 1, 0}},
		"one is empty":                       {[]string{"b", "c"}, [3]uint32{0, 1, 0}},
		"the other is empty":                 {[]string{"a"}, [3]uint32{9, 0, 0}},
		"only that with weight 0 has any":    {[]string{"c"}, [3]uint32{9, 1, 0}},
		"none has any: as it was set":        {nil, [3]uint32{9, 1, 0}},
		"a weight of 0 that is empty is set": {[]string{"a", "b"}, [3]uint32{9, 1, 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			serves := map[string]bool{}
			for _, s := range test.serves {
				serves[s] = true
			}
			m := sharing(t, weights, serves)
			splits := m.Splits(m.Proxies[0])
			if len(splits) != 1 || len(splits[0].Shares) != 3 {
				t.Fatalf("%+v", splits)
			}
			for i, share := range splits[0].Shares {
				if share.Weight != test.want[i] || share.PassedOn != (test.want[i] == 0 && weights[share.Service] > 0) {
					t.Errorf("%+v, want weight %d", share, test.want[i])
				}
			}
		})
	}
}

func TestThatAShareIsPassedOnIsSaidOnceAndThatItIsBack(t *testing.T) {
	weights := map[string]uint32{"a": 9, "b": 1}
	both, one := sharing(t, weights, map[string]bool{"a": true, "b": true}), sharing(t, weights, map[string]bool{"b": true})
	for name, test := range map[string]struct {
		before, after *Mesh
		want          []string
	}{
		"gone":  {both, one, []string{"egress /web: a has nothing to serve; the others take its share"}},
		"still": {one, one, nil},
		"back":  {one, both, []string{"egress /web: a has its share again"}},
		"first": {nil, one, []string{"egress /web: a has nothing to serve; the others take its share"}},
	} {
		if got := DiffShares(test.before, test.after); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestConflictsOfPolicies(t *testing.T) {
	route := func(path, service string, p Policy, weighted bool) Route {
		return Route{Listener: "egress", Path: path, Service: service, Policy: p, Weighted: weighted, Weight: 1, Origin: service + path}
	}
	for name, test := range map[string]struct {
		routes []Route
		fatal  []bool
	}{
		"shared by weight":               {[]Route{route("/", "a", Policy{}, false), route("/", "b", Policy{}, true)}, nil},
		"shared without":                 {[]Route{route("/", "a", Policy{}, false), route("/", "b", Policy{}, false)}, []bool{true}},
		"shared with other retries":      {[]Route{route("/", "a", Policy{}, true), route("/", "b", Policy{Retries: 1}, true)}, []bool{true}},
		"shared with other protocols":    {[]Route{route("/", "a", Policy{}, true), route("/", "b", Policy{Protocol: HTTP2}, true)}, nil},
		"one service, other protocols":   {[]Route{route("/", "a", Policy{}, false), route("/x", "a", Policy{Protocol: HTTP2}, false)}, []bool{true}},
		"one service, other time-outs":   {[]Route{route("/", "a", Policy{}, false), route("/x", "a", Policy{Timeout: 1}, false)}, nil},
		"the same twice, though weighed": {[]Route{route("/", "a", Policy{}, true), route("/", "a", Policy{}, true)}, []bool{false}},
	} {
		t.Run(name, func(t *testing.T) {
			var fatal []bool
			for _, c := range Conflicts(test.routes) {
				fatal = append(fatal, c.Fatal)
			}
			if !slices.Equal(fatal, test.fatal) {
				t.Errorf("%v, want %v", fatal, test.fatal)
			}
		})
	}
}
