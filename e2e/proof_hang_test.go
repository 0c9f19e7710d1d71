package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// hungApp is what became of a request whose app has read it and says nothing.
type hungApp struct {
	method, timeout string
	status          int
	took            time.Duration
}

// hungRig has the service far/shop behind /shop, whose only task never answers.
func hungRig(t testing.TB, timeout string) *rig {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		<-req.Context().Done()
	}))
	t.Cleanup(app.Close)
	r := newRig(t, `
region: eu-west-1
clusters:
- name: far
  subnet: 127.0.0.0/30
  services: [{name: shop, desired: 1, network: awsvpc, launch: FARGATE, containers: [{name: app}]}]
`, append(services("/shop", "far/shop"), "SERVICE_TIMEOUT_1="+timeout)...)
	_, r.settings["SERVICE_PORT_1"], _ = strings.Cut(strings.TrimPrefix(app.URL, "http://"), ":")
	r.startNightjar()
	r.startEnvoy()
	r.eventually("the route has an endpoint", func() bool {
		return r.status().Ready && len(r.service("far/shop:"+r.settings["SERVICE_PORT_1"]).Endpoints) == 1
	})
	r.envoy.WaitReady()
	return r
}

// ask sends a request that nobody answers.
func (r *rig) ask(method, timeout string, most time.Duration) hungApp {
	client := &http.Client{Timeout: most}
	defer client.CloseIdleConnections()
	begin := time.Now()
	got := hungApp{method: method, timeout: timeout}
	req, err := http.NewRequest(method, r.base+"/shop", strings.NewReader("text"))
	if err == nil {
		var resp *http.Response
		if resp, err = client.Do(req); err == nil {
			got.status = resp.StatusCode
			_ = resp.Body.Close()
		}
	}
	got.took = time.Since(begin)
	return got
}

// hangWithoutTimeout begins what takes 300 s: requests to an app that hangs, where no time-out is set. Only the whole proof does.
func (p *proof) hangWithoutTimeout(t *testing.T) <-chan hungApp {
	t.Helper()
	answers := make(chan hungApp, 2)
	if !p.full {
		close(answers)
		return answers
	}
	r := hungRig(t, "off")
	go func() {
		defer close(answers)
		done := make(chan hungApp)
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			go func() { done <- r.ask(method, "off", 320*time.Second) }()
		}
		answers <- <-done
		answers <- <-done
	}()
	return answers
}

// hang has an app that reads requests and says nothing: SERVICE_TIMEOUT_X bounds them.
func (p *proof) hang(t *testing.T, silent <-chan hungApp) {
	r := hungRig(t, "1s")
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		got := r.ask(method, "1s", proofLimit)
		p.hung = append(p.hung, got)
		if got.status != http.StatusGatewayTimeout || got.took < 900*time.Millisecond || got.took > 3*time.Second {
			t.Errorf("%s with SERVICE_TIMEOUT_1=1s: %d after %s", method, got.status, got.took)
		}
	}
	for got := range silent {
		p.hung = append(p.hung, got)
		if got.status == 0 || got.took < 299*time.Second || got.took > 310*time.Second {
			t.Errorf("%s without a time-out: %d after %s", got.method, got.status, got.took)
		}
	}
	for _, got := range p.hung {
		t.Logf("%s, SERVICE_TIMEOUT_1=%s: %d after %.2f s", got.method, got.timeout, got.status, got.took.Seconds())
	}
}
