package taskmeta

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// answer is a task's answer of the given network mode, in the shape of the developer guide's examples.
func answer(t testing.TB, mode string) []byte {
	t.Helper()
	body, err := os.ReadFile("testdata/task.json")
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.ReplaceAll(string(body), `"awsvpc"`, `"`+mode+`"`))
}

func TestTheTaskTellsItsPlace(t *testing.T) {
	for mode, want := range map[string]string{"awsvpc": "awsvpc", "host": "host", "bridge": "bridge", "my-network": "bridge", "": ""} {
		task, err := Parse(answer(t, mode))
		if err != nil {
			t.Fatal(err)
		}
		if task.NetworkMode() != want {
			t.Errorf("%q: network mode %q, want %q", mode, task.NetworkMode(), want)
		}
		if task.Region() != "eu-west-1" || task.ClusterName() != "shop" || task.ID() != "158d1c8083dd49d6b527399fd6414f5c" {
			t.Errorf("Region %q, ECS cluster %q, task %q", task.Region(), task.ClusterName(), task.ID())
		}
		if task.ServiceName != "web" || task.AvailabilityZone != "eu-west-1a" || !task.HasIPv4() {
			t.Errorf("%+v", task)
		}
	}
}

func TestFetchTriesThreeTimesAndNamesTheVariable(t *testing.T) {
	tries := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries < 3 {
			http.Error(w, "later", http.StatusInternalServerError)
			return
		}
		if r.URL.Path != "/v4/abc/task" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		_, _ = w.Write(answer(t, "awsvpc"))
	}))
	defer s.Close()
	task, err := Fetch(t.Context(), s.URL+"/v4/abc")
	if err != nil || task.ServiceName != "web" || tries != 3 {
		t.Fatalf("%+v %v after %d tries", task, err, tries)
	}
}

func TestABadEndpointIsAClearError(t *testing.T) {
	huge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, maxAnswer+1))
	}))
	defer huge.Close()
	elsewhere := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound))
	defer elsewhere.Close()
	text := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	defer text.Close()
	for uri, want := range map[string]string{
		huge.URL: "more than 1048576 bytes", elsewhere.URL: "redirects", text.URL: "is not what ECS gives",
		"ftp://x": "want the http URL that ECS sets", "http://127.0.0.1:1": URIVariable,
	} {
		_, err := Fetch(t.Context(), uri)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", uri, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(answer(f, "awsvpc"))
	f.Add([]byte(`{"Cluster":"c","TaskARN":"arn:aws:ecs"}`))
	f.Add([]byte(`{"Cluster":"c","TaskARN":"arn:","Containers":[{"Ports":[{"HostPort":-1}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		task, err := Parse(body)
		if err != nil {
			return
		}
		switch task.NetworkMode() {
		case "awsvpc", "host", "bridge", "":
		default:
			t.Fatalf("network mode %q", task.NetworkMode())
		}
		_, _, _ = task.Region(), task.ID(), task.ClusterName()
	})
}
