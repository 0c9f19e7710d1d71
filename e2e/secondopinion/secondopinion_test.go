// Package secondopinion holds the simulated ECS and EC2 against what others know of AWS: botocore's models and the AWS CLI.
package secondopinion

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

// The tools, of one release of AWS's.
const (
	botocore = "botocore==1.44.5"
	awscli   = "awscli==1.46.3"
)

// python is the interpreter of a virtual environment with the tools in the project's tools folder, which is made where it
// isn't there.
func python(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("left out with -short: it needs Python with botocore and the AWS CLI")
	}
	venv, err := filepath.Abs("../../.tools/" + strings.ReplaceAll(botocore+"-"+awscli, "==", "-"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(venv), 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(venv+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	done := filepath.Join(venv, "complete")
	if _, err := os.Stat(done); err == nil {
		return filepath.Join(venv, "bin", "python")
	}
	t.Logf("making a virtual environment with %s and %s, once", botocore, awscli)
	for _, args := range [][]string{
		{"python3", "-m", "venv", "--clear", venv},
		{filepath.Join(venv, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", botocore, awscli},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s\nThis test needs Python 3 with venv and pip (Debian: apt-get install python3-venv python3-pip)",
				strings.Join(args, " "), err, out)
		}
	}
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(venv, "bin", "python")
}

// answer is an answer of the simulator.
type answer struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Status    int    `json:"status"`
	Body      string `json:"body"`
}

// ask asks the simulator on the wire.
func ask(s *ecssim.Server, operation, body string) answer { return askAs(s, operation, body, "") }

// askAs asks with a signature: KEY/DATE/REGION/ecs/aws4_request at a time in the form of X-Amz-Date.
func askAs(s *ecssim.Server, operation, body, credential string) answer {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	if credential, at, signed := strings.Cut(credential, " at "); signed {
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+credential+", SignedHeaders=host, Signature=0")
		r.Header.Set("X-Amz-Date", at)
	}
	a := answer{Service: "ec2", Operation: operation}
	if operation != "DescribeInstances" {
		a.Service = "ecs"
		r.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113."+operation)
	}
	s.ServeHTTP(w, r)
	a.Status, a.Body = w.Code, w.Body.String()
	return a
}

// opinion is what botocore's models have against the answers.
func opinion(t *testing.T, answers []answer) []string {
	t.Helper()
	in, err := json.Marshal(answers)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python(t), "check.py")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("check.py: %v\n%s", err, stderr.String())
	}
	var problems []struct {
		Index   int
		Problem string
	}
	if err := json.Unmarshal(out, &problems); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, p := range problems {
		lines = append(lines, answers[p.Index].Operation+": "+p.Problem)
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

const everything = `
region: eu-west-1
polite: true
unlimited: true
clusters:
- name: c1
  instances:
  - {id: i-0000000000000001, address: 127.99.1.1, ipv6: "2001:db8::1", zone: eu-west-1a, attributes: {stack: a}}
  - {id: i-0000000000000002, address: 127.99.1.3, ipv6: "2001:db8::3", zone: eu-west-1b} # a task of bridge each, for its fixed port
  - {id: i-0000000000000003, address: 127.99.1.4, ipv6: "2001:db8::4", zone: eu-west-1b}
  - {id: i-0000000000000004, address: 127.99.1.5, ipv6: "2001:db8::5", zone: eu-west-1b}
  - {id: i-0000000000000005, address: 127.99.1.6, ipv6: "2001:db8::6", zone: eu-west-1b}
  services:
  - {name: bridge, desired: 2, network: bridge, overlap: 1s, containers: [{name: web, ports: [8080], udp: [53], fixed: [{container: 1, host: 2}], ranges: [{container: 9000, end: 9003}], healthcheck: true}]}
  - {name: host, desired: 1, network: host, host_bindings: true, containers: [{name: web, ports: [8080]}]}
  - {name: vpc, desired: 2, network: awsvpc, containers: [{name: web, ports: [80]}], load_balancers: [{container: web, port: 80}], registries: [{container: web, port: 80}]}
  - {name: fargate, desired: 1, network: awsvpc, launch: FARGATE, ipv6: true, containers: [{name: web, ports: [80]}]}
  - {name: six, desired: 1, network: awsvpc, launch: FARGATE, ipv6_only: true, containers: [{name: web, ports: [80]}]}
  - {name: managed, desired: 1, network: awsvpc, launch: MANAGED_INSTANCES, capacity_provider: mi, containers: [{name: web, ports: [80]}]}
  - {name: code, desired: 1, network: awsvpc, controller: CODE_DEPLOY, containers: [{name: web, ports: [80]}], load_balancers: [{container: web, port: 80}]}
- name: c2
  instances: [{id: mi-0000000000000001, address: 127.99.1.2, attributes: {nightjar.address: 127.99.1.2}}]
  services: [{name: anywhere, desired: 1, network: bridge, launch: EXTERNAL, containers: [{name: web, ports: [8080]}]}]
timeline:
- {at: 4s, do: deploy, service: c1/bridge}
- {at: 4s, do: deploy, service: c1/code}
- {at: 5s, do: scale, service: c1/vpc, to: 1}
- {at: 6s, do: kill, service: c1/fargate}
- {at: 6s, do: stop, service: c1/host}
- {at: 7s, do: health, service: c1/bridge, container: web, health: UNHEALTHY}
- {at: 8s, do: delete, service: c1/managed}
- {at: 8s, do: run-task, service: c1/bridge}
- {at: 9s, do: lose-instance, service: c1/i-0000000000000001}
`

// life asks everything again and again while the world of everything lives.
func life(t *testing.T) []answer {
	t.Helper()
	var answers []answer
	file, err := ecssim.Load([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sim, err := ecssim.New(file)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if err := sim.Run(t.Context(), nil); err != nil {
				t.Error(err)
			}
		}()
		for range 300 { // 15 s
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
			answers = append(answers, round(t, sim)...)
		}
		answers = append(answers,
			ask(sim.Server, "ListTasks", `{"cluster":"c9"}`), ask(sim.Server, "ListTasks", `{"cluster":"c1","serviceName":"none"}`),
			ask(sim.Server, "DescribeTasks", `{"cluster":"c1","tasks":["0123"]}`), ask(sim.Server, "DescribeTasks", `{"cluster":"c1","tasks":[]}`),
			ask(sim.Server, "DescribeServices", `{"cluster":"c1","services":["none"]}`),
			askAs(sim.Server, "ListTasks", `{"cluster":"c1"}`, "x/20000101/eu-west-1/ecs/aws4_request at 20000101T010000Z"),
			askAs(sim.Server, "DescribeInstances", "Action=DescribeInstances", "x/20000101/us-east-1/ec2/aws4_request at 20000101T000000Z"),
		)
		answers = append(answers, strangers(t)...)
		for _, kind := range []ecssim.FaultKind{ecssim.Throttle, ecssim.ServerError, ecssim.Unavailable, ecssim.AccessDenied, ecssim.ExpiredToken} {
			if err := sim.Server.Inject(ecssim.Fault{Kind: kind, Calls: 1}); err != nil {
				t.Fatal(err)
			}
			answers = append(answers, ask(sim.Server, "ListTasks", `{"cluster":"c1"}`))
		}
	})
	return answers
}

