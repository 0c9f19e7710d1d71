package cli

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/explain"
)

func addressOf(t *testing.T, l net.Listener) config.Address {
	t.Helper()
	at, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return config.Address{Network: "tcp", Host: at.Addr().String(), Port: at.Port()}
}

func TestWhatARunningNightjarSeesIsTaken(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/status" {
			_, _ = io.WriteString(w, `{"services":[{"name":"c1/web","excluded":[{"task":"t1","reason":"UNHEALTHY","since":"2026-03-14T12:03:00Z"}]}]}`)
		}
	}))
	t.Cleanup(server.Close)
	got := seen(t.Context(), addressOf(t, server.Listener))
	want := time.Date(2026, 3, 14, 12, 3, 0, 0, time.UTC)
	if at := got[explain.Sight{Service: "c1/web", Task: "t1", Reason: "UNHEALTHY"}]; !at.Equal(want) || len(got) != 1 {
		t.Fatalf("%v", got)
	}
}

// What answers at the admin address may be anything, or nothing: explain goes on without it, and soon.
func TestWithoutARunningNightjarNothingIsSeen(t *testing.T) {
	t.Parallel()
	answers := map[string]http.HandlerFunc{
		"a page":       func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"not found":    http.NotFound,
		"another JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[1]`) },
		"no answer":    func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"no end": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
			}
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(answer)
			t.Cleanup(server.Close)
			begin := time.Now()
			if got := seen(context.Background(), addressOf(t, server.Listener)); len(got) != 0 {
				t.Errorf("%v", got)
			}
			if took := time.Since(begin); took > 5*seenPatience {
				t.Errorf("took %s", took)
			}
		})
	}
	if got := seen(t.Context(), config.Address{Network: "unix", Path: "/nowhere"}); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
