package admin

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/control"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// well is a nightjar in which so many services are as they should be.
func well(services int) *known {
	now := time.Now()
	k := &known{accepted: true, nodes: []xds.Node{{ID: "task/1", Since: now, Current: true}}, status: control.Status{
		Started: now.Add(-time.Hour), Proxies: []mesh.Proxy{{Listeners: []mesh.Listener{{Name: "egress"}}}},
	}}
	for n := range services {
		name := fmt.Sprintf("c1/s%03d", n)
		k.status.Services = append(k.status.Services, control.ServiceStatus{Answered: true, ReadAt: now, ChangedAt: now, Service: &mesh.Service{
			Name: name, State: mesh.Active, Endpoints: []mesh.Endpoint{{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 80), Task: fmt.Sprintf("task%03d", n)}},
		}})
		k.status.Proxies[0].Routes = append(k.status.Proxies[0].Routes, mesh.Route{Listener: "egress", Path: "/" + name, Service: name})
	}
	return k
}

// kinds are the levels and kinds of findings.
func kinds(found []Finding) []string {
	words := []string{}
	for _, f := range found {
		words = append(words, f.Level+" "+f.Kind)
	}
	return words
}

func TestNothingNeedsAttentionWhereAllIsWell(t *testing.T) {
	k := well(3)
	// What every deployment does is no reason to look.
	k.status.Services[0].Service.Excluded = []mesh.Excluded{{Task: "a", Reason: "it is PENDING", Since: time.Now().Add(-time.Minute)}, {Task: "b", Reason: "it is to stop"}}
	k.nodes[0].Current, k.nodes[0].PendingSince = false, time.Now().Add(-2*time.Second)
	r := serverOf(k).Report()
	if len(r.Attention) != 0 || r.Attention == nil {
		t.Errorf("%+v", r.Attention)
	}
	if text := r.Text(TextOptions{}); !strings.HasPrefix(text, "nightjar is ready; nothing needs attention\n") {
		t.Errorf("%s", text)
	}
}

func TestACauseThatStrikesManyServicesIsSaidOnceSinceItBegan(t *testing.T) {
	k := well(500)
	began := time.Now().Add(-time.Hour)
	for i := range k.status.Services {
		k.status.Services[i].Err, k.status.Services[i].FailingSince = errors.New("AWS can't be reached"), began.Add(time.Duration(500-i)*time.Second)
	}
	found := serverOf(k).Report().Attention
	if len(found) != 1 || found[0].Kind != "cannot_read" || len(found[0].Services) != 500 || !found[0].Since.Equal(began.Add(time.Second)) {
		t.Fatalf("%d: %+v", len(found), found[0])
	}
	if about := found[0].about(); about != "c1/s000, c1/s001, c1/s002, c1/s003, c1/s004 and 495 more" {
		t.Errorf("%q", about)
	}
}

// closedSince has the first service be an own container that began then, and at whose port nothing listens.
func closedSince(start time.Time) func(*known) {
	return func(k *known) {
		s := &k.status.Services[0]
		s.Own, s.Service.Endpoints[0].Health, s.Service.Endpoints[0].Since = true, mesh.Closed, start
	}
}

func TestAClosedPortIsToldWithItsSettingSinceItIs(t *testing.T) {
	k := well(2)
	since := time.Now().Add(-time.Minute).UTC()
	closedSince(time.Now().Add(-time.Hour))(k)
	k.status.Services[0].ChangedAt, k.status.Proxies[0].Routes[0].Origin = since, "CONTAINER_PATH_1"
	found := serverOf(k).Report().Attention
	if len(found) != 1 || !strings.HasPrefix(found[0].What, "Nothing listens at 10.0.0.0:80: its paths answer 503") ||
		found[0].Do != "Is CONTAINER_PORT_1 right, and is the app up?" || !found[0].Since.Equal(since) {
		t.Errorf("%+v", found)
	}
}

