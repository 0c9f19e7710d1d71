// Package admin is nightjar's own HTTP: health, readiness, metrics and status. What it tells comes from one place,
// Report, so that the commands, the page and the JSON can't disagree.
package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/groboclown/nightjar-mesh/internal/control"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// Loop is what admin asks of the control loop.
type Loop interface {
	Status() control.Status
}

// Envoys is what admin asks of the xDS server.
type Envoys interface {
	Nodes() []xds.Node
	LastRefusal() *xds.Refusal
	Accepted() bool
	// Left is when the last one that went disconnected, zero where none did.
	Left() time.Time
}

// Rates is what admin asks of the call budget: calls a second, by AWS bucket.
type Rates interface {
	Rates() map[string]float64
}

// Reader is what admin asks of the reader of AWS.
type Reader interface {
	Pace() ReadPace
}

// ReadPace is how often a Reader reads what; zero before it knows.
type ReadPace struct {
	// Quiet is how often a service is read while nothing of it changes, Moving while something does, and Tasks how often running
	// tasks are.
	Quiet, Moving, Tasks time.Duration
	// Readers are the sidecars that it sees reading as it does, itself included.
	Readers int
	// Words say what that costs and gets.
	Words string
}

// Server answers the admin address.
type Server struct {
	Version string
	Loop    Loop
	Envoys  Envoys
	Rates   Rates
	Metrics *Metrics
	// Reader tells the pace; nil where nobody reads AWS.
	Reader Reader
	// EnvoyNote tells what was found when Envoy's admin API was asked because no xDS stream came, "" for nothing; nil where
	// nobody asks.
	EnvoyNote func() string
}

// Serve answers on the listener until the context ends, and then closes it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s.handlerOn(l.Addr()),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serving the admin address %s: %w", l.Addr(), err)
	}
	return nil
}

// Handler answers the page for people at /, /healthz, /readyz, /metrics and /api/status, to GET alone.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /api/status", s.status)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics.gatherer(s), promhttp.HandlerOpts{}))
	mux.Handle("GET /{$}", newPage(s.Report))
	return mux
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if reason := notReady(s.Loop.Status(), s.Envoys.Accepted(), len(s.Envoys.Nodes())); reason != "" {
		text(w, http.StatusServiceUnavailable, reason)
		return
	}
	text(w, http.StatusOK, "ready")
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(s.Report()) // the client went away: nobody is left to tell
}

func text(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, line)
}
