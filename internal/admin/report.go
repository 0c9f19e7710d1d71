package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/control"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// Report is what a running nightjar knows, as /api/status gives it. Times are RFC 3339; durations are seconds.
type Report struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Now     time.Time `json:"now"`
	Ready   bool      `json:"ready"`
	// NotReady says what readiness waits for.
	NotReady string `json:"not_ready,omitempty"`
	// Attention is what is wrong or soon may be, the worst first.
	Attention []Finding  `json:"attention"`
	Services  []Service  `json:"services"`
	Listeners []Listener `json:"listeners"`
	// Routes are in match order.
	Routes      []Route      `json:"routes"`
	Pace        Pace         `json:"pace"`
	Envoys      []xds.Node   `json:"envoys"`
	LastRefusal *xds.Refusal `json:"last_refusal,omitempty"`
	// EnvoyNote is what nightjar found when it asked Envoy's admin API because no xDS stream came.
	EnvoyNote string `json:"envoy_note,omitempty"`
}

// Service is a service in a Report.
type Service struct {
	Name string `json:"name"`
	// Source is what it is read from: aws, or own-task for a container of the own task.
	Source string `json:"source"`
	// State is unread, active, inactive, missing or denied.
	State   string `json:"state"`
	Problem string `json:"problem,omitempty"`
	// Empty says why it has no task at all.
	Empty string `json:"empty,omitempty"`
	// ZoneWords say which part of its endpoints is in the own task's zone, and what follows; missing where that zone isn't known,
	// with ZONE_AWARE=off, and of own containers.
	ZoneWords string     `json:"zone_in_words,omitempty"`
	Endpoints []Endpoint `json:"endpoints"`
	Excluded  []Excluded `json:"excluded,omitempty"`
	// ReadAt is when it was last read well, ChangedAt when it last changed.
	ReadAt    time.Time `json:"read_at,omitzero"`
	ChangedAt time.Time `json:"changed_at,omitzero"`
	// ReadAge is the age of the last good reading in seconds; -1 without one.
	ReadAge float64 `json:"read_age_seconds"`
	// Error is the fault that keeps it from being read since FailingSince.
	Error        string    `json:"error,omitempty"`
	FailingSince time.Time `json:"failing_since,omitzero"`
}

// Endpoint is an endpoint in a Report.
type Endpoint struct {
	Address string `json:"address"`
	Task    string `json:"task"`
	Health  string `json:"health"`
	// Container and Port are the container and its port; Container is missing where the port alone decides.
	Container  string `json:"container,omitempty"`
	Port       uint16 `json:"container_port"`
	Zone       string `json:"zone,omitempty"`
	Deployment string `json:"deployment,omitempty"`
	Revision   string `json:"revision,omitempty"`
	// Since is when the task began to run.
	Since time.Time `json:"since,omitzero"`
}

// Excluded is a task that is no target, in a Report.
type Excluded struct {
	Task       string `json:"task"`
	Reason     string `json:"reason"`
	Zone       string `json:"zone,omitempty"`
	Deployment string `json:"deployment,omitempty"`
	Revision   string `json:"revision,omitempty"`
	// Since is when that began.
	Since time.Time `json:"since,omitzero"`
}

// endpoint is what an excluded task has in common with an endpoint.
func (e Excluded) endpoint() Endpoint {
	return Endpoint{Task: e.Task, Zone: e.Zone, Deployment: e.Deployment, Revision: e.Revision, Since: e.Since}
}

// Listener is a listener in a Report.
type Listener struct {
	Name string `json:"name"`
	// Direction is egress or ingress.
	Direction string `json:"direction"`
	Address   string `json:"address"`
	// HealthPath is the path that an ingress listener answers itself.
	HealthPath string `json:"health_path,omitempty"`
}

// Route is a route in a Report.
type Route struct {
	Listener string `json:"listener"`
	Path     string `json:"path"`
	Service  string `json:"service"`
	Origin   string `json:"origin"`
	// Weight is the service's part of the path as it is set, where services share it.
	Weight *uint32 `json:"weight,omitempty"`
	// Share is the part of the path's requests that the service gets now, from 0 to 1.
	Share float64 `json:"share"`
	// PassedOn marks a service that has nothing to serve, so that the others of the path take its share.
	PassedOn bool `json:"passed_on,omitempty"`
	// Answers503 marks a service that is to answer and has nothing to serve.
	Answers503 bool `json:"answers_503,omitempty"`
	// Protocol is what the service speaks: http1, http2 or grpc.
	Protocol string `json:"protocol"`
	// Timeout is that of a whole request in seconds, 0 for none; Retries are the tries after the first.
	Timeout float64 `json:"timeout_seconds"`
	Retries uint32  `json:"retries"`
}

