package envoytest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/envoy"
)

// recorder is a test whose failures are what is tested.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recorder) Error(args ...any) { r.errors = append(r.errors, fmt.Sprint(args...)) }

const (
	admin = "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n"
	limit = `overload_manager:
  resource_monitors:
  - name: envoy.resource_monitors.global_downstream_max_connections
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
      max_active_downstream_connections: 1000
`
	// The use that Envoy counts is not this one but what it makes of it; uses in the bootstrap itself come before its
	// counters, and show in the log alone.
	deprecated = "admin: {access_log_path: /dev/null, address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n"
)

func TestStopJudgesTheRun(t *testing.T) {
	for name, test := range map[string]struct {
		bootstrap string
		allow     []string
		want      []string
	}{
		"nothing to say":      {bootstrap: admin + limit},
		"a warning":           {bootstrap: admin, want: []string{"no configured limit to the number of allowed active downstream connections"}},
		"an expected warning": {bootstrap: admin, allow: []string{"no configured limit to the number"}},
		"a deprecated feature": {
			bootstrap: deprecated + limit,
			allow:     []string{"deprecated option"},
			want:      []string{"runtime.deprecated_feature_use is 1"},
		},
		"a deprecated field of the bootstrap": {
			bootstrap: deprecated + limit,
			allow:     []string{"FileAccessLog.format"},
			want:      []string{"runtime.deprecated_feature_use is 1", "Admin.access_log_path"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			e := Start(r, Options{Bootstrap: []byte(test.bootstrap), Allow: test.allow})
			e.WaitReady()
			e.Stop()
			if len(r.errors) != len(test.want) {
				t.Fatalf("the test failed with %q, want %q", r.errors, test.want)
			}
			for i, want := range test.want {
				if !strings.Contains(r.errors[i], want) {
					t.Errorf("the test failed with %q, want %q", r.errors[i], want)
				}
			}
		})
	}
}

func TestStopOfAnEnvoyThatEndedFails(t *testing.T) {
	r := &recorder{TB: t}
	e := Start(r, Options{Bootstrap: []byte(admin + limit)})
	kill(t, e.Process)
	e.Stop()
	if said := strings.Join(r.errors, "\n"); !strings.Contains(said, "ended by itself (signal: killed)") {
		t.Errorf("the test failed with %q, want that Envoy ended by itself", said)
	}
}

func TestLogCheckReadsLinesInPieces(t *testing.T) {
	c := newLogCheck([]string{"expected"})
	for _, piece := range []string{
		"[2026-11-24 03:02:29.850][1][info][config] a [warning] in the text\n[2026-11-24 03:02:29.850][1][warn",
		"ing][config] bad one\n[2026-11-24 03:02:29.850][1][warning][config] expected\n",
		"[2026-11-24 03:02:29.850][1][critical][main] bad two\n",
		"[2026-11-24 03:02:29.850][1][warning][main] caught ENVOY_SIGTERM\n",
	} {
		fmt.Fprint(c, piece)
	}
	got := c.unexpected()
	if len(got) != 2 || !strings.HasSuffix(got[0], "bad one") || !strings.HasSuffix(got[1], "bad two") {
		t.Errorf("found %q, want the lines bad one and bad two", got)
	}
}

func kill(t *testing.T, p *envoy.Process) {
	t.Helper()
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
}
