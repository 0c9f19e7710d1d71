package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/control"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// worldOfStates is a nightjar that has something of every state to tell.
func worldOfStates(now time.Time) *known {
	ago := func(d time.Duration) time.Time { return now.Add(-d).Truncate(time.Second) }
	at := netip.MustParseAddrPort
	endpoint := func(addr, task string, h mesh.Health, zone string) mesh.Endpoint {
		number, _ := strconv.Atoi(task[:2])
		return mesh.Endpoint{
			Addr: at(addr), Task: task, Health: h, Zone: zone, Deployment: "ecs-svc/" + task, Revision: "web:" + task[:2], Since: ago(26 * time.Hour),
			Container: "nginx" + task[2:], Port: uint16(3000 + number),
		}
	}
	portAlone := endpoint("10.0.0.2:32769", "12bb", mesh.HealthUnknown, "eu-west-1b")
	portAlone.Container = ""
	service := func(s mesh.Service) control.ServiceStatus {
		return control.ServiceStatus{Service: &s, Answered: true, ReadAt: ago(2 * time.Second), ChangedAt: ago(50 * time.Hour)}
	}
	orders := service(mesh.Service{
		Name: "c1/orders", State: mesh.Active,
		Endpoints: []mesh.Endpoint{
			endpoint("10.0.0.1:32768", "11aa", mesh.Healthy, "eu-west-1a"), portAlone,
		},
		Excluded: []mesh.Excluded{
			{Task: "77aa", Reason: "its container web is UNHEALTHY", Zone: "eu-west-1d", Deployment: "ecs-svc/9977", Revision: "web:77", Since: ago(7 * time.Minute)},
			{Task: "78bb", Reason: "it is PENDING", Since: ago(3 * time.Second)},
		},
	})
	failing := service(mesh.Service{Name: "c1/basket", State: mesh.Active, Endpoints: []mesh.Endpoint{endpoint("10.0.1.1:80", "21cc", mesh.Healthy, "")}})
	failing.Err, failing.FailingSince = errors.New("AWS throttles: Rate exceeded"), ago(13*time.Minute)
	own := service(mesh.Service{Name: "own-task/app:8080", State: mesh.Active, Endpoints: []mesh.Endpoint{endpoint("127.0.0.1:8080", "31dd", mesh.Healthy, "eu-west-1a")}})
	own.Own = true
	closed := service(mesh.Service{Name: "own-task/api:8090", State: mesh.Active, Endpoints: []mesh.Endpoint{endpoint("127.0.0.1:8090", "32ff", mesh.Closed, "eu-west-1a")}})
	closed.Own = true
	unread := control.ServiceStatus{Service: &mesh.Service{Name: "c1/new", State: mesh.Unread}}
	return &known{
		accepted: true,
		note:     "Envoy's admin API at 127.0.0.1:9901 answers; its bootstrap has no xDS server",
		nodes: []xds.Node{
			{ID: "task/1", Version: "1.40.0", Since: ago(70 * time.Minute), Current: true},
			{ID: "task/2", Version: "1.39.1", Since: ago(3 * time.Hour), PendingSince: ago(time.Minute), Refused: []xds.Refusal{
				{Type: "listener", Name: "egress", Setting: "EGRESS_LISTEN_PORT", Message: "cannot bind '127.0.0.1:8080': Address already in use", At: ago(5 * time.Minute)},
			}},
			{ID: "task/3", Since: ago(4 * time.Hour), PendingSince: ago(2 * time.Minute)},
		},
		pace: ReadPace{
			Quiet: 5400 * time.Millisecond, Moving: 5200 * time.Millisecond, Tasks: 17 * time.Second, Readers: 61, Words: "a read costs 1.8 calls",
		},
		refusal: &xds.Refusal{Type: "listener", Name: "ingress", Setting: "INGRESS_LISTEN_PORT", Message: "Proto constraint validation failed", At: ago(time.Hour)},
		status: control.Status{
			Started: ago(80 * time.Hour), Wait: 100 * time.Millisecond,
			Services: []control.ServiceStatus{
				orders, failing, own, unread, closed,
				service(mesh.Service{Name: "c1/gone", State: mesh.Missing, Problem: "the ECS cluster c1 has no service gone: check SERVICE_ARN_5"}),
				service(mesh.Service{Name: "c1/deleted", State: mesh.Inactive, Problem: "it was deleted; check SERVICE_ARN_6"}),
				service(mesh.Service{Name: "c1/secret", State: mesh.Denied, Problem: "add ecs:ListTasks to the policy of the task role"}),
				service(mesh.Service{Name: "c1/doubt", State: mesh.Active, Problem: "set SERVICE_PORT_8"}),
				service(mesh.Service{Name: "c1/sick", State: mesh.Active, Endpoints: []mesh.Endpoint{endpoint("10.0.2.1:80", "41ee", mesh.Unhealthy, "eu-west-1c")}}),
				service(mesh.Service{Name: "c1/empty", State: mesh.Active, Empty: "ECS lists none of the 4 tasks that it is to run (unable to place a task)"}),
				service(mesh.Service{Name: "c1/canary", State: mesh.Active, Empty: "it has no task: its desired count is 0"}),
			},
			Proxies: []mesh.Proxy{{
				Zone: "eu-west-1a",
				Listeners: []mesh.Listener{
					{Name: "egress", Addr: at("127.0.0.1:8080")},
					{Name: "ingress", Direction: mesh.Ingress, Addr: at("0.0.0.0:8081"), HealthPath: "/.nightjar/health"},
				},
				Routes: []mesh.Route{
					{Listener: "egress", Path: "/orders", Service: "c1/orders", Origin: "SERVICE_PATH_1", Weighted: true, Weight: 9},
					{Listener: "egress", Path: "/orders", Service: "c1/canary", Origin: "SERVICE_PATH_11", Weighted: true, Weight: 1},
					{Listener: "egress", Path: "/basket", Service: "c1/basket", Origin: "SERVICE_PATH_2", Policy: mesh.Policy{Timeout: 15 * time.Second, Retries: 7}},
					{Listener: "egress", Path: "/basket", Service: "c1/orders", Origin: "SERVICE_PATH_3", Policy: mesh.Policy{Timeout: 15 * time.Second, Retries: 7}, Weighted: true, Weight: 2},
					{Listener: "ingress", Path: "/", Service: "own-task/app:8080", Origin: "CONTAINER_PATH_1", Policy: mesh.Policy{Protocol: mesh.GRPC}},
					{Listener: "ingress", Path: "/api", Service: "own-task/api:8090", Origin: "CONTAINER_PATH_2"},
					{Listener: "egress", Path: "/empty", Service: "c1/empty", Origin: "SERVICE_PATH_10"},
				},
			}},
		},
	}
}

