package awsapi

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// thousand answers for 1,000 services with 10 tasks each in the shape of a Fargate task, after 30 ms.
func thousand(t *testing.T, calls *atomic.Int64) *fakeAWS {
	text, err := os.ReadFile("../ecs/testdata/describe_tasks_shapes.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Tasks map[string]json.RawMessage }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	shape := string(file.Tasks["awsvpc_fargate"])
	described := func(arn string) string {
		var service, n int
		if _, err := fmt.Sscanf(arn, "arn:aws:ecs:eu-west-1:111122223333:task/c1/n%04d-%d", &service, &n); err != nil {
			t.Error(err)
		}
		return strings.NewReplacer(
			"arn:aws:ecs:eu-west-1:111122223333:task/c1/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", arn,
			"service:web", fmt.Sprintf("service:n%04d", service), "10.0.1.5", fmt.Sprintf("10.%d.%d.%d", 1+n, service/250, 1+service%250),
		).Replace(shape)
	}
	return &fakeAWS{answers: func(action string, in map[string]any) (int, string) {
		calls.Add(1)
		time.Sleep(30 * time.Millisecond)
		var all []string
		switch action {
		case "DescribeServices":
			for _, name := range in["services"].([]any) {
				all = append(all, fmt.Sprintf(`{"serviceName":"%s","status":"ACTIVE","runningCount":10}`, name))
			}
			return 200, `{"services":[` + strings.Join(all, ",") + `]}`
		case "ListTasks":
			for n := range 10 {
				all = append(all, fmt.Sprintf(`"arn:aws:ecs:eu-west-1:111122223333:task/c1/%s-%d"`, in["serviceName"], n))
			}
			return 200, `{"taskArns":[` + strings.Join(all, ",") + `]}`
		default:
			for _, arn := range in["tasks"].([]any) {
				all = append(all, described(arn.(string)))
			}
			return 200, `{"tasks":[` + strings.Join(all, ",") + `]}`
		}
	}}
}

// TestAThousandServicesAreReadWithinThreeSeconds counts the time that AWS takes, not that of the machine.
func TestAThousandServicesAreReadWithinThreeSeconds(t *testing.T) {
	setEnvironment(t)
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		client, _, _ := newClientWith(t, thousand(t, &calls), NewBudget(10_000, 10_000))
		var refs []mesh.ServiceRef
		for _, name := range names(1000) {
			refs = append(refs, mesh.ServiceRef{Cluster: "c1", Service: name, Port: 8080})
		}
		inventory := ecs.NewInventory(client, nil)
		for round, want := range []int64{100 + 1000 + 100, 100 + 1000} { // services, lists, tasks; then services and lists alone
			begin, before := time.Now(), calls.Load()
			for _, r := range inventory.Read(t.Context(), refs) {
				if r.Err != nil || len(r.Service.Endpoints) != 10 {
					t.Fatalf("%s: %v %+v", r.Ref.Name(), r.Err, r.Service)
				}
			}
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("round %d takes %s", round, took)
			}
			if got := calls.Load() - before; got != want {
				t.Errorf("round %d costs %d calls, want %d", round, got, want)
			}
		}
	})
}
