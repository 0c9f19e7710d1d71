package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// TestDocsFlagsOfTheAccessLogMeanWhatIsWritten brings about what docs/troubleshooting.md has flags for, with a real Envoy, and
// compares the table there with its access log.
func TestDocsFlagsOfTheAccessLogMeanWhatIsWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, worldOf(`
- {name: empty, desired: 0, network: bridge, containers: [{name: web, ports: [8080]}]}
- {name: web, desired: 2, network: bridge, containers: [{name: web, ports: [8080]}]}
- {name: wrong, desired: 2, network: awsvpc, launch: FARGATE, containers: [{name: web, ports: [8080]}]}
`), append(services("/empty", "c1/empty", "/wrong", "c1/wrong", "/web", "c1/web", "/late", "c1/web"),
		"SERVICE_PORT_2=8081", "SERVICE_TIMEOUT_4=200ms")...)
	r.startNightjar()
	out := &buffer{}
	r.envoy = envoytest.Start(t, envoytest.Options{Bootstrap: []byte(r.run("bootstrap")), Stdout: out})
	r.waitStatus("/web", http.StatusOK)
	r.waitStatus("/late", http.StatusOK)
	r.eventually("the tasks without a server are there", func() bool { return len(r.service("c1/wrong:8081").Endpoints) == 2 })
	for target, method := range map[string]string{
		"/nothing": "GET", "/empty/": "GET", "/wrong/": "GET", "/web/broken?break=9": "POST", "/late/?sleep=2s": "GET",
	} {
		if _, err := r.send(method, target, nil, nil); err != nil {
			t.Error(err)
		}
	}
	r.leaveEarly("/web/left?sleep=2s")
	r.envoy.Stop() // which writes what is buffered
	lines, page := out.lines(), readDoc(t, "../docs/troubleshooting.md")
	for _, path := range []string{"/nothing", "/empty/", "/wrong/", "/web/broken", "/late/", "/web/left"} {
		i := slices.IndexFunc(lines, func(l map[string]any) bool { return l["path"] == path })
		if i < 0 {
			t.Errorf("the access log lacks %s", path)
			continue
		}
		detail, _, _ := strings.Cut(fmt.Sprint(lines[i]["detail"]), "{")
		row := fmt.Sprintf("\n| %v | `%v` | `%s` |", lines[i]["status"], lines[i]["flags"], detail)
		if !strings.Contains(page, row) {
			t.Errorf("the page lacks the row %s\nof %v", row, lines[i])
		}
	}
}

// leaveEarly sends a GET, doesn't wait for the answer, and returns when Envoy has noticed that.
func (r *rig) leaveEarly(target string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+target, nil)
	must(r.t, err)
	if resp, err := http.DefaultClient.Do(request); err == nil {
		_ = resp.Body.Close()
		r.t.Fatalf("it was answered early: %s", resp.Status)
	}
	r.eventually("Envoy notices that the client has left", func() bool {
		stats, err := r.envoy.Admin.Stats(context.Background(), "http.egress.downstream_rq_active")
		return err == nil && stats["http.egress.downstream_rq_active"] == 0
	})
}