// Pace tells how often AWS is read.
type Pace struct {
	// Wait is WAITTIME in seconds.
	Wait float64 `json:"wait_seconds"`
	// Quiet is how often a service is read while nothing of it changes, Moving while something does, and Tasks how often running
	// tasks are, in seconds; 0 before that is known.
	Quiet  float64 `json:"quiet_seconds"`
	Moving float64 `json:"moving_seconds"`
	Tasks  float64 `json:"tasks_seconds"`
	// Readers are the sidecars seen that read as this one does, this one included.
	Readers int `json:"readers"`
	// Words say what that costs and gets.
	Words string `json:"in_words,omitempty"`
	// Rates are the calls a second that may go to each AWS bucket now.
	Rates map[string]float64 `json:"aws_rate_limits"`
}

// The sources of a service.
const (
	sourceAWS = "aws"
	sourceOwn = "own-task"
)

// Report gathers what is known now.
func (s *Server) Report() Report {
	now := time.Now()
	status := s.Loop.Status()
	r := Report{
		Version: s.Version, Started: status.Started, Now: now,
		Pace:   s.pace(status),
		Envoys: bounded(s.Envoys.Nodes()), Services: make([]Service, 0, len(status.Services)), Listeners: []Listener{},
		Routes: reportRoutes(status),
	}
	r.NotReady = notReady(status, s.Envoys.Accepted(), len(r.Envoys))
	r.Ready = r.NotReady == ""
	if last := s.Envoys.LastRefusal(); last != nil {
		refusal := boundedRefusal(*last)
		r.LastRefusal = &refusal
	}
	if s.EnvoyNote != nil {
		r.EnvoyNote = clip(s.EnvoyNote(), maxNote)
	}
	for _, service := range status.Services {
		r.Services = append(r.Services, reportService(service, now))
		if len(status.Proxies) == 1 && !service.Own { // of several, each has a zone of its own
			r.Services[len(r.Services)-1].ZoneWords = service.Service.SeenFrom(status.Proxies[0].Zone).String()
		}
	}
	for _, p := range status.Proxies {
		for _, l := range p.Listeners {
			r.Listeners = append(r.Listeners, Listener{l.Name, l.Direction.String(), l.Addr.String(), l.HealthPath})
		}
	}
	r.Attention = attention(&r, s.Envoys.Left())
	return r
}

// pace tells how often AWS is read.
func (s *Server) pace(status control.Status) Pace {
	p := s.readPace()
	return Pace{
		Wait: status.Wait.Seconds(), Quiet: p.Quiet.Seconds(), Moving: p.Moving.Seconds(), Tasks: p.Tasks.Seconds(), Readers: p.Readers,
		Words: p.Words, Rates: s.Rates.Rates(),
	}
}

func (s *Server) readPace() ReadPace {
	if s.Reader == nil {
		return ReadPace{}
	}
	return s.Reader.Pace()
}

// What Envoys say of themselves is bounded, in bytes.
const (
	maxNote   = 4096
	maxNodeID = 256
)

// bounded keeps what Envoys say within bounds.
func bounded(nodes []xds.Node) []xds.Node {
	kept := make([]xds.Node, 0, len(nodes))
	for _, n := range nodes {
		n.ID = clip(n.ID, maxNodeID)
		refused := make([]xds.Refusal, 0, len(n.Refused))
		for _, r := range n.Refused {
			refused = append(refused, boundedRefusal(r))
		}
		n.Refused = refused
		kept = append(kept, n)
	}
	return kept
}

func boundedRefusal(r xds.Refusal) xds.Refusal {
	r.Message = clip(r.Message, maxNote)
	return r
}

// reportRoutes lists the routes with the shares that they have now. The loop has made sure that the mesh can be made.
func reportRoutes(status control.Status) []Route {
	services := make([]*mesh.Service, 0, len(status.Services))
	for _, s := range status.Services {
		services = append(services, s.Service)
	}
	routes := []Route{}
	m, err := mesh.New(services, status.Proxies)
	if err != nil {
		return routes
	}
	for _, p := range m.Proxies {
		rest := p.Routes // each has a share, in the same order
		for _, split := range m.Splits(p) {
			sum := uint64(0)
			for _, share := range split.Shares {
				sum += uint64(share.Weight)
			}
			for i, share := range split.Shares {
				routes = append(routes, reportRoute(rest[i], share, sum, unserved(m.Service(rest[i].Service))))
			}
			rest = rest[len(split.Shares):]
		}
	}
	return routes
}

