package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// slowAWS is an ecs.API of services with two awsvpc tasks each, that takes a while for each answer.
type slowAWS struct {
	takes time.Duration

	mu    sync.Mutex
	calls map[string]int
}

func (a *slowAWS) call(ctx context.Context, action string) error {
	a.mu.Lock()
	a.calls[action]++
	a.mu.Unlock()
	select {
	case <-ctx.Done():
		return &ecs.Fault{Asked: action, Permission: action, Wrong: "no answer in time", Do: "look at the way out", Err: ctx.Err()}
	case <-time.After(a.takes):
		return nil
	}
}

func (a *slowAWS) all() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	sum := 0
	for _, n := range a.calls {
		sum += n
	}
	return sum
}

func (a *slowAWS) Services(ctx context.Context, _ string, names []string) (map[string]ecs.Service, error) {
	found := map[string]ecs.Service{}
	for _, n := range names {
		found[n] = ecs.Service{Name: n, Status: "ACTIVE", RunningCount: 2, DesiredCount: 2}
	}
	return found, a.call(ctx, "DescribeServices")
}

func (a *slowAWS) ServiceTasks(ctx context.Context, _, service string) ([]string, error) {
	return []string{"arn:aws:ecs:eu-west-1:1:task/c/" + service + "-1", "arn:aws:ecs:eu-west-1:1:task/c/" + service + "-2"}, a.call(ctx, "ListTasks")
}

func (a *slowAWS) ClusterTasks(ctx context.Context, _ string, _ int) ([]string, bool, error) {
	return nil, false, a.call(ctx, "ListTasks")
}

func (a *slowAWS) Tasks(ctx context.Context, _ string, arns []string) (map[string]ecs.Task, error) {
	found := map[string]ecs.Task{}
	for i, arn := range arns {
		name := arn[strings.LastIndex(arn, "/")+1:]
		found[arn] = ecs.Task{
			ARN: arn, Group: "service:" + strings.TrimSuffix(strings.TrimSuffix(name, "-1"), "-2"), DesiredStatus: "RUNNING", LastStatus: "RUNNING",
			Containers: []ecs.Container{{Name: "web", LastStatus: "RUNNING", Interfaces: []ecs.Interface{{IPv4: fmt.Sprintf("10.0.%d.%d", i/200, i%200+1)}}}},
		}
	}
	return found, a.call(ctx, "DescribeTasks")
}

func (a *slowAWS) ContainerInstances(ctx context.Context, _ string, _ []string) (map[string]ecs.ContainerInstance, error) {
	return nil, a.call(ctx, "DescribeContainerInstances")
}

func (a *slowAWS) InstanceAddrs(ctx context.Context, _ []string) (map[string]ecs.InstanceAddr, error) {
	return nil, a.call(ctx, "DescribeInstances")
}

// hung is a Source that doesn't answer before its time is over.
type hung struct{ takes time.Duration }

func (h hung) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(h.takes):
		return errors.New("nobody")
	}
}

func (h hung) Envoy(ctx context.Context) Envoy { return Envoy{At: "localhost:9901", Err: h.wait(ctx)} }

func (h hung) Nightjar(ctx context.Context) (*Nightjar, error) {
	_ = h.wait(ctx)
	return nil, nil //nolint:nilnil // nobody is there
}

func (h hung) Listens(ctx context.Context, _ config.Address) bool { _ = h.wait(ctx); return false }

func (h hung) Dial(context.Context, netip.AddrPort) error { return nil }

func (h hung) HasDirectory(string) bool { return true }

func (h hung) Containers(context.Context, ecs.API, []mesh.ServiceRef) []mesh.Reading { return nil }

