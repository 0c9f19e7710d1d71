package taskmeta

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain sets a proxy that doesn't work. net/http reads it once a process.
func TestMain(m *testing.M) {
	if err := os.Setenv("HTTP_PROXY", "http://127.0.0.1:1"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// answer is a file of testdata with another network mode than its awsvpc, in the shape of the developer guide's examples.
func answer(t testing.TB, file, mode string) []byte {
	t.Helper()
	body, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(body, []byte(`"awsvpc"`), []byte(`"`+mode+`"`))
}

func TestTheTaskTellsItsPlace(t *testing.T) {
	task, err := Parse(answer(t, "task.json", "awsvpc"), answer(t, "container.json", "awsvpc"))
	if err != nil {
		t.Fatal(err)
	}
	if task.Region() != "eu-west-1" || task.ClusterName() != "shop" || task.ID() != "158d1c8083dd49d6b527399fd6414f5c" {
		t.Errorf("Region %q, ECS cluster %q, task %q", task.Region(), task.ClusterName(), task.ID())
	}
	own := Container{
		Name: "nightjar", Image: "nightjar", KnownStatus: "RUNNING", Health: Health{Status: "HEALTHY"},
		Labels:   map[string]string{"com.amazonaws.ecs.container-name": "nightjar"},
		Networks: []Network{{NetworkMode: "awsvpc", IPv4Addresses: []string{"10.0.2.61"}}},
		Ports:    []Port{{ContainerPort: 9902, HostPort: 32768, Protocol: "tcp"}},
	}
	want := &Task{
		Cluster: "arn:aws:ecs:eu-west-1:111122223333:cluster/shop", Family: "web", Revision: "26", ServiceName: "web",
		TaskARN:       "arn:aws:ecs:eu-west-1:111122223333:task/shop/158d1c8083dd49d6b527399fd6414f5c",
		DesiredStatus: "RUNNING", KnownStatus: "RUNNING", AvailabilityZone: "eu-west-1a", LaunchType: "EC2",
		Containers: []Container{own}, Own: own,
	}
	if diff := cmp.Diff(want, task); diff != "" {
		t.Error(diff)
	}
}

func TestTheECSClusterIsANameOrAnARN(t *testing.T) {
	body := bytes.ReplaceAll(answer(t, "task.json", "host"), []byte("arn:aws:ecs:eu-west-1:111122223333:cluster/shop"), []byte("shop"))
	if task, err := Parse(body, []byte(`{}`)); err != nil || task.ClusterName() != "shop" {
		t.Fatalf("%+v %v", task, err)
	}
}

func TestNetworkModes(t *testing.T) {
	network := func(mode string) Container { return Container{Networks: []Network{{NetworkMode: mode}}} }
	tests := map[string]struct {
		own, other Container
		want       string
	}{
		"awsvpc":                             {network("awsvpc"), network("awsvpc"), "awsvpc"},
		"host":                               {network("host"), network("host"), "host"},
		"bridge":                             {network("bridge"), network("bridge"), "bridge"},
		"docker's default":                   {network("default"), network("default"), "bridge"},
		"a network of the user's":            {network("my-network"), network("my-network"), "bridge"},
		"the own container counts first":     {network("host"), network("none"), "host"},
		"the own container tells no network": {Container{}, network("host"), "host"},
		"no container tells one":             {network(""), Container{}, ""},
	}
	for name, test := range tests {
		task := &Task{Own: test.own, Containers: []Container{test.other}}
		if got := task.NetworkMode(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestATaskIsIPv6OnlyWhereItHasIPv6AndNoIPv4(t *testing.T) {
	six, four := []string{"2001:db8::1"}, []string{"10.0.0.1"}
	for _, test := range []struct {
		network Network
		want    bool
	}{
		{Network{NetworkMode: "awsvpc", IPv6Addresses: six}, true},
		{Network{NetworkMode: "awsvpc", IPv4Addresses: four}, false},
		{Network{NetworkMode: "awsvpc", IPv4Addresses: four, IPv6Addresses: six}, false},
		{Network{NetworkMode: "awsvpc"}, false}, // it tells no address at all
	} {
		if task := (&Task{Containers: []Container{{Networks: []Network{test.network}}}}); task.IPv6Only() != test.want {
			t.Errorf("%+v: want %v", test.network, test.want)
		}
	}
}

func TestFetchTriesThreeTimesAndReadsTaskAndContainer(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		switch {
		case len(asked) < 3:
			http.Error(w, "later", http.StatusInternalServerError)
		case r.URL.Path == "/v4/abc/task":
			_, _ = w.Write(answer(t, "task.json", ""))
		default:
			_, _ = w.Write(answer(t, "container.json", "host"))
		}
	}))
	defer s.Close()
	task, err := Fetch(t.Context(), s.URL+"/v4/abc")
	if err != nil || task.ServiceName != "web" || task.NetworkMode() != "host" {
		t.Fatalf("%+v %v", task, err)
	}
	if diff := cmp.Diff([]string{"/v4/abc/task", "/v4/abc/task", "/v4/abc/task", "/v4/abc"}, asked); diff != "" {
		t.Fatal(diff)
	}
}

func TestTheTaskAloneIsOneQuestion(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked = append(asked, r.URL.Path); len(asked) > 1 {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(answer(t, "task.json", "host"))
	}))
	defer s.Close()
	task, err := FetchTask(t.Context(), s.URL+"/v4/abc")
	if err != nil || task.DesiredStatus != "RUNNING" || len(task.Containers) != 1 {
		t.Fatalf("%+v %v", task, err)
	}
	if _, err := FetchTask(t.Context(), s.URL+"/v4/abc"); err == nil || !strings.Contains(err.Error(), URIVariable) {
		t.Errorf("a failure: %v", err)
	}
	if diff := cmp.Diff([]string{"/v4/abc/task", "/v4/abc/task"}, asked); diff != "" {
		t.Error(diff)
	}
}

