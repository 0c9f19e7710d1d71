package envoy

import (
	"context"
	"strings"
)

// Load is what an Envoy has to do for its clients.
type Load struct {
	// Ingress and Egress are all listeners of a direction, which are named after it (a public promise of nightjar's).
	Ingress, Egress Lane
}

// Lane is a direction's part of it.
type Lane struct {
	// There tells that it has a listener.
	There bool
	// Active counts the requests in flight, websockets and other streams among them.
	Active uint64
	// Answered counts the requests that have been answered since Envoy's start; those of the health path are not among them.
	Answered uint64
	// Unsent is what of answers waits for clients to take it, in bytes.
	Unsent uint64
}

// busy tells whether something is in flight.
func (l Load) busy() bool {
	return l.Ingress.Active+l.Egress.Active+l.Ingress.Unsent+l.Egress.Unsent > 0
}

// Load asks Envoy what it has to do. Its source are the statistics of the HTTP connection manager.
func (a *Admin) Load(ctx context.Context) (Load, error) {
	stats, err := a.Stats(ctx, "http.")
	if err != nil {
		return Load{}, err
	}
	return loadIn(stats), nil
}

func loadIn(stats map[string]uint64) Load {
	var load Load
	for name, value := range stats {
		prefix, stat, _ := strings.Cut(strings.TrimPrefix(name, "http."), ".")
		direction, _, _ := strings.Cut(prefix, "-") // one on a port of its own has the port behind it
		lane := &load.Egress
		switch direction {
		case "ingress":
			lane = &load.Ingress
		case "egress":
		default: // the admin API, and the listener of metrics
			continue
		}
		lane.There = true
		switch stat {
		case "downstream_rq_active":
			lane.Active += value
		case "downstream_rq_completed":
			lane.Answered += value
		case "downstream_cx_tx_bytes_buffered":
			lane.Unsent += value
		}
	}
	return load
}

// FailHealth makes Envoy's health path and /ready answer 503; it serves on.
func (a *Admin) FailHealth(ctx context.Context) error { return a.post(ctx, "/healthcheck/fail", "") }

// CloseIngress closes the ports of ingress at once. What is connected stays so, and egress is left alone.
func (a *Admin) CloseIngress(ctx context.Context) error {
	return a.post(ctx, "/drain_listeners", "inboundonly")
}