// settingsOf are settings with so many services.
func settingsOf(t *testing.T, services int) *config.Config {
	t.Helper()
	env := map[string]string{"AWS_REGION": "eu-west-1", "CLUSTER": "c", "EGRESS_LISTEN_PORT": "8080"}
	for n := 1; n <= services; n++ {
		x := fmt.Sprint(n)
		env["SERVICE_ARN_"+x], env["SERVICE_PATH_"+x], env["SERVICE_PORT_"+x] = "s"+x, "/s"+x, "8080"
	}
	s, err := config.Load(config.Input{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs the checks of some services, and tells what was said to be happening.
func run(t *testing.T, services int, aws *slowAWS, source Source) (report Report, took time.Duration, progress []string) {
	t.Helper()
	aws.calls = map[string]int{}
	settings := settingsOf(t, services)
	c := &Check{
		Settings: settings, Local: settings, AWS: aws, Source: source,
		Progress: func(what string) { progress = append(progress, what) },
	}
	begin := time.Now()
	report = c.Run(t.Context())
	return report, time.Since(begin), progress
}

// count counts the findings of a check with a result.
func count(r Report, check string, result Result) int {
	n := 0
	for _, f := range r.Findings {
		if f.Check == check && f.Result == result {
			n++
		}
	}
	return n
}

func TestCheckEndsWithinTwoMinutesAndSaysWhatItHadNoTimeFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report, took, progress := run(t, 60, &slowAWS{takes: 14 * time.Second}, hung{time.Hour})
		if took > 2*time.Minute {
			t.Errorf("it took %s", took)
		}
		if read := count(report, "service", OK); read < 10 || count(report, "service", Warning) != 60-read {
			t.Errorf("%d services were read, and of %d it is told that there was no time", read, count(report, "service", Warning))
		}
		if n := count(report, "permission", OK); n != 3 {
			t.Errorf("%d permissions are allowed", n)
		}
		for _, f := range report.Findings {
			if f.Check == "service" && f.Result == Warning && (!strings.Contains(f.Found, "there was no time for it") || f.Do == "") {
				t.Errorf("%+v", f)
			}
		}
		if all := strings.Join(progress, "\n"); !strings.Contains(all, "reading services: 10 of 60") || !strings.Contains(all, "asking Envoy") {
			t.Errorf("it was said: %s", all)
		}
	})
}

func TestAWSThatNeverAnswersIsAskedOnceForEachPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aws := &slowAWS{takes: time.Hour}
		report, took, _ := run(t, 60, aws, hung{time.Second})
		if took > 35*time.Second || aws.all() != 5 {
			t.Errorf("%v after %s", aws.calls, took)
		}
		if count(report, "permission", Fail) != 5 || count(report, "service", Fail) != 60 {
			t.Errorf("%s", report.Text())
		}
		told := 0
		for _, f := range report.Findings {
			if f.Do == "look at the way out" {
				told++
			}
		}
		if told != 1 {
			t.Errorf("the cause is told %d times", told)
		}
	})
}

func TestCheckCostsOneReadingAndTheCallsThatItLacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aws := &slowAWS{takes: time.Millisecond}
		report, _, _ := run(t, 3, aws, hung{time.Second})
		want := map[string]int{"DescribeServices": 1, "ListTasks": 3, "DescribeTasks": 1, "DescribeContainerInstances": 1, "DescribeInstances": 1}
		for action, n := range want {
			if aws.calls[action] != n {
				t.Errorf("%s was called %d times, want %d", action, aws.calls[action], n)
			}
		}
		if count(report, "permission", OK) != 5 || count(report, "service", OK) != 3 || count(report, "pace", OK) != 1 {
			t.Error(report.Text())
		}
	})
}

func TestTheReportIsBoundedAndDoesNothingToATerminal(t *testing.T) {
	report := newReport([]Finding{
		{Check: "nightjar", Subject: "listener egress", Result: Fail, Found: "cannot\nbind \x1b[31m" + strings.Repeat("ä", 2*maxText), Do: "line one\r\nline two"},
		{Check: "pace", Result: OK, Found: "fast"},
		{Check: "reach", Subject: "x\u202ey", Result: Note, Found: "n"},
	})
	text := report.Text()
	for _, wrong := range []string{"\x1b", "\r", "\u202e", "�"} {
		if strings.Contains(text, wrong) {
			t.Errorf("the text has %q", wrong)
		}
	}
	lines := strings.Split(text, "\n")
	if !strings.HasPrefix(lines[0], "FAIL     nightjar listener egress  cannot bind [31m") || len(lines[0]) > maxText+100 {
		t.Errorf("%.100s… of %d bytes", lines[0], len(lines[0]))
	}
	if lines[1] != strings.Repeat(" ", 9+len("nightjar listener egress")+2)+"→ line one line two" {
		t.Errorf("%q", lines[1])
	}
	if lines[2] != "ok       pace                      fast" || !strings.Contains(text, "\n\n1 failed (1 note, 1 ok).\n") {
		t.Error(text)
	}
	empty, err := json.Marshal(newReport(nil))
	if err != nil || string(empty) != `{"ok":true,"findings":[]}` {
		t.Errorf("%s %v", empty, err)
	}
}

