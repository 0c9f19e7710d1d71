package awsapi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groboclown/nightjar-mesh/internal/ecs"
)

// TestEmptinessIsNeverInvented has answers with status 2xx that the SDK takes for empty ones.
func TestEmptinessIsNeverInvented(t *testing.T) {
	setEnvironment(t)
	list := func(t *testing.T, c *Client) (int, error) {
		got, err := c.ServiceTasks(t.Context(), "c1", "web")
		return len(got), err
	}
	services := func(t *testing.T, c *Client) (int, error) {
		got, err := c.Services(t.Context(), "c1", []string{"web", "api"})
		return len(got), err
	}
	machines := func(t *testing.T, c *Client) (int, error) {
		got, err := c.ContainerInstances(t.Context(), "c1", []string{"ci"})
		return len(got), err
	}
	addrs := func(t *testing.T, c *Client) (int, error) {
		got, err := c.InstanceAddrs(t.Context(), []string{"i-1"})
		return len(got), err
	}
	const ec2 = `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">%s</DescribeInstancesResponse>`
	tests := map[string]struct {
		call   func(*testing.T, *Client) (int, error)
		status int
		body   string
		want   string // a part of the error; "" for an answer that names nothing
	}{
		"an empty list":                {list, 200, `{"taskArns":[]}`, ""},
		"no list":                      {list, 200, `{}`, "the answer is not a list of tasks"},
		"JSON of somebody else":        {list, 200, `{"message":"ok"}`, "the answer is not a list of tasks"},
		"a null for a list":            {list, 200, `{"taskArns":null}`, "the answer is not a list of tasks"},
		"a null in the list":           {list, 200, `{"taskArns":[null,"a"]}`, "the answer is not a list of tasks"},
		"a null for an answer":         {list, 200, `null`, "ecs:ListTasks"},
		"a list for an answer":         {list, 200, `[]`, "ecs:ListTasks"},
		"nothing, with 204":            {list, 204, ``, "ecs:ListTasks"},
		"a page with 203":              {list, 203, `<html>login</html>`, "is there a proxy"},
		"services known to be missing": {services, 200, `{"services":[],"failures":[{"reason":"MISSING"},{"reason":"MISSING"}]}`, ""},
		"services without a name":      {services, 200, `{"services":[{},{}]}`, "passes over 2 of the 2"},
		"nulls for services":           {services, 200, `{"services":[null],"failures":[{"reason":"MISSING"}]}`, "passes over 1 of the 2"},
		"failures without a reason":    {services, 200, `{"services":[],"failures":[{},null]}`, "ecs:DescribeServices"},
		"machines without an ARN":      {machines, 200, `{"containerInstances":[{"ec2InstanceId":"i-1"}]}`, "passes over 1 of the 1"},
		"no EC2 instances":             {addrs, 200, fmt.Sprintf(ec2, `<reservationSet/>`), ""},
		"an EC2 answer without a set":  {addrs, 200, fmt.Sprintf(ec2, ``), "the answer is not a list of instances"},
		"a page in XHTML":              {addrs, 200, `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body/></html>`, "the answer is not a list of instances"},
		"a page with 203 for EC2":      {addrs, 203, `<html>login</html>`, "is there a proxy"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // for the pauses between tries
				a := &fakeAWS{answers: func(string, map[string]any) (int, string) { return test.status, test.body }}
				c, _, _ := newClientWith(t, a, NewBudget(10_000, 10_000))
				n, err := test.call(t, c)
				if n != 0 || (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Fatalf("%d, error %v, want %q", n, err, test.want)
				}
			})
		})
	}
}