// strangers asks with keys that the account doesn't know, and with none.
func strangers(t *testing.T) []answer {
	t.Helper()
	sim, err := ecssim.New(&ecssim.File{Region: "eu-west-1", AccessKeys: []string{"known"}, Polite: true})
	if err != nil {
		t.Fatal(err)
	}
	return []answer{
		ask(sim.Server, "ListTasks", `{"cluster":"c1"}`),
		askAs(sim.Server, "ListTasks", `{"cluster":"c1"}`, "x/20000101/eu-west-1/ecs/aws4_request at 20000101T000000Z"),
	}
}

// round asks all five actions for all that is there.
func round(t *testing.T, sim *ecssim.Sim) []answer {
	t.Helper()
	var answers []answer
	for _, cluster := range []string{"c1", "c2"} {
		var arns []string
		for _, desired := range []string{"RUNNING", "STOPPED"} {
			list := ask(sim.Server, "ListTasks", fmt.Sprintf(`{"cluster":%q,"desiredStatus":%q}`, cluster, desired))
			var out struct{ TaskArns []string }
			if err := json.Unmarshal([]byte(list.Body), &out); err != nil {
				t.Fatalf("%v: %s", err, list.Body)
			}
			arns = append(arns, out.TaskArns...)
			answers = append(answers, list)
		}
		if len(arns) > 0 {
			asked, _ := json.Marshal(map[string]any{"cluster": cluster, "tasks": arns[:min(100, len(arns))]})
			answers = append(answers, ask(sim.Server, "DescribeTasks", string(asked)))
		}
		services := `["anywhere"]`
		if cluster == "c1" {
			services = `["bridge","host","vpc","fargate","six","managed","code"]`
		}
		answers = append(answers, ask(sim.Server, "DescribeServices", fmt.Sprintf(`{"cluster":%q,"services":%s}`, cluster, services)))
		answers = append(answers, instances(sim, cluster, answers)...)
	}
	return append(answers, ask(sim.Server, "DescribeInstances", "Action=DescribeInstances&Version=2016-11-15"))
}

// instances asks for the container instances that the answers name.
func instances(sim *ecssim.Sim, cluster string, answers []answer) []answer {
	for _, a := range answers {
		if _, after, named := strings.Cut(a.Body, `"containerInstanceArn":"`); named {
			arn, _, _ := strings.Cut(after, `"`)
			if strings.Contains(arn, "/"+cluster+"/") {
				return []answer{ask(sim.Server, "DescribeContainerInstances", fmt.Sprintf(`{"cluster":%q,"containerInstances":[%q]}`, cluster, arn))}
			}
		}
	}
	return nil
}