func TestWhatToDoIsTakenOutOfAProblem(t *testing.T) {
	for problem, do := range map[string]string{
		"its tasks publish several container ports: a:1, b:2; set SERVICE_CONTAINER_1 or SERVICE_PORT_1":               "set SERVICE_CONTAINER_1 or SERVICE_PORT_1",
		"the ECS cluster shop has no service x: check SERVICE_ARN_1":                                                   "check SERVICE_ARN_1",
		"no container is named x; the task has a, b: change SERVICE_CONTAINER_1":                                       "change SERVICE_CONTAINER_1",
		"no container publishes a tcp port: publish one in the task definition or, in host mode, set SERVICE_PORT_1":   "publish one in the task definition or, in host mode, set SERVICE_PORT_1",
		"mi-1 lacks the attribute nightjar.address: give its ECS agent ECS_INSTANCE_ATTRIBUTES={\"nightjar.address\"}": "give its ECS agent ECS_INSTANCE_ATTRIBUTES={\"nightjar.address\"}",
		"it is PENDING: it waits for its image":                                                                        "",
	} {
		found, got := advice(problem)
		if got != do || !strings.HasPrefix(problem, found) || found == "" {
			t.Errorf("%q is split into %q and %q", problem, found, got)
		}
	}
}

func TestAPermissionThatIsDeniedForAPartIsDenied(t *testing.T) {
	denied := &ecs.Fault{Permission: listTasks, Wrong: "access denied", Do: "add it", Said: "for this ECS cluster", Err: ecs.ErrDenied}
	f := judgePermission(listTasks, outcome{allowed: true, denied: denied}, needed, causes{})
	if f.Result != Fail || f.Found != "access denied: for this ECS cluster" || !strings.Contains(f.Do, `"ecs:ListTasks",`) {
		t.Errorf("%+v", f)
	}
	if f := judgePermission(listTasks, outcome{allowed: true, failed: errors.New("once")}, needed, causes{}); f.Result != OK {
		t.Errorf("one call that failed beside others: %+v", f)
	}
	if f := judgePermission(listTasks, outcome{}, needed, causes{}); f.Result != Warning || !strings.Contains(f.Found, "no time") {
		t.Errorf("never called: %+v", f)
	}
}

func TestASlowOrGreedyPaceIsNoted(t *testing.T) {
	reading := func(name string) mesh.Reading {
		return mesh.Reading{Ref: mesh.ServiceRef{Cluster: "c", Service: name}, Service: &mesh.Service{Endpoints: make([]mesh.Endpoint, 3)}}
	}
	readings := []mesh.Reading{reading("a"), reading("b")}
	size := func(services, tasks int) ecs.Size {
		return ecs.Size{Services: map[string]int{"c": services}, Tasks: map[string]int{"c": tasks}, Readers: 1}
	}
	for _, test := range []struct {
		size   ecs.Size
		rate   float64
		result Result
		do     string
	}{
		{size(40, 120), 0.1, Note, "raise NIGHTJAR_AWS_RATE"}, {size(40, 120), 1, OK, ""}, {size(1000, 10_000), 200, Warning, "lower NIGHTJAR_AWS_RATE"},
	} {
		f := judgePace(&config.Config{Rate: test.rate, Wait: 100 * time.Millisecond}, test.size, readings)[0]
		if f.Result != test.result || !strings.HasPrefix(f.Do, test.do) || !strings.Contains(f.Found, " services, ") {
			t.Errorf("at %g calls/s: %+v", test.rate, f)
		}
	}
}