// fact is a leaf of a Report, with its JSON names.
type fact struct {
	path  string
	value any
}

// factsOf walks a Report; what is omitted from the JSON is no fact.
func factsOf(path string, v reflect.Value) []fact {
	if t, isTime := v.Interface().(time.Time); isTime {
		return []fact{{path, t}}
	}
	var facts []fact
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if strings.HasPrefix(options, "omit") && v.Field(i).IsZero() {
				continue
			}
			facts = append(facts, factsOf(path+"."+name, v.Field(i))...)
		}
	case reflect.Slice:
		for i := range v.Len() {
			facts = append(facts, factsOf(path, v.Index(i))...)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			facts = append(facts, factsOf(path, key)...)
			facts = append(facts, factsOf(path, v.MapIndex(key))...)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			facts = append(facts, factsOf(path, v.Elem())...)
		}
	default:
		facts = append(facts, fact{path, v.Interface()})
	}
	return facts
}

// inWords is how people read a fact, and whether they are meant to.
func (f fact) inWords(t *testing.T, now time.Time) string {
	t.Helper()
	switch value := f.value.(type) {
	case string:
		switch f.path {
		case ".services.source":
			return source(value)
		case ".services.endpoints.health":
			return healthWords(value)
		case ".attention.kind":
			return words(value)
		}
		return value
	case time.Time:
		if f.path == ".now" {
			return value.UTC().Format(time.DateTime)
		}
		return clock(now, value)
	case float64:
		switch f.path {
		case ".services.read_age_seconds":
			if value < 0 {
				return "never"
			}
			return seconds(value) + " ago"
		case ".routes.share":
			return percent(value)
		case ".routes.timeout_seconds":
			return timeout(value)
		case ".pace.wait_seconds", ".pace.quiet_seconds", ".pace.moving_seconds", ".pace.tasks_seconds":
			return seconds(value)
		case ".pace.aws_rate_limits":
			return number(value)
		}
	case uint16, uint32, int:
		return fmt.Sprint(value)
	case bool:
		switch f.path {
		case ".ready":
			return map[bool]string{true: "ready", false: "not ready"}[value]
		case ".routes.passed_on":
			return "passed on"
		case ".routes.answers_503":
			return "503"
		case ".envoys.current":
			return map[bool]string{true: "current", false: "not acknowledged since"}[value]
		}
	}
	t.Errorf("there is no rule how people read %s (%v): show it in the text and on the page, and add one", f.path, f.value)
	return ""
}