// TestTheEndpointIsAskedWithoutAProxy asks at 0.0.0.0, which is this machine too, as Go takes no proxy for 127.0.0.1 anyway.
func TestTheEndpointIsAskedWithoutAProxy(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer(t, "task.json", "host")) }))
	defer s.Close()
	if _, err := Fetch(t.Context(), strings.Replace(s.URL, "127.0.0.1", "0.0.0.0", 1)); err != nil {
		t.Fatal(err)
	}
}

func TestABadEndpointIsAClearError(t *testing.T) {
	serve := func(task, own http.HandlerFunc) string {
		mux := http.NewServeMux()
		mux.HandleFunc("/task", task)
		mux.HandleFunc("/{$}", own)
		s := httptest.NewServer(mux)
		t.Cleanup(s.Close)
		return s.URL
	}
	say := func(body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }
	}
	good := say(answer(t, "task.json", "awsvpc"))
	for name, test := range map[string]struct{ uri, want string }{
		"too long": {serve(say(make([]byte, maxAnswer+1)), good), "more than 1048576 bytes"},
		"long header": {serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeader))
			_, _ = w.Write(answer(t, "task.json", "awsvpc"))
		}, good), "response headers exceeded"},
		"redirect":       {serve(http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound).ServeHTTP, good), "redirects"},
		"no JSON":        {serve(say([]byte("hello")), good), "what it says of the task is not what ECS gives"},
		"own container":  {serve(good, say([]byte("hello"))), "what it says of the own container is not what ECS gives"},
		"not found":      {serve(good, http.NotFound), "it answers 404 Not Found"},
		"no task":        {serve(say([]byte("{}")), good), `the task is "" of the ECS cluster ""; want a task's ARN`},
		"half an ARN":    {serve(say([]byte(`{"Cluster":"c","TaskARN":"arn:aws:ecs"}`)), good), `the task is "arn:aws:ecs"`},
		"nobody there":   {"http://127.0.0.1:1", "connection refused"},
		"another scheme": {"ftp://x", "want the http URL that ECS sets"},
		"no URL":         {"http://\x00", "want the http URL that ECS sets"},
	} {
		_, err := Fetch(t.Context(), test.uri)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), URIVariable) {
			t.Errorf("%s: %v, want %q and %s", name, err, test.want, URIVariable)
		}
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer s.Close()
	begin := time.Now()
	if _, err := Fetch(ctx, s.URL); err == nil || time.Since(begin) > tryTimeout/2 {
		t.Fatalf("after %s: %v", time.Since(begin), err)
	}
}

func TestAnEndpointIsAwaited(t *testing.T) {
	var late, asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch {
		case late.Load() == 0:
			http.Error(w, "later", http.StatusInternalServerError)
		case r.URL.Path == "/task":
			_, _ = w.Write(answer(t, "task.json", ""))
		default:
			_, _ = w.Write(answer(t, "container.json", "host"))
		}
	}))
	defer s.Close()
	task, err := Await(t.Context(), s.URL, time.Minute, func() { late.Add(1) })
	if err != nil || task.ServiceName != "web" || late.Load() != 1 {
		t.Fatalf("%+v %v, told %d times", task, err, late.Load())
	}
	late.Store(0)
	begin := time.Now()
	_, err = Await(t.Context(), s.URL, 300*time.Millisecond, func() { t.Error("that was less than a second") })
	if err == nil || !strings.Contains(err.Error(), "it answers 500") || time.Since(begin) > 10*time.Second {
		t.Errorf("in vain: %v", err)
	}
	asked.Store(0)
	if _, err := Await(t.Context(), "ftp://x", time.Minute, func() {}); err == nil || !strings.Contains(err.Error(), "want the http URL") || asked.Load() != 0 {
		t.Errorf("no endpoint at all: %v", err)
	}
}

func TestAnEndpointThatHangsIsAwaitedInBoundedTime(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer s.Close()
	begin := time.Now()
	if _, err := Await(t.Context(), s.URL, 100*time.Millisecond, func() {}); err == nil || !strings.Contains(err.Error(), URIVariable) || time.Since(begin) > tryTimeout {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(answer(f, "task.json", "awsvpc"), answer(f, "container.json", "awsvpc"))
	f.Add(answer(f, "task.json", ""), []byte(`{"Networks":[{"NetworkMode":"host"}]}`))
	f.Add([]byte(`{"Cluster":"c","TaskARN":"arn:aws:ecs"}`), []byte(`null`))
	f.Add([]byte(`{"Cluster":"c","TaskARN":"arn:::::task/"}`), []byte(`{"Ports":[{"HostPort":-1}]}`))
	f.Fuzz(func(t *testing.T, body, own []byte) {
		task, err := Parse(body, own)
		if err != nil {
			return
		}
		switch task.NetworkMode() {
		case "awsvpc", "host", "bridge", "":
		default:
			t.Fatalf("network mode %q", task.NetworkMode())
		}
		if !strings.HasSuffix(task.TaskARN, "/"+task.ID()) || !strings.HasSuffix(task.Cluster, task.ClusterName()) {
			t.Fatalf("%q is task %q, %q is ECS cluster %q", task.TaskARN, task.ID(), task.Cluster, task.ClusterName())
		}
		if !strings.Contains(task.TaskARN, ":"+task.Region()+":") {
			t.Fatalf("%q is in the Region %q", task.TaskARN, task.Region())
		}
	})
}