func TestWhoReachesWhatListens(t *testing.T) {
	local, open := netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("0.0.0.0:8080")
	for _, test := range []struct {
		mode   string
		egress netip.AddrPort
		result Result
		who    string
	}{
		{"awsvpc", local, OK, "this task's containers alone"},
		{"awsvpc", open, Warning, "whoever the task's security group lets in"},
		{"host", local, Note, "every process on the instance"},
		{"host", open, Warning, "the instance, and whoever its security group lets in"},
		{"bridge", local, Warning, "its own container alone"},
		{"bridge", open, Warning, "every container of the instance"},
	} {
		findings := judgeReach(&config.Config{
			Mode: test.mode, Egress: test.egress, Ingress: open, EnvoyAdmin: test.egress, Stats: test.egress,
			XDS: config.Address{Network: "unix", Path: "/x"}, Admin: config.Address{Network: "tcp", Host: test.egress.Addr().String(), Port: 9903},
		}, true)
		if len(findings) != 6 {
			t.Fatalf("%+v", findings)
		}
		for _, f := range findings {
			want := test.result
			switch {
			case f.Subject == "ingress" || f.Subject == "xDS" || test.mode == "bridge" && test.egress == local && f.Subject != "egress":
				want = OK
			case want == Warning && (f.Subject == "Envoy's metrics" || f.Subject == "nightjar's status and metrics"):
				want = Note
			}
			if f.Result != want || (f.Do == "") != (want == OK) {
				t.Errorf("%s at %s: %+v, want %s", test.mode, test.egress, f, want)
			}
			if f.Subject == "egress" && !strings.Contains(f.Found, test.who) {
				t.Errorf("%s at %s: %s", test.mode, test.egress, f.Found)
			}
		}
	}
}

func TestOnTheLoopbackOfAContainerNobodyReachesWhatOthersMust(t *testing.T) {
	local := netip.MustParseAddrPort("127.0.0.1:8080")
	want := map[string]string{
		"egress":  "no app's container can reach it: set EGRESS_LISTEN_ADDRESS=0.0.0.0",
		"ingress": "no load balancer can reach it: set INGRESS_LISTEN_ADDRESS=0.0.0.0",
		"xDS":     "Envoy's container can't reach it: use unix:/shared/xds.sock",
	}
	settings := &config.Config{
		Mode: "bridge", Egress: local, Ingress: local, EnvoyAdmin: local, XDS: config.Address{Network: "tcp", Host: "127.0.0.1", Port: 9902},
		Admin: config.Address{Network: "tcp", Host: "127.0.0.1", Port: 9903},
	}
	for _, f := range judgeReach(settings, true) {
		if f.Do != want[f.Subject] || (f.Result == Warning) != (f.Do != "") {
			t.Errorf("%+v", f)
		}
	}
	settings.Mode = "awsvpc"
	for _, f := range judgeReach(settings, true) {
		if f.Result != OK {
			t.Errorf("in awsvpc: %+v", f)
		}
	}
}

func TestXDSNeedsItsDirectory(t *testing.T) {
	settings := &config.Config{Mode: "bridge", XDS: config.Address{Network: "unix", Path: "/shared/xds.sock"}}
	for _, f := range judgeReach(settings, false) {
		if f.Subject == "xDS" && (f.Result != Fail || f.Found != "there is no directory /shared" || !strings.HasPrefix(f.Do, "mount the volume")) {
			t.Errorf("%+v", f)
		}
	}
}

// TestAContainerThatIsNotThereYet tells one that waits for nightjar from one that no container has the name of.
func TestAContainerThatIsNotThereYet(t *testing.T) {
	r := mesh.Reading{Ref: mesh.ServiceRef{Own: true, Container: "web", ContainerVar: "CONTAINER_NAME_1"}, Service: &mesh.Service{}}
	task := &taskmeta.Task{Containers: []taskmeta.Container{{Name: "nightjar"}}, KnownStatus: "PENDING"}
	if f := judgeContainer(r, task); f.Result != Warning || f.Do != "if it waits for nightjar, all is well; else change CONTAINER_NAME_1" {
		t.Errorf("%+v", f)
	}
	task.KnownStatus = "RUNNING"
	if f := judgeContainer(r, task); f.Result != Fail || f.Found != "no container has that name; there are nightjar" || f.Do != "change CONTAINER_NAME_1" {
		t.Errorf("%+v", f)
	}
}