func TestWhatNeedsAttentionFollowsFromWhatItMeans(t *testing.T) {
	long := time.Now().Add(-10 * time.Minute)
	first := func(k *known) *mesh.Service { return k.status.Services[0].Service }
	tests := map[string]struct {
		change func(*known)
		want   []string
	}{
		"a problem, and tasks that serve": {func(k *known) { first(k).Problem = "set SERVICE_PORT_1" }, []string{"warning setting"}},
		"a problem, and none that serves": {func(k *known) { first(k).Problem, first(k).Endpoints = "set SERVICE_PORT_1", nil }, []string{"error setting"}},
		"nothing serves":                  {func(k *known) { first(k).Endpoints = nil }, []string{"error nothing_serves"}},
		"nothing serves, and nothing is sent there": {func(k *known) {
			first(k).Endpoints = nil
			routes := k.status.Proxies[0].Routes
			routes[0].Weighted = true // of 0
			routes[1].Path = routes[0].Path
		}, []string{}},
		"nothing serves, and another takes its share": {func(k *known) {
			first(k).Endpoints = nil
			routes := k.status.Proxies[0].Routes
			routes[0].Weighted, routes[0].Weight = true, 5
			routes[1].Path = routes[0].Path
		}, []string{"warning share_passed_on"}},
		"all unhealthy":       {func(k *known) { first(k).Endpoints[0].Health = mesh.Unhealthy }, []string{"error all_unhealthy"}},
		"nothing listens":     {closedSince(long), []string{"error closed"}},
		"nothing listens yet": {closedSince(time.Now().Add(-2 * time.Second)), []string{"note closed"}},
		"nothing listens, started nobody knows when": {func(k *known) {
			closedSince(time.Time{})(k)
			k.status.Services[0].ChangedAt = long
		}, []string{"error closed"}},
		"excluded for long":                       {func(k *known) { first(k).Excluded = []mesh.Excluded{{Task: "a", Reason: "no address", Since: long}} }, []string{"note excluded"}},
		"an old reading":                          {func(k *known) { k.status.Services[0].ReadAt = long }, []string{"warning old_reading"}},
		"an old reading, a slow pace":             {func(k *known) { k.status.Services[0].ReadAt, k.pace.Quiet = long, 5*time.Minute }, []string{}},
		"the own task's reading is nobody's pace": {func(k *known) { k.status.Services[0].ReadAt, k.status.Services[0].Own = long, true }, []string{}},
		"no acknowledgement":                      {func(k *known) { k.nodes[0].Current, k.nodes[0].PendingSince = false, long }, []string{"error not_acknowledged"}},
		"a refusal, which is why it has not acknowledged": {func(k *known) {
			k.nodes[0].Current, k.nodes[0].PendingSince = false, long
			k.nodes[0].Refused = []xds.Refusal{{Type: "route", Name: "egress", Message: "no"}}
		}, []string{"error refused"}},
		"denied, with its error": {func(k *known) {
			first(k).State, first(k).Problem, k.status.Services[0].Err = mesh.Denied, "add ecs:ListTasks", errors.New("add ecs:ListTasks")
		}, []string{"error denied"}},
		"the worst first": {func(k *known) {
			first(k).Problem = "set SERVICE_PORT_1"
			k.status.Services[1].Service.Endpoints = nil
		}, []string{"error nothing_serves", "warning setting"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := well(2)
			test.change(k)
			if found := serverOf(k).Report().Attention; !slices.Equal(kinds(found), test.want) {
				t.Errorf("%q, want %q", kinds(found), test.want)
			}
		})
	}
}

func TestAnEmptyServiceSaysWhyRatherThanWhereToLook(t *testing.T) {
	k := well(1)
	s := k.status.Services[0].Service
	s.Endpoints, s.Empty = nil, "ECS lists none of the 2 tasks that it is to run (unable to place a task)"
	found := serverOf(k).Report().Attention
	if len(found) != 1 || !strings.HasSuffix(found[0].What, "503: "+s.Empty) || found[0].Do != "" {
		t.Errorf("%+v", found)
	}
	s.Empty = ""
	found = serverOf(k).Report().Attention
	if len(found) != 1 || !strings.HasSuffix(found[0].What, "it has no task.") || !strings.Contains(found[0].Do, "desired count") {
		t.Errorf("%+v", found)
	}
}

func TestWithoutAnEnvoyItSaysWhatItFoundWhereItAsked(t *testing.T) {
	for _, ready := range []bool{true, false} {
		k := well(1)
		k.nodes, k.accepted = nil, ready
		s := serverOf(k)
		found := s.Report().Attention
		if len(found) != 1 || found[0].Level != levelError || !strings.Contains(found[0].Do, "nightjar bootstrap") {
			t.Errorf("%+v", found)
		}
		k.note = "Envoy runs at 127.0.0.1:9901, and its bootstrap dials 127.0.0.1:9999"
		if found := s.Report().Attention; len(found) != 1 || found[0].Do != k.note {
			t.Errorf("%+v", found)
		}
		s.EnvoyNote = nil
		if found := s.Report().Attention; len(found) != 1 {
			t.Errorf("%+v", found)
		}
	}
}