var (
	tags   = regexp.MustCompile(`<[^>]*>`)
	hidden = regexp.MustCompile(`(?s)<(style|script|head)>.*?</(style|script|head)>`)
	spaces = regexp.MustCompile(`\s+`)
)

// visible is the text of a page as people read it.
func visible(page string) string {
	return spaces.ReplaceAllString(html.UnescapeString(tags.ReplaceAllString(hidden.ReplaceAllString(page, ""), " ")), " ")
}

// asked is the report as somebody far away has it.
func asked(t *testing.T, s *Server) Report {
	t.Helper()
	_, body := get(t, s, "/api/status")
	var r Report
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEachFactIsInTheJSONInTheTextAndOnThePage(t *testing.T) {
	tests := map[string]struct {
		change func(*known)
		kinds  string // what needs attention
	}{
		"every state": {func(*known) {}, "not_ready refused not_acknowledged cannot_read unread missing inactive denied setting nothing_serves " +
			"all_unhealthy closed excluded share_passed_on envoy_note"},
		"no Envoy": {func(k *known) {
			k.nodes, k.status.Services[3].Answered, k.left = nil, true, time.Now().Add(-5*time.Hour)
		}, "no_envoy cannot_read"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := worldOfStates(time.Now())
			test.change(k)
			s := serverOf(k)
			r := asked(t, s)
			text := r.Text(TextOptions{})
			_, page := get(t, s, "/")
			page = visible(page)
			seen := map[string]bool{}
			for _, f := range factsOf("", reflect.ValueOf(r)) {
				seen[f.path] = true
				want := f.inWords(t, r.Now)
				if !strings.Contains(text, want) && f.path != ".services.read_age_seconds" {
					t.Errorf("the text lacks %s: %q", f.path, want)
				}
				// The page is asked a moment later than the JSON.
				if f.path != ".now" && f.path != ".services.read_age_seconds" && !strings.Contains(page, want) {
					t.Errorf("the page lacks %s: %q", f.path, want)
				}
			}
			for _, kind := range strings.Fields(test.kinds) {
				if !slices.ContainsFunc(r.Attention, func(f Finding) bool { return f.Kind == kind }) {
					t.Errorf("nothing of the kind %s needs attention", kind)
				}
			}
			if name == "every state" {
				everyField(t, "", reflect.TypeFor[Report](), seen)
			}
			if t.Failed() {
				t.Logf("text:\n%s", text)
			}
		})
	}
}

// everyField checks that the world has a fact for each field.
func everyField(t *testing.T, path string, of reflect.Type, seen map[string]bool) {
	t.Helper()
	for of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer || of.Kind() == reflect.Map {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
		if !seen[path] {
			t.Errorf("the world of states has no %s", path)
		}
		return
	}
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		everyField(t, path+"."+name, of.Field(i).Type, seen)
	}
}
