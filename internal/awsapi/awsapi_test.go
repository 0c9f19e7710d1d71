package awsapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecs"
)

// fakeAWS answers requests as AWS would, in memory: the SDK's real requests come in, and bytes go back.
type fakeAWS struct {
	mu      sync.Mutex
	asked   []string // ACTION and the number of what was asked for
	bodies  []string
	answers func(action string, in map[string]any) (status int, body string)
}

func (a *fakeAWS) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	target := r.Header.Get("X-Amz-Target")
	action := target[strings.LastIndex(target, ".")+1:]
	in := map[string]any{}
	if action == "" {
		form, _ := url.ParseQuery(string(body))
		action = form.Get("Action")
		for k := range form {
			in[k] = form.Get(k)
		}
	} else if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.asked = append(a.asked, action)
	a.bodies = append(a.bodies, string(body))
	a.mu.Unlock()
	status, text := a.answers(action, in)
	kind := "application/x-amz-json-1.1"
	if action == "DescribeInstances" {
		kind = "text/xml"
	}
	if strings.HasPrefix(text, "<html>") {
		kind = "text/html"
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(text)), Request: r,
		ContentLength: int64(len(text)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// results is an Observer.
type results struct {
	mu  sync.Mutex
	all []string
}

func (r *results) Called(action, result string, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, action+" "+result)
}

const secret = "wJalrXUtnFEMIsecretexamplekey"

// newClient is a client of a with a wide budget.
func newClient(t *testing.T, a *fakeAWS) (*Client, *results, *bytes.Buffer) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "token-of-the-session",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	return newClientWith(t, a, NewBudget(10_000, 10_000))
}

func newClientWith(t *testing.T, a *fakeAWS, b *Budget) (*Client, *results, *bytes.Buffer) {
	t.Helper()
	seen, log := &results{}, &bytes.Buffer{}
	c, err := New(t.Context(), Options{
		Region: "eu-west-1", Budget: b, Observer: seen, Transport: a,
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, seen, log
}

// names are n names.
func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("n%04d", i)
	}
	return all
}

func TestAListIsReadToItsLastPage(t *testing.T) {
	pages := []string{`{"taskArns":["a","b"],"nextToken":"1"}`, `{"taskArns":[],"nextToken":"2"}`, `{"nextToken":"3"}`, `{"taskArns":["c","a"]}`}
	a := &fakeAWS{}
	a.answers = func(_ string, in map[string]any) (int, string) {
		n := 0
		if token, ok := in["nextToken"].(string); ok {
			_, _ = fmt.Sscan(token, &n)
		}
		return 200, pages[n]
	}
	c, _, _ := newClient(t, a)
	got, err := c.ServiceTasks(t.Context(), "c1", "web")
	if err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Fatalf("%v %v", got, err)
	}
	a.answers = func(string, map[string]any) (int, string) { return 200, `{"taskArns":["a"],"nextToken":"0"}` }
	if _, err := c.ServiceTasks(t.Context(), "c1", "web"); err == nil || !strings.Contains(err.Error(), "more than 200 pages") {
		t.Fatalf("an endless list: %v", err)
	}
}

func TestManyAreAskedForInBatches(t *testing.T) {
	a := &fakeAWS{}
	a.answers = func(action string, in map[string]any) (int, string) {
		out := []string{}
		field := map[string][2]string{
			"DescribeServices": {"services", "serviceName"}, "DescribeTasks": {"tasks", "taskArn"},
			"DescribeContainerInstances": {"containerInstances", "containerInstanceArn"},
		}[action]
		for _, name := range in[field[0]].([]any) {
			out = append(out, fmt.Sprintf(`{"%s":"%s"}`, field[1], name))
		}
		return 200, fmt.Sprintf(`{"%s":[%s],"failures":[]}`, field[0], strings.Join(out, ","))
	}
	c, _, _ := newClient(t, a)
	services, err1 := c.Services(t.Context(), "c1", names(25))
	tasks, err2 := c.Tasks(t.Context(), "c1", names(250))
	instances, err3 := c.ContainerInstances(t.Context(), "c1", names(101))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if len(services) != 25 || len(tasks) != 250 || len(instances) != 101 {
		t.Fatalf("%d services, %d tasks, %d instances", len(services), len(tasks), len(instances))
	}
	counts := map[string]int{}
	for _, action := range a.asked {
		counts[action]++
	}
	if counts["DescribeServices"] != 3 || counts["DescribeTasks"] != 3 || counts["DescribeContainerInstances"] != 2 {
		t.Fatalf("calls: %v", counts)
	}
}