// unserved tells whether a service has nothing that answers. One that was never read may be served by an Envoy that had it
// before.
func unserved(s *mesh.Service) bool {
	return s.State != mesh.Unread && s.State != mesh.Denied &&
		!slices.ContainsFunc(s.Endpoints, func(e mesh.Endpoint) bool { return e.Health != mesh.Closed })
}

// reportRoute describes a route whose path has weights of that sum now, to a service that is unserved or not.
func reportRoute(r mesh.Route, share mesh.Share, sum uint64, unserved bool) Route {
	route := Route{
		Listener: r.Listener, Path: r.Path, Service: r.Service, Origin: r.Origin, PassedOn: share.PassedOn,
		Protocol: r.Policy.Protocol.String(), Timeout: r.Policy.Timeout.Seconds(), Retries: r.Policy.Retries,
	}
	if sum > 0 {
		route.Share = float64(share.Weight) / float64(sum)
		route.Answers503 = unserved && share.Weight > 0
	}
	if r.Weighted {
		route.Weight = &r.Weight
	}
	return route
}

// notReady says what readiness waits for, "" when ready. What it asks for stays once it is there, so readiness does too:
// ECS kills a task whose essential container becomes unhealthy.
func notReady(status control.Status, accepted bool, envoys int) string {
	var waiting []string
	var cause error
	asked := 0
	for _, s := range status.Services {
		if s.Own {
			continue
		}
		asked++
		if !s.Answered {
			waiting, cause = append(waiting, s.Service.Name), cmp.Or(cause, s.Err)
		}
	}
	switch {
	case len(waiting) > 0:
		reason := fmt.Sprintf("AWS has not answered yet for %d of %d services: %s",
			len(waiting), asked, strings.Join(waiting[:min(len(waiting), 5)], ", "))
		if cause != nil {
			reason += ": " + cause.Error()
		}
		return reason
	case accepted:
		return ""
	case envoys == 0:
		return "no Envoy has connected to NIGHTJAR_XDS_LISTEN yet"
	default:
		return "an Envoy is connected and has not accepted clusters and listeners yet"
	}
}

func reportService(s control.ServiceStatus, now time.Time) Service {
	r := Service{
		Name: s.Service.Name, Source: sourceAWS, State: s.Service.State.String(), Problem: s.Service.Problem, Empty: s.Service.Empty,
		Endpoints: make([]Endpoint, 0, len(s.Service.Endpoints)),
		ReadAt:    s.ReadAt, ChangedAt: s.ChangedAt, ReadAge: -1, FailingSince: s.FailingSince,
	}
	if s.Own {
		r.Source = sourceOwn
	}
	if !s.ReadAt.IsZero() {
		r.ReadAge = now.Sub(s.ReadAt).Seconds()
	}
	if s.Err != nil {
		r.Error = s.Err.Error()
	}
	for _, e := range s.Service.Endpoints {
		r.Endpoints = append(r.Endpoints, Endpoint{
			Address: e.Addr.String(), Task: e.Task, Health: e.Health.String(), Container: e.Container, Port: e.Port,
			Zone: e.Zone, Deployment: e.Deployment, Revision: e.Revision, Since: e.Since,
		})
	}
	for _, e := range s.Service.Excluded {
		r.Excluded = append(r.Excluded, Excluded(e))
	}
	return r
}

// countByHealth counts endpoints by the word for their health; a service without any has zeros. Only of the own task's
// containers are ports tried.
func countByHealth(s *mesh.Service, own bool) map[string]int {
	counts := map[string]int{mesh.Healthy.String(): 0, mesh.HealthUnknown.String(): 0, mesh.Unhealthy.String(): 0}
	if own {
		counts[mesh.Closed.String()] = 0
	}
	for _, e := range s.Endpoints {
		counts[e.Health.String()]++
	}
	return counts
}

// Same tells whether another report says the same, but for what changes by time alone: the times and ages of readings, and the
// pace.
func (r *Report) Same(o *Report) bool {
	a, errA := json.Marshal(r.lasting())
	b, errB := json.Marshal(o.lasting())
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

func (r *Report) lasting() *Report {
	kept := *r
	kept.Now, kept.Pace = time.Time{}, Pace{Wait: r.Pace.Wait}
	kept.Services = slices.Clone(r.Services)
	for i := range kept.Services {
		kept.Services[i].ReadAt, kept.Services[i].ReadAge = time.Time{}, 0
	}
	return &kept
}
