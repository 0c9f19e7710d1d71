package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestIngressMarksWhatNeverReachedTheApp has an app behind ingress that forges the mark, and then is gone. With the mark the
// calling task's Envoy may send a POST again, elsewhere.
func TestIngressMarksWhatNeverReachedTheApp(t *testing.T) {
	t.Parallel()
	const mark = "X-Nightjar-Unsent"
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(mark, "forged")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer app.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(app.URL, "http://"), ":")
	r := inOwnTask(t, ownWorld("awsvpc", fmt.Sprintf("{name: web, ports: [%s]}", freePorts(t, 1)[0])), containersOf("/", "web", port)...)
	r.startNightjar()
	r.startEnvoy()
	post := func() response {
		got, _ := r.send(http.MethodPost, "/", strings.NewReader("text"), nil) // status 0 while Envoy has no listener yet
		return got
	}
	r.eventually("the app's own 503 arrives, without the mark that it forged", func() bool {
		got := post()
		return got.status == http.StatusServiceUnavailable && got.body == "" && got.header.Get(mark) == ""
	})
	app.Close()
	r.eventually("a request that can't reach it is marked", func() bool {
		got := post()
		return got.status == http.StatusServiceUnavailable && got.header.Get(mark) == "1"
	})
}

// TestTheMarkIsShownToNoCaller has an app without ingress answer with the mark: egress tries again, as often as it
// does for anything, and the caller never sees the mark.
func TestTheMarkIsShownToNoCaller(t *testing.T) {
	t.Parallel()
	r := newRig(t, `
region: eu-west-1
clusters:
- name: far
  subnet: 127.0.0.0/30
  services: [{name: shop, desired: 1, network: awsvpc, launch: FARGATE, containers: [{name: app}]}]
`, services("/shop", "far/shop")...)
	var asked atomic.Int32
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("X-Nightjar-Unsent", "forged")
	}))
	defer app.Close()
	_, r.settings["SERVICE_PORT_1"], _ = strings.Cut(strings.TrimPrefix(app.URL, "http://"), ":")
	r.startNightjar()
	r.startEnvoy()
	r.waitStatus("/shop", http.StatusOK)
	asked.Store(0)
	if got := r.get("/shop"); got.status != http.StatusOK || got.header.Get("X-Nightjar-Unsent") != "" {
		t.Errorf("%d %v", got.status, got.header)
	}
	if n := asked.Load(); n < 1 || n > 6 {
		t.Errorf("the app was asked %d times", n)
	}
}
