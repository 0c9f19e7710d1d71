package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
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
	Target  string      `json:"target"`
	Headers http.Header `json:"headers"`
}

// Backend is a real HTTP server that stands for a container.
type Backend struct {
	server   *http.Server
	listener net.Listener
	done     chan struct{}

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	// broken are the requests whose connection was broken.
	broken map[string]bool
}

// StartBackend listens on the address and answers who it is.
func StartBackend(who Identity, at netip.AddrPort) (*Backend, error) {
	config := net.ListenConfig{}
	l, err := config.Listen(context.Background(), "tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("starting the backend of %s, task %s: %w", who.Service, who.Task, err)
	}
	b := &Backend{listener: l, done: make(chan struct{}), conns: map[net.Conn]struct{}{}, broken: map[string]bool{}}
	both := &http.Protocols{}
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	b.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.answer(who, w, r) }),
		Protocols:         both,
		ReadHeaderTimeout: 10 * time.Second,
		ConnState:         b.track,
	}
	go func() {
		defer close(b.done)
		_ = b.server.Serve(l) // ends with Stop or Kill alone
	}()
	return b, nil
}

// maxSleep bounds what a request may ask for.
const maxSleep = 10 * time.Second

// answer says who answers. The query may ask for a slow answer (sleep=2s), or once for each value for a connection that
// breaks instead (break=x), to see what Envoy makes of it.
func (b *Backend) answer(who Identity, w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
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
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Answer{ // the client went away: nobody is left to tell
		Identity: who, Method: r.Method, Protocol: r.Proto, Target: r.RequestURI, Headers: r.Header,
	})
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

// Stop ends it as a well-behaved app does at SIGTERM: the port closes, requests in flight end, at most until the context
// does.
func (b *Backend) Stop(ctx context.Context) error {
	err := b.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		b.Kill()
		return nil
	}
	<-b.done
	return err
}

// Kill ends it as SIGKILL does: connections are reset.
func (b *Backend) Kill() {
	b.mu.Lock()
	for c := range b.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // close with RST, as the kernel does for a killed process with unread data
		}
	}
	b.mu.Unlock()
	_ = b.server.Close()
	<-b.done
}
