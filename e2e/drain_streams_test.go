package e2e

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/groboclown/nightjar-mesh/internal/demo"
)

// ending keeps how a connection ended for its reader.
type ending struct {
	net.Conn
	mu   sync.Mutex
	last error
}

// Read keeps its error.
func (e *ending) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	if err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.last = err
	}
	return n, err
}

func (e *ending) err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

// streamEnds are how a websocket and a gRPC stream ended, on which something was said without a pause, and when.
type streamEnds struct {
	socket, connection, call error
	at                       time.Time
}

// streams opens a websocket and a gRPC stream, and returns a function that waits for their ends.
func (p *pair) streams() func() streamEnds {
	t := p.t.(*testing.T)
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.base, "http://"))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	watched := &ending{Conn: conn}
	config, err := websocket.NewConfig("ws"+strings.TrimPrefix(p.base, "http")+"/", p.base)
	must(t, err)
	ws, err := websocket.NewClient(config, watched)
	must(t, err)
	stream := openEcho(t, dialGRPC(t, p.base), "/own.Echo/"+demo.EchoBidiStream)
	var ends streamEnds
	var all sync.WaitGroup
	all.Go(func() {
		for text := ""; ends.socket == nil; {
			if ends.socket = websocket.Message.Receive(ws, &text); ends.socket == nil {
				time.Sleep(20 * time.Millisecond)
				_ = websocket.Message.Send(ws, "still there?") // how it ends is what the reader sees
			}
		}
		ends.connection = watched.err()
	})
	all.Go(func() {
		for ends.call == nil {
			_ = stream.Send(demo.EchoRequest{Message: "still there?"})
			if _, ends.call = stream.Receive(); ends.call == nil {
				time.Sleep(20 * time.Millisecond)
			}
		}
		ends.at = time.Now()
	})
	p.eventually("both are in flight", func() bool {
		load, err := p.admin.Load(t.Context())
		return err == nil && load.Ingress.Active >= 2
	})
	return func() streamEnds { all.Wait(); return ends }
}

// startStreams starts a pair with ingress alone.
func startStreams(t *testing.T, settings ...string) *pair {
	t.Helper()
	p := startPair(t, append([]string{"EGRESS_LISTEN_PORT=", "SERVICE_ARN_1=", "SERVICE_PATH_1="}, settings...)...)
	p.waitStatus("/own.Echo", http.StatusOK)
	return p
}

func reset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || err != nil && strings.Contains(err.Error(), "reset by peer")
}

// TestStreamsEndAsTheAppEndsThem has the app stopped first: its close frame and its trailers arrive, and Envoy waits for them.
func TestStreamsEndAsTheAppEndsThem(t *testing.T) {
	t.Parallel()
	for _, atOnce := range []bool{false, true} {
		p := startStreams(t)
		ended := p.streams()
		p.stop(true)
		if atOnce {
			p.signal(syscall.SIGTERM)
		}
		ends := ended()
		if !errors.Is(ends.socket, io.EOF) || reset(ends.connection) {
			t.Errorf("the websocket ends with %v, its connection with %v", ends.socket, ends.connection)
		}
		if s := status.Convert(ends.call); s.Code() != codes.Unavailable || s.Message() != "the app is stopping" {
			t.Errorf("the gRPC stream ends with %v, want the app's own words", ends.call)
		}
		p.eventually("the app has stopped", p.stopped)
		if !atOnce {
			p.signal(syscall.SIGTERM)
		}
		p.leaves(10*time.Second, 0)
	}
}

// TestStreamsGoOnUntilTheDrainTimeIsOver has Envoy stopped first, and an app that keeps its streams.
func TestStreamsGoOnUntilTheDrainTimeIsOver(t *testing.T) {
	t.Parallel()
	const drainTime = 5 * time.Second
	p := startStreams(t, "NIGHTJAR_DRAIN_TIME="+drainTime.String())
	ended := p.streams()
	client, reused := http2Client(t), false
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { reused = got.Reused }}
	request := func() bool {
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, p.base+"/", http.NoBody)
		must(t, err)
		resp, err := client.Do(r)
		must(t, err)
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("a request while it drains: %d %v", resp.StatusCode, err)
		}
		return reused
	}
	request()
	if !request() {
		t.Error("while it serves, a connection of HTTP/2 is kept")
	}
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	p.unhealthy(time.Second)
	request() // its answer has GOAWAY with it
	p.within(time.Second, "a client of HTTP/2 is told to go elsewhere", func() bool { return !request() })
	ends := ended()
	if took := ends.at.Sub(begin); took < drainTime-2500*time.Millisecond || took > drainTime {
		t.Errorf("the gRPC stream ends %s after SIGTERM, want about the drain time", took)
	}
	t.Logf("after %s: websocket: %v (%v), gRPC: %v", ends.at.Sub(begin).Round(time.Millisecond), ends.socket, ends.connection, ends.call)
	if !errors.Is(ends.socket, io.EOF) || reset(ends.connection) {
		t.Errorf("the websocket ends with %v, its connection with %v", ends.socket, ends.connection)
	}
	if status.Code(ends.call) != codes.Unavailable || reset(ends.call) {
		t.Errorf("the gRPC stream ends with %v", ends.call)
	}
	if took := p.leaves(10*time.Second, 0).Sub(begin); took > drainTime+500*time.Millisecond {
		t.Errorf("it leaves after %s", took)
	}
}
