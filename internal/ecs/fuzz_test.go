package ecs

import (
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

func TestAddressesThatNothingCanBeSentToAreNone(t *testing.T) {
	for _, text := range []string{
		"", "web", "10.0.0.300", "0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "::ffff:224.0.0.1", "ff02::1", "fe80::1%eth0", "255.255.255.255",
		"::ffff:255.255.255.255", "10.0.0.1:80",
	} {
		if at, ok := parseHost(text); ok || at.IsValid() {
			t.Errorf("%q is taken for %s", text, at)
		}
		_, err := address(awsvpcTask("t1", text, "app"), "app", 80, nil)
		if err == nil {
			t.Errorf("a task with the address %q has one", text)
		}
	}
	if at, ok := parseHost("::ffff:10.0.0.1"); !ok || at != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("an IPv4 address in IPv6's clothes: %s", at)
	}
}

// FuzzDescribeTasks reads arbitrary answers of DescribeTasks, in AWS's shape, to endpoints.
func FuzzDescribeTasks(f *testing.F) {
	text, err := os.ReadFile("testdata/describe_tasks_shapes.json")
	if err != nil {
		f.Fatal(err)
	}
	var file struct{ Tasks map[string]json.RawMessage }
	if err := json.Unmarshal(text, &file); err != nil {
		f.Fatal(err)
	}
	for _, task := range file.Tasks {
		answer := []byte(`{"tasks":[` + string(task) + `]}`)
		f.Add(answer, "", uint16(0))
		f.Add(answer, "web", uint16(8080))
		f.Add(answer, "", uint16(9004))
	}
	f.Add([]byte(`{"tasks":[{},{"attachments":[{}],"containers":[{}]}]}`), "", uint16(1))
	const serving = `{"tasks":[{"group":"service:web","desiredStatus":"RUNNING","lastStatus":"RUNNING",`
	f.Add([]byte(serving+`"containerInstanceArn":"ci","containers":[{"name":"web","lastStatus":"RUNNING","networkBindings":[{"hostPort":5}]}]}]}`), "", uint16(0))
	f.Add([]byte(serving+`"containers":[{"lastStatus":"RUNNING","networkInterfaces":[{"privateIpv4Address":"::ffff:0.0.0.0"}]}]}]}`), "", uint16(1))
	f.Fuzz(func(t *testing.T, text []byte, container string, port uint16) {
		var answer struct{ Tasks []awsTask }
		if json.Unmarshal(text, &answer) != nil {
			return
		}
		g := gathered{service: Service{Name: "web"}, instances: map[string]*Instance{}}
		byID := map[string][]Task{}
		for _, a := range answer.Tasks {
			task := a.task()
			g.tasks = append(g.tasks, task)
			g.instances[task.ContainerInstance] = &Instance{ID: "i-1", Private: InstanceAddr{IPv4: netip.MustParseAddr("10.9.9.9")}}
			byID[taskID(task.ARN)] = append(byID[taskID(task.ARN)], task)
		}
		s := build(ref(container, port), g)
		if len(s.Endpoints)+len(s.Excluded) != len(g.tasks) {
			t.Fatalf("of %d tasks %d serve and %d are left out", len(g.tasks), len(s.Endpoints), len(s.Excluded))
		}
		for _, e := range s.Endpoints {
			at := e.Addr.Addr()
			if !at.IsValid() || at.IsUnspecified() || at.IsMulticast() || at.Zone() != "" || at.Is4In6() || e.Addr.Port() == 0 {
				t.Errorf("%s is no address to send to", e.Addr)
			}
			if !slices.ContainsFunc(byID[e.Task], func(task Task) bool { return isOf(e, task, container, port) }) {
				t.Errorf("%s is not of the task %s", e.Addr, e.Task)
			}
		}
	})
}

// isOf tells whether an endpoint is of the task: an interface or attachment of its own, or its machine and a port that one
// of its containers is bound to or that is configured.
func isOf(e mesh.Endpoint, task Task, container string, port uint16) bool {
	if isAWSVPC(task) {
		return ownAddress(task, e.Addr.Addr()) && (port == 0 || e.Addr.Port() == port)
	}
	bound, published := false, false
	for _, c := range task.Containers {
		published = published || len(c.Bindings) > 0
		for _, b := range c.Bindings {
			low, high, _ := portRange(b.HostPortRange)
			inRange := e.Addr.Port() >= low && e.Addr.Port() <= high
			bound = bound || (container == "" || c.Name == container) && (b.HostPort == e.Addr.Port() || inRange)
		}
	}
	return e.Addr.Addr() == netip.MustParseAddr("10.9.9.9") && task.ContainerInstance != "" && (bound || !published && e.Addr.Port() == port)
}