func TestInstancesAreAskedForByFilter(t *testing.T) {
	a := &fakeAWS{}
	a.answers = func(_ string, in map[string]any) (int, string) {
		if in["NextToken"] == nil {
			return 200, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><nextToken>x</nextToken><reservationSet><item><instancesSet>
				<item><instanceId>i-1</instanceId><privateIpAddress>10.0.0.1</privateIpAddress></item></instancesSet></item></reservationSet></DescribeInstancesResponse>`
		}
		return 200, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet><item><instancesSet>
			<item><instanceId>i-2</instanceId><networkInterfaceSet><item><ipv6AddressesSet><item><ipv6Address>2001:db8::2</ipv6Address></item></ipv6AddressesSet></item></networkInterfaceSet></item>
			<item><instanceId>i-3</instanceId></item></instancesSet></item></reservationSet></DescribeInstancesResponse>`
	}
	c, _, _ := newClient(t, a)
	got, err := c.InstanceAddrs(t.Context(), []string{"i-1", "i-2", "i-3", "i-unknown"})
	if err != nil || got["i-1"].IPv4.String() != "10.0.0.1" || got["i-2"].IPv6.String() != "2001:db8::2" || got["i-3"].IPv4.IsValid() || len(got) != 3 {
		t.Fatalf("%v %v", got, err)
	}
	if !strings.Contains(a.bodies[0], "Filter.1.Name=instance-id") || !strings.Contains(a.bodies[0], "MaxResults=1000") || strings.Contains(a.bodies[0], "InstanceId.1") {
		t.Fatalf("asked: %s", a.bodies[0])
	}
}

func TestAnAnswerIsWholeOrAnError(t *testing.T) {
	task := func(c *Client) error { _, err := c.Tasks(context.Background(), "c1", []string{"t1", "t2"}); return err }
	list := func(c *Client) error { _, err := c.ServiceTasks(context.Background(), "c1", "web"); return err }
	service := func(c *Client) error { _, err := c.Services(context.Background(), "c1", []string{"web"}); return err }
	instance := func(c *Client) error { _, err := c.InstanceAddrs(context.Background(), []string{"i-1"}); return err }
	tests := map[string]struct {
		call   func(*Client) error
		status int
		body   string
		want   string // a part of the error; "" for none
	}{
		"what AWS doesn't know is no error": {task, 200, `{"tasks":[{"taskArn":"t1"}],"failures":[{"arn":"t2","reason":"MISSING"}]}`, ""},
		"another failure is one":            {task, 200, `{"tasks":[{"taskArn":"t1"}],"failures":[{"arn":"t2","reason":"ACCESS_DENIED","detail":"why"}]}`, "t2: ACCESS_DENIED why"},
		"passing over":                      {task, 200, `{"tasks":[{"taskArn":"t1"}],"failures":[]}`, "the answer passes over 1 of the 2"},
		"passing over all":                  {service, 200, `{}`, "the answer passes over 1 of the 1"},
		"nil members everywhere": {task, 200, `{"tasks":[{"attachments":[{"details":[{},null]},null],"containers":[{"networkBindings":[{}],"networkInterfaces":[{}]},{}]},
			{"taskArn":"t2"}],"failures":[]}`, ""},
		"an HTML page as list":    {list, 200, `<html><body>It works!</body></html>`, "ecs:ListTasks"},
		"an HTML page of EC2":     {instance, 200, `<html><body>It works!</body></html>`, "ec2:DescribeInstances"},
		"a broken off answer":     {list, 200, `{"taskArns":["a"`, "ecs:ListTasks"},
		"a broken off EC2 answer": {instance, 200, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet>`, "ec2:DescribeInstances"},
		"an empty body":           {list, 200, ``, "ecs:ListTasks"},
		"an empty EC2 body":       {instance, 200, ``, "ec2:DescribeInstances"},
		"too much":                {list, 200, `{"taskArns":[` + strings.Repeat(" ", maxAnswer+1) + `]}`, "more than 16777216 bytes"},
		"a page that is none":     {list, 200, `{"taskArns":["a"` + strings.Repeat(`,"a"`, 100) + `]}`, "a page names 101 tasks"},
		"more than was asked for": {service, 200, `{"services":[{"serviceName":"web"},{"serviceName":"api"}]}`, "the answer is about 2 where 1 were asked for"},
		"denied": {
			list, 400, `{"__type":"AccessDeniedException","Message":"User: x is not authorized to perform: ecs:ListTasks"}`,
			"add ecs:ListTasks to the policy of the task role (not the execution role)",
		},
		"denied by EC2":    {instance, 403, `<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>`, "add ec2:DescribeInstances to the policy"},
		"throttled":        {list, 400, `{"__type":"ThrottlingException","message":"Rate exceeded"}`, "AWS throttles"},
		"EC2 throttles":    {instance, 503, `<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>no</Message></Error></Errors></Response>`, "AWS throttles"},
		"expired":          {list, 400, `{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}`, "AWS does not accept the credentials: they are expired: renew them"},
		"an unknown key":   {list, 400, `{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}`, "knows no such access key in this Region: look at the key"},
		"a wrong secret":   {list, 400, `{"__type":"InvalidSignatureException","message":"The request signature we calculated does not match"}`, "their signature is wrong: look at the secret key"},
		"EC2 knows no key": {instance, 401, `<Response><Errors><Error><Code>AuthFailure</Code><Message>no</Message></Error></Errors></Response>`, "has enabled the Region (AWS_REGION)"},
		"clock":            {list, 400, `{"__type":"InvalidSignatureException","message":"Signature expired"}`, "the clock of this machine is off: set it"},
		"server":           {list, 500, `{"__type":"ServerException","message":"later"}`, "ServerException: later"},
		"no ECS cluster":   {service, 400, `{"__type":"ClusterNotFoundException","message":"Cluster not found."}`, "not found"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var err error
			setEnvironment(t)
			synctest.Test(t, func(t *testing.T) { // for the pauses between tries
				a := &fakeAWS{answers: func(string, map[string]any) (int, string) { return test.status, test.body }}
				c, _, _ := newClientWith(t, a, NewBudget(10_000, 10_000))
				err = test.call(c)
			})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if err != nil && len(err.Error()) > 1500 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if denied := strings.HasPrefix(name, "denied"); errors.Is(err, ecs.ErrDenied) != denied {
				t.Errorf("ErrDenied: %v, want %v", !denied, denied)
			}
			if missing := name == "no ECS cluster"; errors.Is(err, ecs.ErrNotFound) != missing {
				t.Errorf("ErrNotFound: %v, want %v", !missing, missing)
			}
		})
	}
}

func TestRetriesArePaidFromTheBudget(t *testing.T) {
	setEnvironment(t)
	synctest.Test(t, func(t *testing.T) {
		a := &fakeAWS{answers: func(string, map[string]any) (int, string) {
			return 500, `{"__type":"ServerException","message":"later"}`
		}}
		b := NewBudget(0.1, 1)
		c, seen, _ := newClientWith(t, a, b)
		begin := time.Now()
		if _, err := c.ServiceTasks(t.Context(), "c1", "web"); err == nil {
			t.Fatal("no error")
		}
		if len(a.asked) != 3 || len(seen.all) != 3 {
			t.Fatalf("%d tries, %v", len(a.asked), seen.all)
		}
		if took := time.Since(begin); took < 20*time.Second {
			t.Fatalf("three tries at one in 10 s took %s", took)
		}
	})
}

// setEnvironment sets dummy credentials, outside of a synctest bubble.
func setEnvironment(t *testing.T) {
	newClient(t, &fakeAWS{})
}

func TestAThrottleHalvesItsBucketAtOnceAndTheRateRecoversSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1, 10)
		rates := func() [3]float64 {
			r := b.Rates()
			return [3]float64{r[tasksBucket], r[servicesBucket], r[instancesBucket]}
		}
		b.throttled(tasksBucket, time.Now())
		if rates() != [3]float64{0.5, 1, 1} {
			t.Fatalf("after one throttle: %v", rates())
		}
		for range 10 {
			b.throttled(tasksBucket, time.Now())
		}
		if rates()[0] != lowestRate {
			t.Fatalf("after many: %v", rates())
		}
		time.Sleep(recovery)
		if got := rates()[0]; got < 0.099 || got > 0.101 {
			t.Fatalf("2 min later: %v, want twice", got)
		}
		time.Sleep(5 * recovery)
		if rates()[0] != 1 {
			t.Fatalf("12 min later: %v", rates())
		}
		b.throttled(instancesBucket, time.Now())
		begin := time.Now()
		for range 8 { // the burst is halved with the rate
			if err := b.wait(t.Context(), instancesBucket); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took < 4*time.Second {
			t.Fatalf("eight calls took %s", took)
		}
	})
}

func TestThrottlesOfAWSReachTheBudget(t *testing.T) {
	a := &fakeAWS{answers: func(string, map[string]any) (int, string) {
		return 400, `{"__type":"ThrottlingException","message":"Rate exceeded"}`
	}}
	setEnvironment(t)
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1, 10)
		c, seen, _ := newClientWith(t, a, b)
		_, _ = c.ServiceTasks(t.Context(), "c1", "web")
		if got := b.Rates()[tasksBucket]; got > 0.2 || seen.all[0] != "ListTasks throttled" {
			t.Fatalf("rate %v after %v", got, seen.all)
		}
	})
}

func TestNoSecretIsLoggedOrTold(t *testing.T) {
	a := &fakeAWS{answers: func(string, map[string]any) (int, string) {
		return 400, `{"__type":"ExpiredTokenException","message":"expired"}`
	}}
	c, _, log := newClient(t, a)
	_, err1 := c.ServiceTasks(t.Context(), "c1", "web")
	a.answers = func(string, map[string]any) (int, string) { return 200, `{"taskArns":[]}` }
	_, err2 := c.ServiceTasks(t.Context(), "c1", "web")
	if err1 == nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	told := log.String() + err1.Error()
	if !strings.Contains(told, "action=ListTasks result=credentials") || !strings.Contains(told, "result=ok") {
		t.Errorf("the debug log lacks the tries:\n%s", told)
	}
	for _, s := range []string{secret, "AKIDEXAMPLE", "token-of-the-session", "Signature", "Authorization"} {
		if strings.Contains(told, s) {
			t.Errorf("%q is told:\n%s", s, told)
		}
	}
}

func TestMissingCredentialsAndAnUnreachableEndpointSayWhatToDo(t *testing.T) {
	setEnvironment(t)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "")
	}
	c, _, _ := newClientWith(t, &fakeAWS{}, NewBudget(10_000, 10_000))
	if _, err := c.ServiceTasks(t.Context(), "c1", "web"); err == nil || !strings.Contains(err.Error(), "give the task definition a task role (taskRoleArn)") {
		t.Errorf("no credentials: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	c, err := New(t.Context(), Options{Region: "eu-west-1", Budget: NewBudget(10_000, 10_000), Observer: &results{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ServiceTasks(t.Context(), "c1", "web"); err == nil || !strings.Contains(err.Error(), "AWS can't be reached: look at the way out") {
		t.Errorf("unreachable: %v", err)
	}
}
