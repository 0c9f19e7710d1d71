package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
)

// Identity says who answers.
type Identity struct {
	Service   string `json:"service"`
	Task      string `json:"task"`
	Revision  string `json:"revision"`
	Container string `json:"container"`
	// Port is the container port.
	Port uint16 `json:"port"`
}

// Answer is what a backend answers to every request.
type Answer struct {
	Identity
	Method string `json:"method"`
	// Protocol is what the request came by, such as HTTP/1.1.
	Protocol string `json:"protocol"`
	// Target is the request's path and query, as they arrived.
	Target string `json:"target"`
	// Received is the size of the request's body in bytes.
	Received int64       `json:"received"`
	Headers  http.Header `json:"headers"`
}

// Backend is a real server that stands for a container: HTTP/1.1 and HTTP/2, gRPC and websockets on one port.
type Backend struct {
	server   *http.Server
	grpc     *grpc.Server
	listener net.Listener
	done     chan struct{}
	// stopping is closed at SIGTERM, which ends the streams of gRPC.
	stopping chan struct{}
	sigterm  sync.Once

	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	sockets map[*websocket.Conn]net.Conn
	// broken are the requests whose connection was broken.
	broken map[string]bool
	// working are the requests that are answered now.
	working atomic.Int64
}

// StartBackend listens on the address and answers who it is.
func StartBackend(who Identity, at netip.AddrPort) (*Backend, error) {
	config := net.ListenConfig{}
	l, err := config.Listen(context.Background(), "tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("starting the backend of %s, task %s: %w", who.Service, who.Task, err)
	}
	stopping := make(chan struct{})
	b := &Backend{
		listener: l, done: make(chan struct{}), stopping: stopping, grpc: newEchoServer(who, stopping),
		conns: map[net.Conn]struct{}{}, sockets: map[*websocket.Conn]net.Conn{}, broken: map[string]bool{},
	}
	both := &http.Protocols{}
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	b.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.answer(who, w, r) }),
		Protocols:         both,
		ReadHeaderTimeout: 10 * time.Second,
		ConnState:         b.track,
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	go func() {
		defer close(b.done)
		_ = b.server.Serve(l) // ends with Stop or Kill alone
	}()
	return b, nil
}

// maxSleep bounds what a request may ask for.
const maxSleep = 10 * time.Second

// maxBody bounds a request's body, in bytes.
const maxBody = 16 << 20

// answer says who answers. The query may ask for a slow answer (sleep=2s), or once for each value for a connection that
// breaks instead (break=x), to see what Envoy makes of it, or for the number of requests that are answered now (working), which
// the header X-Working then has.
func (b *Backend) answer(who Identity, w http.ResponseWriter, r *http.Request) {
	if isGRPC(r) {
		b.grpc.ServeHTTP(w, r)
		return
	}
	working := b.working.Add(1)
	defer b.working.Add(-1)
	query := r.URL.Query()
	if query.Has("working") {
		w.Header().Set("X-Working", strconv.FormatInt(working, 10))
	}
	if d, err := time.ParseDuration(query.Get("sleep")); err == nil {
		select {
		case <-time.After(min(d, maxSleep)):
		case <-r.Context().Done():
			return
		}
	}
	if name := query.Get("break"); name != "" && b.first(name) {
		panic(http.ErrAbortHandler)
	}
	answer := Answer{Identity: who, Method: r.Method, Protocol: r.Proto, Target: r.RequestURI, Headers: r.Header}
	if isWebsocket(r) {
		b.echoSocket(answer, w, r)
		return
	}
	var err error
	if answer.Received, err = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		panic(http.ErrAbortHandler) // a body that is cut off has no answer
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the client went away: nobody is left to tell
}

// first tells whether a name is seen for the first time.
func (b *Backend) first(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken[name] || len(b.broken) >= 1000 {
		return false
	}
	b.broken[name] = true
	return true
}

func (b *Backend) track(c net.Conn, state http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(b.conns, c)
		return
	}
	b.conns[c] = struct{}{}
}

// refuse closes the port. Connections that are open stay so.
func (b *Backend) refuse() { _ = b.listener.Close() }

// Stop ends it as a well-behaved app does at SIGTERM: the port closes, streams are told to go elsewhere, requests in flight end,
// at most until the context does.
func (b *Backend) Stop(ctx context.Context) error {
	b.sigterm.Do(func() { close(b.stopping) })
	b.closeSockets(true)
	err := b.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		b.Kill()
		return nil
	}
	<-b.done
	b.closeSockets(true) // those that began meanwhile
	b.grpc.Stop()
	if errors.Is(err, net.ErrClosed) {
		return nil // refuse had closed the port, and the server had not seen it yet
	}
	return err
}

// Kill ends it as SIGKILL does: connections are reset.
func (b *Backend) Kill() {
	b.mu.Lock()
	for c := range b.conns {
		reset(c)
	}
	b.mu.Unlock()
	b.closeSockets(false)
	_ = b.server.Close()
	<-b.done
	b.grpc.Stop()
}
