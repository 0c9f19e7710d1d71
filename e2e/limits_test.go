package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// TestHeadersAreBounded sends requests with headers beyond what docs/limits.md has, and some below.
func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	r := startAll(t, "region: eu-west-1\nclusters:\n- {name: c1, subnet: NET.8.0/24, services: [{name: web, desired: 1, network: awsvpc, "+
		"launch: FARGATE, containers: [{name: app, ports: [8080]}]}]}\n", append(services("/web", "c1/web"), "SERVICE_PORT_1=8080")...)
	r.waitStatus("/web", http.StatusOK)
	slow := make(chan string, 1)
	go func() { slow <- answerToNothing(r.base) }() // takes 10 s
	long := func(bytes int) http.Header { return http.Header{"X-Long": {strings.Repeat("a", bytes)}} }
	many := func(count int) http.Header {
		h := http.Header{}
		for n := range count {
			h.Set(fmt.Sprint("X-", n), "1")
		}
		return h
	}
	for _, c := range []struct {
		what   string
		header http.Header
		status int
	}{
		{"50 KiB", long(50 << 10), http.StatusOK},
		{"61 KiB", long(61 << 10), http.StatusRequestHeaderFieldsTooLarge},
		{"80 headers", many(80), http.StatusOK},
		{"101 headers", many(101), http.StatusRequestHeaderFieldsTooLarge},
	} {
		if got, err := r.send(http.MethodGet, "/web", nil, c.header); err != nil || got.status != c.status {
			t.Errorf("%s: %d %v, want %d", c.what, got.status, err, c.status)
		}
	}
	if line := <-slow; !strings.Contains(line, " 408 ") {
		t.Errorf("headers that don't end: %q, want 408", line)
	}
}

// answerToNothing is the first line that answers a request whose headers don't end.
func answerToNothing(base string) string {
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "GET /web HTTP/1.1\r\nHost: web\r\nX-Slow: "); err != nil {
		return err.Error()
	}
	answer := make([]byte, 100)
	n, err := conn.Read(answer)
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(answer[:n]), "\r\n")
	return line
}

// TestFlagsThatNightjarAvoids has an Envoy with routes of its own show what docs/troubleshooting.md says of flags that
// can't be had with nightjar's at will: an Envoy cluster that is missing, and one that has all the requests it may have.
func TestFlagsThatNightjarAvoids(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.NotFoundHandler())
	defer app.Close()
	_, appPort, _ := net.SplitHostPort(app.Listener.Addr().String())
	port := freePorts(t, 1)[0]
	bootstrap, err := os.ReadFile("testdata/flags.yaml")
	must(t, err)
	var log bytes.Buffer
	envoy := envoytest.Start(t, envoytest.Options{
		Bootstrap: []byte(strings.NewReplacer("APP_PORT", appPort, "PORT", port).Replace(string(bootstrap))), Stdout: &log, Allow: []string{"no configured limit"},
	})
	envoy.WaitReady()
	for _, path := range []string{"/missing", "/full"} {
		answer, err := http.Get("http://127.0.0.1:" + port + path)
		must(t, err)
		must(t, answer.Body.Close())
	}
	envoy.Stop()
	page, err := os.ReadFile("../docs/troubleshooting.md")
	must(t, err)
	for _, row := range []string{"| 503 | `NC` | `cluster_not_found` |", "| 503 | `UO` | `upstream_reset_before_response_started{overflow}` |"} {
		if !strings.Contains(string(page), row) || !strings.Contains(log.String(), row) {
			t.Errorf("want %s in docs/troubleshooting.md and in the access log:\n%s", row, &log)
		}
	}
}
