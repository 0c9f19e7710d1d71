package envoy_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/envoy"
)

// post is a Lookout that looks out, in virtual time.
type post struct {
	*envoy.Lookout
	connected atomic.Bool
	asks      atomic.Int32

	mu    sync.Mutex
	log   bytes.Buffer
	sight envoy.Sight
	err   error // of asking
	away  error // of finding the address
	hang  bool  // an ask doesn't return before its time is over, and an Envoy comes meanwhile
}

func (p *post) where(context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return "localhost:9901", p.away
}

func (p *post) ask(ctx context.Context, _ string) (envoy.Sight, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asks.Add(1)
	if p.hang {
		<-ctx.Done()
		p.connected.Store(true)
	}
	return p.sight, p.err
}

// Write takes the log.
func (p *post) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(line)
}

// logged is the log so far.
func (p *post) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// change changes what the Lookout sees.
func (p *post) change(how func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how()
}

// lookOut starts a Lookout that sees what p says, and has as many seconds pass.
func lookOut(t *testing.T, p *post) {
	t.Helper()
	p.Lookout = &envoy.Lookout{
		Connected: p.connected.Load, XDS: "127.0.0.1:9902", Log: slog.New(slog.NewTextHandler(p, nil)),
		Where: p.where, Ask: p.ask,
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
}

// pass lets virtual time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

var astray = envoy.Sight{Version: "1.40.0", State: "LIVE", XDS: []string{"127.0.0.1:1234"}}

func TestALonelyNightjarSaysWhatEnvoyDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &post{sight: astray}
		lookOut(t, p)
		pass(9 * time.Second)
		if p.asks.Load() != 0 || p.Note() != "" {
			t.Fatalf("before 10 s there were %d asks, and the note is %q", p.asks.Load(), p.Note())
		}
		pass(2 * time.Second)
		const want = "Envoy 1.40.0 at localhost:9901 is up (LIVE), and no xDS stream came in 10 s: its bootstrap's xDS address is " +
			"127.0.0.1:1234, mine is 127.0.0.1:9902: set NIGHTJAR_XDS_LISTEN"
		if !strings.HasPrefix(p.Note(), want) || !strings.Contains(p.Note(), "`nightjar bootstrap`") {
			t.Fatalf("the note is %q", p.Note())
		}
		pass(time.Minute)
		if n := strings.Count(p.logged(), "\n"); n != 1 || !strings.Contains(p.logged(), "level=WARN") || !strings.Contains(p.logged(), want) {
			t.Errorf("the log has %d lines:\n%s", n, p.logged())
		}
		if p.asks.Load() < 10 || p.asks.Load() > 14 {
			t.Errorf("%d asks in a minute", p.asks.Load())
		}
		p.change(func() { p.sight.XDS = []string{"127.0.0.1:9902"} }) // somebody mends the bootstrap
		pass(6 * time.Second)
		if n := strings.Count(p.logged(), "\n"); n != 2 || !strings.Contains(p.Note(), "of the same task") {
			t.Errorf("after a new finding the note is %q, and the log has %d lines:\n%s", p.Note(), n, p.logged())
		}
	})
}

func TestALookoutRestsWhileAnEnvoyIsConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &post{sight: astray}
		p.connected.Store(true)
		lookOut(t, p)
		pass(time.Hour)
		if p.asks.Load() != 0 || p.logged() != "" {
			t.Fatalf("%d asks while an Envoy is connected, and the log has %s", p.asks.Load(), p.logged())
		}
		p.connected.Store(false)
		pass(8 * time.Second)
		if p.asks.Load() != 0 {
			t.Fatalf("%d asks before the stream is gone for 10 s", p.asks.Load())
		}
		pass(5 * time.Second)
		if p.asks.Load() == 0 || p.Note() == "" {
			t.Fatalf("%d asks after the stream is gone, and the note is %q", p.asks.Load(), p.Note())
		}
		p.connected.Store(true)
		if p.Note() != "" {
			t.Errorf("with an Envoy connected the note is %q", p.Note())
		}
		pass(2 * time.Second)
		p.connected.Store(false)
		if p.Note() != "" {
			t.Errorf("as the stream goes again the note is %q", p.Note())
		}
		pass(12 * time.Second)
		if n := strings.Count(p.logged(), "\n"); n != 2 {
			t.Errorf("each loss is told once; the log has:\n%s", p.logged())
		}
	})
}

func TestALookoutWithoutAnEnvoyNamesTheSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &post{err: errors.New("connection refused")}
		lookOut(t, p)
		pass(time.Minute)
		got := p.logged()
		if strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=INFO") || !strings.Contains(got, "connection refused") {
			t.Errorf("the log has:\n%s", got)
		}
		for _, want := range []string{"ENVOY_CONTAINER_NAME", "ENVOY_ADMIN_PORT", "localhost:9901"} {
			if !strings.Contains(p.Note(), want) {
				t.Errorf("the note lacks %s: %q", want, p.Note())
			}
		}
		p.change(func() { p.away = errors.New("the container envoy is not created yet") })
		pass(time.Minute)
		if !strings.Contains(p.Note(), "the container envoy is not created yet") || strings.Count(p.logged(), "\n") != 2 {
			t.Errorf("the note is %q", p.Note())
		}
	})
}

func TestALookoutIsNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &post{sight: astray, hang: true}
		lookOut(t, p)
		pass(time.Minute)
		if p.asks.Load() != 1 || p.logged() != "" || p.Note() != "" {
			t.Errorf("after %d asks that hang the note is %q, and the log has %s", p.asks.Load(), p.Note(), p.logged())
		}
	})
}