func TestBotocoresModelsKnowEveryAnswerInEveryStateOfATask(t *testing.T) {
	t.Parallel()
	python(t)
	answers := life(t)
	seen := map[string]bool{}
	for _, a := range answers {
		seen[a.Operation] = true
		for _, state := range []string{
			"PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED",
		} {
			if strings.Contains(a.Body, `"lastStatus":"`+state+`"`) {
				seen[state] = true
			}
		}
	}
	if len(seen) != 5+8 {
		t.Errorf("the answers show only %v", seen)
	}
	for _, problem := range opinion(t, answers) {
		t.Error(problem)
	}
	t.Logf("%d answers", len(answers))
}

func TestTheCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	python(t)
	good := `{"tasks":[{"taskArn":"a","lastStatus":"RUNNING","version":1,"launchType":"EC2","containers":[{"name":"web","healthStatus":"HEALTHY"}]}]}`
	wrong := []string{
		strings.Replace(good, `"name":"web"`, `"name":"web","surname":"x"`, 1), strings.Replace(good, `"version":1`, `"version":"1"`, 1),
		strings.Replace(good, `"HEALTHY"`, `"FINE"`, 1), strings.Replace(good, `"RUNNING"`, `"WALKING"`, 1), strings.Replace(good, `"EC2"`, `"EC3"`, 1),
	}
	answers := []answer{
		{"ecs", "DescribeTasks", 200, good},
		{"ecs", "ListTasks", 400, `{"__type":"Oops"}`},
		{"ec2", "DescribeInstances", 200, `<DescribeInstancesResponse><reservationSet><item><wrong/></item></reservationSet></DescribeInstancesResponse>`},
	}
	for _, w := range wrong {
		answers = append(answers, answer{"ecs", "DescribeTasks", 200, w})
	}
	problems := strings.Join(opinion(t, answers), "\n")
	for _, want := range []string{
		"surname: Container has no such member", "version: str where a long is", "'FINE' is not in the enum",
		"'WALKING' is none of", "'EC3' is not in the enum", "the error 'Oops'", "wrong: Reservation has no such member",
	} {
		if !strings.Contains(problems, want) {
			t.Errorf("%q is not found in\n%s", want, problems)
		}
	}
	if got := opinion(t, answers[:1]); len(got) > 0 {
		t.Errorf("a good answer: %v", got)
	}
}

func TestTheAWSCLIUnderstandsEveryAction(t *testing.T) {
	t.Parallel()
	bin := filepath.Dir(python(t))
	file, err := ecssim.Load([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	file.Timeline = nil
	sim, err := ecssim.New(file)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Server)
	defer server.Close()
	home := t.TempDir()
	aws := func(args ...string) (string, error) {
		cmd := exec.Command(filepath.Join(bin, "aws"), append([]string{"--endpoint-url", server.URL, "--region", "eu-west-1", "--output", "json"}, args...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER="}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	expect := func(want string, args ...string) string {
		t.Helper()
		for late := time.Now().Add(30 * time.Second); ; {
			out, err := aws(args...)
			if err == nil && strings.Contains(out, want) {
				return out
			}
			if time.Now().After(late) {
				t.Fatalf("aws %s: %v, want %q in\n%s", strings.Join(args, " "), err, want, out)
			}
		}
	}
	list := expect(":task/c1/", "ecs", "list-tasks", "--cluster", "c1", "--service-name", "bridge")
	_, after, _ := strings.Cut(list, `"arn:`)
	arn, _, _ := strings.Cut(after, `"`)
	task := expect(`"hostPort"`, "ecs", "describe-tasks", "--cluster", "c1", "--tasks", "arn:"+arn)
	_, after, _ = strings.Cut(task, `"containerInstanceArn": "`)
	instance, _, _ := strings.Cut(after, `"`)
	expect(`"runningCount": 2`, "ecs", "describe-services", "--cluster", "c1", "--services", "bridge")
	expect(`"ec2InstanceId": "i-000000000000000`, "ecs", "describe-container-instances", "--cluster", "c1", "--container-instances", instance)
	expect(`"PrivateIpAddress": "127.99.1.1"`, "ec2", "describe-instances", "--instance-ids", "i-0000000000000001")
	for _, args := range [][]string{{"ecs", "describe-clusters"}, {"ecs", "list-services", "--cluster", "c1"}, {"ec2", "describe-vpcs"}} {
		if out, err := aws(args...); err == nil || !strings.Contains(out, "not authorized") {
			t.Errorf("aws %v is denied, always: %v\n%s", args, err, out)
		}
	}
}