func TestSharesAreThoseOfNow(t *testing.T) {
	k := well(3)
	for i := range k.status.Proxies[0].Routes {
		r := &k.status.Proxies[0].Routes[i]
		r.Path, r.Weighted, r.Weight = "/", true, uint32(i+1)
	}
	shares := func() string {
		text := ""
		for _, r := range serverOf(k).Report().Routes {
			text += fmt.Sprintf("%s %d %s; ", r.Service, *r.Weight, percent(r.Share))
			if r.PassedOn != (r.Share == 0) {
				t.Errorf("%+v", r)
			}
		}
		return text
	}
	if got, want := shares(), "c1/s000 1 16.7 %; c1/s001 2 33.3 %; c1/s002 3 50 %; "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	k.status.Services[2].Service.Endpoints = nil
	if got, want := shares(), "c1/s000 1 33.3 %; c1/s001 2 66.7 %; c1/s002 3 0 %; "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestWhatAnEnvoySaysIsBounded(t *testing.T) {
	k := well(1)
	long := strings.Repeat("ü", 1<<20)
	k.nodes[0].ID, k.nodes[0].Refused = long, []xds.Refusal{{Type: "cluster", Name: "c1/s000", Message: long}}
	k.refusal, k.note = &k.nodes[0].Refused[0], long
	if _, body := get(t, serverOf(k), "/api/status"); len(body) > 32<<10 || !strings.Contains(body, "ü…") {
		t.Errorf("%d bytes", len(body))
	}
	if k.nodes[0].Refused[0].Message != long {
		t.Error("what the xDS server holds was changed")
	}
}

func TestAFindingOfSeveralSaysTheir(t *testing.T) {
	k := well(2)
	for i := range k.status.Services {
		s := k.status.Services[i].Service
		s.State, s.Endpoints, s.Problem = mesh.Missing, nil, "check CLUSTER"
	}
	if found := serverOf(k).Report().Attention; len(found) != 1 || found[0].What != "Their paths answer 503: check CLUSTER" {
		t.Errorf("%+v", found)
	}
}

func TestWithoutAnEnvoyItSaysSinceWhen(t *testing.T) {
	k := well(1)
	k.nodes, k.left = nil, time.Now().Add(-time.Minute).UTC()
	if found := serverOf(k).Report().Attention; len(found) != 1 || found[0].Kind != "no_envoy" || !found[0].Since.Equal(k.left) {
		t.Errorf("%+v", found)
	}
}

func TestAnUnhealthyOwnContainerIsToldWithWhatALoadBalancerDoesSinceItIs(t *testing.T) {
	k := well(1)
	s := &k.status.Services[0]
	s.Own, s.Service.Endpoints[0].Health, s.ChangedAt = true, mesh.Unhealthy, time.Now().Add(-time.Minute).UTC()
	found := serverOf(k).Report().Attention
	if len(found) != 1 || !strings.HasSuffix(found[0].What, "; the health path answers 503, so a load balancer takes this task out.") || !found[0].Since.Equal(s.ChangedAt) {
		t.Errorf("%+v", found)
	}
}

func TestAServiceThatAnswers503SaysSoInItsStateAndItsShare(t *testing.T) {
	k := well(2)
	k.status.Services[0].Service.Endpoints = nil
	s := serverOf(k)
	r := s.Report()
	text, page := r.Text(TextOptions{}), pageFor(t, k, nil)
	for where, got := range map[string]string{"text": text, "page": page} {
		if !strings.Contains(got, "active, answers 503") || !strings.Contains(strings.Join(strings.Fields(got), " "), "c1/s000 503 http1") && where == "text" {
			t.Errorf("the %s: %.3000s", where, got)
		}
	}
	if !strings.Contains(strings.Join(strings.Fields(text), " "), "c1/s001 100 % http1") || strings.Count(text, "answers 503") != 1 {
		t.Errorf("%s", text)
	}
	for _, state := range []mesh.State{mesh.Unread, mesh.Denied} {
		k.status.Services[0].Service.State = state // an Envoy may serve it on
		if r := s.Report(); r.Routes[0].Answers503 {
			t.Errorf("%s: %+v", state, r.Routes[0])
		}
	}
}
