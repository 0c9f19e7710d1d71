package ecssim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// metadataOf is what the metadata endpoint answers; nil where that is not 200.
func metadataOf(t *testing.T, s *Server, path string) map[string]any {
	t.Helper()
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	if rec.Code != http.StatusOK {
		return nil
	}
	var out map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// containersOf are the containers that the metadata endpoint lists, as NAME STATUS ADDRESSES.
func containersOf(t *testing.T, s *Server, task string) []string {
	t.Helper()
	all := []string{}
	containers, _ := metadataOf(t, s, "/v4/"+task+"/task")["Containers"].([]any)
	for _, c := range containers {
		c := c.(map[string]any)
		addresses := ""
		if list, ok := c["Networks"].([]any)[0].(map[string]any)["IPv4Addresses"]; ok {
			addresses = " " + fmt.Sprint(list)
		}
		all = append(all, fmt.Sprint(c["Name"], " ", c["KnownStatus"], addresses))
	}
	return all
}

func TestTheMetadataEndpointTellsOfATask(t *testing.T) {
	w, s, _ := load(t, dockerWorld)
	id := w.Tasks("c1", "web")[0]
	task := metadataOf(t, s, "/v4/"+id+"/task")
	if !strings.HasSuffix(task["TaskARN"].(string), id) || task["ServiceName"] != "web" || task["Family"] != "web" || task["Revision"] != "1" {
		t.Errorf("%v", task)
	}
	container := metadataOf(t, s, "/v4/"+id)
	if network := container["Networks"].([]any)[0].(map[string]any); container["Name"] != "app" || network["NetworkMode"] != "bridge" {
		t.Errorf("%v", container)
	}
	want := map[string]any{
		"com.amazonaws.ecs.cluster":                 "arn:aws:ecs:eu-west-1:111122223333:cluster/c1",
		"com.amazonaws.ecs.container-name":          "app",
		"com.amazonaws.ecs.task-arn":                task["TaskARN"],
		"com.amazonaws.ecs.task-definition-family":  "web",
		"com.amazonaws.ecs.task-definition-version": "1",
	}
	if diff := cmp.Diff(want, container["Labels"]); diff != "" {
		t.Error(diff)
	}
	if got := metadataOf(t, s, "/v4/unknown/task"); got != nil {
		t.Errorf("an unknown task: %v", got)
	}
}

func TestTheMetadataEndpointIsAskedAsAnyContainer(t *testing.T) {
	w, s, _ := load(t, heldWorld)
	id := w.Wanted("c1", "web")[0]
	if got := metadataOf(t, s, "/v4/"+id+"-nightjar"); got["Name"] != "nightjar" {
		t.Errorf("as the only one there is: %v", got)
	}
	if got := metadataOf(t, s, "/v4/"+id+"-nightjar/task"); got["ServiceName"] != "web" {
		t.Errorf("its task: %v", got)
	}
	for _, path := range []string{"-app", "-app/task", "-none", "/other"} {
		if got := metadataOf(t, s, "/v4/"+id+path); got != nil {
			t.Errorf("%s, which is not there: %v", path, got)
		}
	}
	if err := w.SetContainer("c1", "web", "", "app", "CREATED"); err != nil {
		t.Fatal(err)
	}
	if got := metadataOf(t, s, "/v4/"+id+"-app"); got["Name"] != "app" || got["KnownStatus"] != "CREATED" {
		t.Errorf("as the other once it is created: %v", got)
	}
}

func TestTheMetadataEndpointTellsTheHealthOfContainersWithACheck(t *testing.T) {
	w, s, _ := load(t, heldWorld)
	id := w.Wanted("c1", "web")[0]
	if err := w.SetContainer("c1", "web", "", "app", "RUNNING"); err != nil {
		t.Fatal(err)
	}
	for _, health := range []string{"HEALTHY", "UNHEALTHY", "UNKNOWN"} {
		if health != "HEALTHY" {
			if err := w.SetHealth("c1", "web", "", "nightjar", health); err != nil {
				t.Fatal(err)
			}
		}
		if got := fmt.Sprint(metadataOf(t, s, "/v4/"+id+"-nightjar")["Health"]); got != "map[status:"+health+"]" {
			t.Errorf("%s, want %s", got, health)
		}
	}
	if got, there := metadataOf(t, s, "/v4/"+id+"-app")["Health"]; there {
		t.Errorf("without a check: %v", got)
	}
}

func TestFaultsOfTheMetadataEndpoint(t *testing.T) {
	w, s, _ := load(t, dockerWorld)
	server := httptest.NewServer(s)
	defer server.Close()
	get := func(action string, kind FaultKind) (string, error) {
		if err := s.Inject(Fault{Kind: kind, Action: action}); err != nil {
			t.Fatal(err)
		}
		defer s.Heal()
		patience := time.Minute
		if kind == Hang {
			patience = time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/v4/"+w.Tasks("c1", "web")[0]+"/task", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 20<<20))
		return fmt.Sprintf("%s %s %d %.15s", resp.Status, resp.Header.Get("Content-Type"), min(len(body), 10<<20), body), err
	}
	if got, err := get(metadataAction, ServerError); err != nil || !strings.HasPrefix(got, "500 ") {
		t.Errorf("server error: %q %v", got, err)
	}
	if _, err := get(metadataAction, Hang); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hang: %v", err)
	}
	if got, err := get(metadataAction, Reset); err == nil {
		t.Errorf("reset: %q", got)
	}
	if got, err := get(metadataAction, Truncated); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("truncated: %q %v", got, err)
	}
	if got, err := get(metadataAction, WrongType); err != nil || !strings.HasPrefix(got, "200 OK text/html") {
		t.Errorf("wrong type: %q %v", got, err)
	}
	if got, _ := get(metadataAction, Huge); !strings.HasPrefix(got, "200 OK application/json 10485760 {  ") {
		t.Errorf("huge: %q", got)
	}
	if got, err := get(metadataAction, Empty); err != nil || got != "200 OK application/json 2 {}" {
		t.Errorf("empty: %q %v", got, err)
	}
	for _, action := range []string{"", "ListTasks"} {
		if got, err := get(action, ServerError); err != nil || !strings.HasPrefix(got, "200 ") {
			t.Errorf("a fault of AWS's, of %q: %q %v", action, got, err)
		}
	}
}

func TestTheMetadataEndpointIsNeverRude(t *testing.T) {
	w, start := worldWith(t, bridgeSpec(1))
	w.Advance(start.Add(time.Minute))
	s := NewServer(w, Options{})
	s.clock = func() time.Time { return start.Add(time.Minute) }
	for range 1000 {
		if metadataOf(t, s, "/v4/"+w.Tasks("c1", "web")[0]) == nil {
			t.Fatal("a fault by chance")
		}
	}
}
