// Package envoytest runs a real Envoy in tests. A test that uses it fails where there is no Envoy, says how to get one,
// and fails too when Envoy logs a warning that nobody expected or counts a use of a deprecated feature.
package envoytest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/envoy"
)

const (
	// patience bounds each wait for Envoy; on an idle machine it starts in 0.1 s.
	patience = 30 * time.Second
	// poll is how often a condition is looked at.
	poll = 5 * time.Millisecond
)

// Path is the path of a real Envoy, fetched where need be. With -short the test is left out, and says so.
func Path(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("left out with -short: it needs a real Envoy")
	}
	path, err := envoy.Find(t.Context(), envoy.FindOptions{Path: os.Getenv("NIGHTJAR_ENVOY_PATH"), Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Options say how a test's Envoy is started.
type Options struct {
	// Bootstrap is its configuration, YAML. The admin API's port may be 0.
	Bootstrap []byte
	// Concurrency is its number of worker threads; 0 is 1.
	Concurrency int
	// Allow are texts: a warning or error that holds one of them is expected. Those of a closed xDS stream and of a signal
	// always are.
	Allow []string
	// Stdout gets what Envoy writes there, such as access logs; nil throws it away.
	Stdout io.Writer
}

// Envoy is an Envoy that runs for a test.
type Envoy struct {
	Process *envoy.Process
	Admin   *envoy.Admin

	t       testing.TB
	log     *logCheck
	stopped bool
}

// Start starts an Envoy that is stopped, and judged, when the test ends. It returns when the admin API answers, which is
// before Envoy has any configuration from xDS.
func Start(t testing.TB, o Options) *Envoy {
	t.Helper()
	file := filepath.Join(t.TempDir(), "admin-address")
	log := newLogCheck(o.Allow)
	// t's own context ends before the clean-up, which still wants to ask Envoy.
	process, err := envoy.Start(context.WithoutCancel(t.Context()), envoy.ProcessOptions{
		Path:        Path(t),
		Bootstrap:   o.Bootstrap,
		Concurrency: max(1, o.Concurrency),
		Args:        []string{"--admin-address-path", file},
		Stdout:      o.Stdout,
		Stderr:      log,
	})
	if err != nil {
		t.Fatal(err)
	}
	e := &Envoy{Process: process, t: t, log: log}
	t.Cleanup(e.Stop)
	e.wait("writing the address of its admin API", func() bool {
		address, err := os.ReadFile(file)
		if err != nil || len(address) == 0 {
			return false
		}
		e.Admin = adminAt(strings.TrimSpace(string(address)))
		return true
	})
	return e
}

func adminAt(address string) *envoy.Admin {
	if strings.HasPrefix(address, "/") {
		return envoy.NewAdmin("unix", address)
	}
	return envoy.NewAdmin("tcp", address)
}

// WaitReady waits until Envoy is live: it has got its Envoy clusters and listeners.
func (e *Envoy) WaitReady() {
	e.t.Helper()
	e.wait("being ready", func() bool { return e.Admin.Ready(e.t.Context()) == nil })
}

// wait fails the test where Envoy ends, or the condition doesn't come true.
func (e *Envoy) wait(what string, condition func() bool) {
	e.t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !condition() {
		select {
		case <-e.Process.Done():
			e.t.Fatalf("waiting for Envoy's %s: %v", what, e.Process.Wait())
		case <-late:
			e.t.Fatalf("waiting for Envoy's %s: it did not come in %s; its log:\n%s", what, patience, e.Process.Log())
		case <-tick.C:
		}
	}
}

// Stop ends Envoy with SIGTERM, and fails the test for a deprecated feature, for a warning that was not expected, and
// where Envoy had ended before. A second call does nothing.
func (e *Envoy) Stop() {
	e.t.Helper()
	if e.stopped {
		return
	}
	e.stopped = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.t.Context()), patience)
	defer cancel()
	if e.Admin != nil {
		e.checkDeprecated(ctx)
	}
	if err := e.Process.Stop(ctx); err != nil {
		e.t.Error(err)
	}
	for _, line := range e.log.unexpected() {
		e.t.Errorf("Envoy logged: %s", line)
	}
}

func (e *Envoy) checkDeprecated(ctx context.Context) {
	e.t.Helper()
	const counter = "runtime.deprecated_feature_use"
	stats, err := e.Admin.Stats(ctx, counter)
	if err != nil {
		e.t.Errorf("asking how many deprecated features are used: %v", err)
		return
	}
	if uses, there := stats[counter]; !there || uses != 0 {
		e.t.Errorf("Envoy's counter %s is %d (there: %t), want 0; the log names the feature:\n%s", counter, uses, there, e.Process.Log())
	}
}