func TestWhatAWSLeavesOutIsZeroInTheAnswer(t *testing.T) {
	a := &fakeAWS{answers: func(string, map[string]any) (int, string) {
		return 200, `{"services":[{"serviceName":"web","deploymentController":{},"loadBalancers":[{},null],"serviceRegistries":[{}],"taskSets":[{}],"deployments":[{}]}],
			"containerInstances":[{"containerInstanceArn":"ci","attributes":[{},{"name":"a"},null]}]}`
	}}
	c, _, _ := newClient(t, a)
	services, err := c.Services(t.Context(), "c1", []string{"web"})
	if err != nil || services["web"].Status != "" || services["web"].RunningCount != 0 {
		t.Errorf("%+v %v", services, err)
	}
	instances, err := c.ContainerInstances(t.Context(), "c1", []string{"ci"})
	want := map[string]ecs.ContainerInstance{"ci": {ARN: "ci", Attributes: map[string]string{"a": ""}}}
	if diff := cmp.Diff(want, instances); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestTheLifeOfATaskAndAServiceIsTold(t *testing.T) {
	a := &fakeAWS{answers: func(string, map[string]any) (int, string) {
		return 200, `{"tasks":[{"taskArn":"t1","createdAt":1700000000.5,"startedAt":1700000001,"stoppingAt":1700000002,"stoppedAt":1700000003,"version":7,
			"stoppedReason":"Task failed ELB health checks","containers":[{"name":"app","exitCode":137,"reason":"OutOfMemoryError"},{"name":"side"}]}],
			"services":[{"serviceName":"web","desiredCount":2,"events":[{"createdAt":1,"message":"old"},{"createdAt":3,"message":"newest"},{}]},
			{"serviceName":"api","events":[{"message":"(service api) has reached a steady state."}]}]}`
	}}
	c, _, _ := newClient(t, a)
	tasks, err := c.Tasks(t.Context(), "c1", []string{"t1"})
	if err != nil {
		t.Fatal(err)
	}
	got := tasks["t1"]
	want := []int64{1700000000, 1700000001, 1700000002, 1700000003, 7}
	if diff := cmp.Diff(want, []int64{got.CreatedAt.Unix(), got.StartedAt.Unix(), got.StoppingAt.Unix(), got.StoppedAt.Unix(), got.Version}); diff != "" {
		t.Error(diff)
	}
	app, side := got.Containers[0], got.Containers[1]
	if got.StoppedReason != "Task failed ELB health checks" || *app.ExitCode != 137 || app.Reason != "OutOfMemoryError" || side.ExitCode != nil {
		t.Errorf("%+v", got)
	}
	services, err := c.Services(t.Context(), "c1", []string{"web", "api"})
	if err != nil || services["web"].DesiredCount != 2 || services["web"].Event != "newest" || services["api"].Event != "" {
		t.Errorf("%+v %v", services, err)
	}
}

func TestTargetsAreThoseOfTheServingTaskSet(t *testing.T) {
	set := func(status string, port int) string {
		return fmt.Sprintf(`{"id":"ecs-svc/%d","status":"%s","loadBalancers":[{"containerName":"web","containerPort":%d}],"serviceRegistries":[{"port":%d}]}`,
			port, status, port, port)
	}
	tests := map[string]struct {
		service string
		want    []ecs.Target
	}{
		"of the service": {
			`"loadBalancers":[{"containerName":"web","containerPort":80}],"serviceRegistries":[{"containerName":"web","containerPort":81},{"port":82},{}]`,
			[]ecs.Target{{Container: "web", Port: 80}, {Container: "web", Port: 81}, {Port: 82}, {}},
		},
		"ports that are none": {`"loadBalancers":[{"containerName":"web","containerPort":0},{"containerName":"web","containerPort":65536}]`, []ecs.Target{{Container: "web"}, {Container: "web"}}},
		"of the primary set":  {`"taskSets":[` + set("ACTIVE", 1) + "," + set("PRIMARY", 2) + `]`, []ecs.Target{{Container: "web", Port: 2}, {Port: 2}}},
		"of all without one":  {`"taskSets":[` + set("ACTIVE", 1) + `]`, []ecs.Target{{Container: "web", Port: 1}, {Port: 1}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := &fakeAWS{answers: func(string, map[string]any) (int, string) {
				return 200, `{"services":[{"serviceName":"web","status":"ACTIVE",` + test.service + `}]}`
			}}
			c, _, _ := newClient(t, a)
			got, err := c.Services(t.Context(), "c1", []string{"web"})
			if diff := cmp.Diff(test.want, got["web"].Targets); diff != "" || err != nil {
				t.Fatal(diff, err)
			}
		})
	}
}

func TestAnInstancesAddressIsNeverThatOfATaskOnIt(t *testing.T) {
	card := func(index int, addr string) string {
		return fmt.Sprintf(`<item><attachment><deviceIndex>%d</deviceIndex></attachment><ipv6AddressesSet><item><ipv6Address>%s</ipv6Address></item></ipv6AddressesSet></item>`, index, addr)
	}
	tests := map[string]struct{ instance, v4, v6 string }{
		"a task's interface listed first":     {`<networkInterfaceSet>` + card(1, "2001:db8::bad") + card(0, "2001:db8::7") + `</networkInterfaceSet>`, "invalid IP", "2001:db8::7"},
		"a task's interface alone has one":    {`<networkInterfaceSet>` + card(1, "2001:db8::bad") + `</networkInterfaceSet>`, "invalid IP", "invalid IP"},
		"nothing can be sent there":           {`<privateIpAddress>0.0.0.0</privateIpAddress><ipv6Address>ff02::1</ipv6Address>`, "invalid IP", "invalid IP"},
		"both families":                       {`<privateIpAddress>10.0.0.7</privateIpAddress><ipv6Address>2001:db8::7</ipv6Address>`, "10.0.0.7", "2001:db8::7"},
		"what is no address at all, or empty": {`<privateIpAddress>ip-10-0-0-7</privateIpAddress><ipv6Address/>`, "invalid IP", "invalid IP"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := &fakeAWS{answers: func(string, map[string]any) (int, string) {
				return 200, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet><item/><item><instancesSet><item/><item><instanceId>i-1</instanceId>` +
					test.instance + `</item></instancesSet></item></reservationSet></DescribeInstancesResponse>`
			}}
			c, _, _ := newClient(t, a)
			got, err := c.InstanceAddrs(t.Context(), []string{"i-1"})
			if err != nil || got["i-1"].IPv4.String() != test.v4 || got["i-1"].IPv6.String() != test.v6 {
				t.Fatalf("%v %v", got, err)
			}
		})
	}
}

func TestEC2IsAskedForTwoHundredAtATime(t *testing.T) {
	a := &fakeAWS{answers: func(string, map[string]any) (int, string) {
		return 200, `<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>`
	}}
	c, _, _ := newClient(t, a)
	if _, err := c.InstanceAddrs(t.Context(), names(401)); err != nil {
		t.Fatal(err)
	}
	values := 0
	for _, body := range a.bodies {
		n := strings.Count(body, "Filter.1.Value.")
		if values += n; n > 200 {
			t.Errorf("a call with %d values", n)
		}
	}
	if len(a.bodies) != 3 || values != 401 {
		t.Fatalf("%d calls with %d values", len(a.bodies), values)
	}
}

// TestAConnectionThatBreaksInTheAnswerIsAnError goes over loopback, as only a real connection breaks off.
func TestAConnectionThatBreaksInTheAnswerIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "ListTasks") { // whole as JSON, and yet not all that was announced
			w.Header().Set("Content-Length", "100")
		}
		_, _ = io.WriteString(w, `{"taskArns":[],"services":[`)
		panic(http.ErrAbortHandler)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	defer server.Close()
	setEnvironment(t)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	for action, call := range map[string]func(context.Context, *Client) error{
		"ListTasks": func(ctx context.Context, c *Client) error { _, err := c.ServiceTasks(ctx, "c1", "web"); return err }, // announced
		"DescribeServices": func(ctx context.Context, c *Client) error {
			_, err := c.Services(ctx, "c1", []string{"web"})
			return err
		}, // in chunks
	} {
		ctx, stop := context.WithCancel(t.Context())
		once := &firstTry{stop: stop}
		c, err := New(ctx, Options{Region: "eu-west-1", Budget: NewBudget(10_000, 10_000), Observer: once, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := call(ctx, c); err == nil || !slices.Equal(once.all, []string{action + " error"}) {
			t.Errorf("%s: %v, error %v", action, once.all, err)
		}
	}
}

// firstTry is an Observer that ends a call after its first try, before the pause.
type firstTry struct {
	results
	stop func()
}

func (f *firstTry) Called(action, result string, took time.Duration) {
	f.results.Called(action, result, took)
	f.stop()
}

func TestErrorsWithoutAWordOfAWSNameTheStatus(t *testing.T) {
	setEnvironment(t)
	tests := map[string]struct {
		status int
		body   string
		tries  int
	}{
		"an empty 503":    {503, ``, 3},
		"a page with 502": {502, `<html><body>Bad Gateway</body></html>`, 3},
		"a page with 403": {403, `<html><body>Forbidden</body></html>`, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &fakeAWS{answers: func(string, map[string]any) (int, string) { return test.status, test.body }}
				c, seen, _ := newClientWith(t, a, NewBudget(10_000, 10_000))
				_, err := c.ServiceTasks(t.Context(), "c1", "web")
				if err == nil || !strings.Contains(err.Error(), fmt.Sprint("StatusCode: ", test.status)) || !strings.Contains(err.Error(), "ecs:ListTasks") {
					t.Errorf("error %v", err)
				}
				if len(seen.all) != test.tries || seen.all[0] != "ListTasks error" {
					t.Errorf("tries %v, want %d", seen.all, test.tries)
				}
			})
		})
	}
}

// silent never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestAnEndpointThatNeverAnswersIsTriedOnceForFiveSeconds(t *testing.T) {
	setEnvironment(t)
	synctest.Test(t, func(t *testing.T) {
		seen := &results{}
		c, err := New(t.Context(), Options{
			Region: "eu-west-1", Budget: NewBudget(10_000, 10_000), Observer: seen, Transport: silent{}, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = c.ServiceTasks(t.Context(), "c1", "web")
		if err == nil || !strings.Contains(err.Error(), "no answer in time") || len(seen.all) != 1 {
			t.Errorf("after %v: %v", seen.all, err)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestAHeaderWithoutEndIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeader))
		_, _ = io.WriteString(w, `{"taskArns":[]}`)
	}))
	defer server.Close()
	setEnvironment(t)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	ctx, stop := context.WithCancel(t.Context())
	c, err := New(ctx, Options{
		Region: "eu-west-1", Budget: NewBudget(10_000, 10_000), Observer: &firstTry{stop: stop}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ServiceTasks(ctx, "c1", "web"); err == nil {
		t.Error("it is taken for an answer")
	}
}
