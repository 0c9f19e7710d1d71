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
}

// StartBackend listens on the address and answers who it is.
func StartBackend(who Identity, at netip.AddrPort) (*Backend, error) {
	config := net.ListenConfig{}
	l, err := config.Listen(context.Background(), "tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("starting the backend of %s, task %s: %w", who.Service, who.Task, err)
	}
	b := &Backend{listener: l, done: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	b.server = &http.Server{
		Handler:           http.HandlerFunc(who.answer),
		ReadHeaderTimeout: 10 * time.Second,
		ConnState:         b.track,
	}
	go func() {
		defer close(b.done)
		_ = b.server.Serve(l) // ends with Stop or Kill alone
	}()
	return b, nil
}

func (who Identity) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Answer{ // the client went away: nobody is left to tell
		Identity: who, Method: r.Method, Target: r.RequestURI, Headers: r.Header,
	})
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
