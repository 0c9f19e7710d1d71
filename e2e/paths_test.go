package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// pathWorld has four services, so that the answer tells which route was taken.
const pathWorld = `
- {name: root, desired: 1, network: bridge, containers: [{name: app, ports: [8080]}]}
- {name: api, desired: 1, network: bridge, containers: [{name: app, ports: [8080]}]}
- {name: below, desired: 1, network: bridge, containers: [{name: app, ports: [8080]}]}
- {name: deep, desired: 1, network: bridge, containers: [{name: app, ports: [8080]}]}
`

func TestPathsAreWholeSegmentsLongestFirst(t *testing.T) {
	t.Parallel()
	// The shortest path is given first.
	r := startAll(t, worldOf(pathWorld), services("/", "c1/root", "/api", "c1/api", "/api/v2/", "c1/below", "/api/v2/deep", "c1/deep")...)
	for _, path := range []string{"/", "/api", "/api/v2/x", "/api/v2/deep"} {
		r.waitStatus(path, http.StatusOK)
	}
	tests := map[string]struct{ service, target string }{
		"/":                   {"root", "/"},
		"/other":              {"root", "/other"},
		"/api":                {"api", "/api"},
		"/api?q=1":            {"api", "/api?q=1"},
		"/api/":               {"api", "/api/"},
		"/api/x":              {"api", "/api/x"},
		"/apix":               {"root", "/apix"},
		"/API":                {"root", "/API"},
		"/api/v2":             {"api", "/api/v2"},
		"/api/v2/":            {"below", "/api/v2/"},
		"/api/v2/x?y=/api":    {"below", "/api/v2/x?y=/api"},
		"/api/v2/deep":        {"deep", "/api/v2/deep"},
		"/api/v2/deep/er":     {"deep", "/api/v2/deep/er"},
		"/api/v2/deeper":      {"below", "/api/v2/deeper"},
		"/api/../secret":      {"root", "/secret"},
		"/api/./x":            {"api", "/api/x"},
		"//api//x":            {"api", "/api/x"},
		"/x/..//api":          {"api", "/api"},
		"/api%2Fx":            {"root", "/api%2Fx"},
		"/api/projects/a%2Fb": {"api", "/api/projects/a%2Fb"},
		"/api/a%20b;c=d":      {"api", "/api/a%20b;c=d"},
		// What RFC 3986 calls equivalent is one path, for the routes as for the app, so that nobody slips past a route.
		"/%61pi":     {"api", "/api"},
		"/api/{id}":  {"api", "/api/%7Bid%7D"},
		"/api\\x":    {"api", "/api/x"},
		"/api/..;/x": {"root", "/x"},
	}
	for path, want := range tests {
		got := r.get(path)
		if got.answer.Service != "c1/"+want.service || got.answer.Target != want.target {
			t.Errorf("%s reached %s as %s (status %d); want c1/%s as %s",
				path, got.answer.Service, got.answer.Target, got.status, want.service, want.target)
		}
	}
}

func TestWhatNoPathTakesAnswers404(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(pathWorld), services("/api", "c1/api", "/deep/", "c1/deep")...)
	r.waitStatus("/api", http.StatusOK)
	for _, path := range []string{"/", "/apix", "/API", "/api/../x", "/deep"} {
		if got := r.get(path); got.status != http.StatusNotFound {
			t.Errorf("%s answers %d, want 404", path, got.status)
		}
	}
}

func TestTheSameServiceUnderTwoPaths(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(pathWorld), services("/a", "c1/api", "/b", "c1/api")...)
	r.waitStatus("/a", http.StatusOK)
	r.waitStatus("/b", http.StatusOK)
	if a, b := r.get("/a").answer, r.get("/b").answer; a.Task != b.Task || a.Task == "" {
		t.Errorf("answered by %s and %s", a.Task, b.Task)
	}
	if n := len(r.status().Services); n != 1 {
		t.Errorf("read as %d services, want one", n)
	}
}

func TestEveryMethodAndBodyArrivesAndHeadersAreLeftAlone(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(pathWorld), services("/api", "c1/api")...)
	r.waitStatus("/api", http.StatusOK)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		header := http.Header{
			"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"https"}, "X-Request-Id": {"mine"},
			"X-Envoy-Max-Retries": {"9"}, "X-Envoy-Upstream-Rq-Timeout-Ms": {"1"},
		}
		got, err := r.send(method, "/api/x", strings.NewReader(strings.Repeat("x", 100_000)), header)
		if err != nil || got.answer.Method != method {
			t.Fatalf("%s: %v %+v", method, err, got)
		}
		arrived := got.answer.Headers
		if arrived.Get("X-Forwarded-For") != "192.0.2.1" || arrived.Get("X-Forwarded-Proto") != "https" || arrived.Get("X-Request-Id") != "mine" {
			t.Errorf("%s: the app's own headers arrived as %v", method, arrived)
		}
		for name := range arrived {
			if strings.HasPrefix(name, "X-Envoy-") {
				t.Errorf("%s: %s reached the app", method, name)
			}
		}
	}
}
