package config

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// Config is what the settings say.
type Config struct {
	// Mode is the own network mode: awsvpc, host or bridge.
	Mode string
	// Region is the AWS Region.
	Region string
	// Entries are the services and their paths, in order of their index.
	Entries []Entry
	// Egress is where Envoy takes the own apps' requests; its port is 0 where every entry has one of its own.
	Egress netip.AddrPort
	// Containers are the own containers and their paths, in order of their index.
	Containers []Entry
	// Ingress is where Envoy takes requests from outside; its port is 0 where every container has one of its own.
	Ingress netip.AddrPort
	// Scope says where ingress goes.
	Scope Scope
	// TrustedHops are the proxies in front of ingress whose X-Forwarded-* are believed.
	TrustedHops uint32
	// HealthPath is what ingress answers the load balancer's health checks on.
	HealthPath string
	// OwnCluster and OwnService name the service that the own task is of; "" where unknown.
	OwnCluster, OwnService string
	// Sidecar is the name of nightjar's own container.
	Sidecar string
	// AccessLog says which requests Envoy logs, and Stats where it serves its metrics; not valid for nowhere.
	AccessLog mesh.AccessLog
	Stats     netip.AddrPort
	// XDS is where nightjar serves xDS, or for the bootstrap what Envoy dials.
	XDS Address
	// Admin is where nightjar's own HTTP listens.
	Admin Address
	// EnvoyHost is where Envoy is found: a host, or the name of a container of the own task.
	EnvoyHost string
	// EnvoyAdmin is where Envoy's admin API listens, seen from Envoy.
	EnvoyAdmin netip.AddrPort
	// EnvoyPath is Envoy's binary, "" to find it.
	EnvoyPath string
	// DrainTime is how long `nightjar envoy` may take from SIGTERM on.
	DrainTime time.Duration
	// Wait is the pause between reads of AWS.
	Wait time.Duration
	// Rate and Burst are the call budget, in calls a second and calls.
	Rate  float64
	Burst int
	// LogLevel and LogJSON say what the log has and how it looks.
	LogLevel slog.Level
	LogJSON  bool
	// NodeID, NodeService and Zone name the own Envoy.
	NodeID, NodeService, Zone string
	// ZoneAware tells that endpoints of the own zone go first.
	ZoneAware bool
	// Taken are the tcp ports where nightjar and Envoy listen, each with the variable that says so, which no own container can
	// have; empty in bridge mode, where each container has a network of its own.
	Taken map[uint16]string
	// Warnings are what somebody may not have meant, a line each.
	Warnings []string
}

// Scope says where ingress goes.
type Scope string

// The scopes of ingress.
const (
	// ScopeTask: to the containers of the own task, which the task metadata endpoint tells.
	ScopeTask Scope = "task"
	// ScopeService: to all tasks of the own service, which AWS tells.
	ScopeService Scope = "service"
)

// Entry is what one index X of SERVICE_*_X or CONTAINER_*_X says.
type Entry struct {
	Ref  mesh.ServiceRef
	Path string
	// ListenPort is the port of its own that it is reached through, 0 for EGRESS_LISTEN_PORT or INGRESS_LISTEN_PORT.
	ListenPort uint16
	Policy     mesh.Policy
	Weighted   bool
	Weight     uint32
	// Origin is the variable of the path.
	Origin string
}

// index is X.
func (e Entry) index() string { return e.Origin[strings.LastIndexByte(e.Origin, '_')+1:] }

// The names of the listeners; one on a port of its own has the port behind it.
const (
	egressName  = "egress"
	ingressName = "ingress"
)

// Refs are the ECS services to read, each once.
func (c *Config) Refs() []mesh.ServiceRef {
	return distinct(slices.Concat(c.Entries, c.Containers), func(r mesh.ServiceRef) bool { return !r.Own })
}

// OwnRefs are the containers of the own task to read, each once.
func (c *Config) OwnRefs() []mesh.ServiceRef {
	return distinct(c.Containers, func(r mesh.ServiceRef) bool { return r.Own })
}

// distinct are the refs of entries that are wanted, each once.
func distinct(entries []Entry, wanted func(mesh.ServiceRef) bool) []mesh.ServiceRef {
	seen := make(map[string]bool, len(entries))
	var refs []mesh.ServiceRef
	for _, e := range entries {
		if name := e.Ref.Name(); wanted(e.Ref) && !seen[name] {
			seen[name] = true
			refs = append(refs, e.Ref)
		}
	}
	return refs
}

// Proxy is what the own Envoy is to see.
func (c *Config) Proxy() mesh.Proxy {
	p := mesh.Proxy{ID: c.NodeID, Routes: c.routes(), Stats: c.Stats, EnvoyAdmin: dialled(c.EnvoyAdmin)}
	if c.ZoneAware {
		p.Zone = c.Zone
	}
	for _, port := range ports(c.Egress.Port(), c.Entries) {
		p.Listeners = append(p.Listeners, mesh.Listener{
			Name: listenerName(egressName, port, c.Egress.Port()), Direction: mesh.Egress, Addr: netip.AddrPortFrom(c.Egress.Addr(), port),
			Exclusive: c.Mode == "host", AccessLog: c.AccessLog,
			Origin: listenOrigin("EGRESS_LISTEN_PORT", "SERVICE_LISTEN_PORT_", port, c.Egress.Port(), c.Entries),
		})
	}
	for _, port := range ports(c.Ingress.Port(), c.Containers) {
		p.Listeners = append(p.Listeners, mesh.Listener{
			Name: listenerName(ingressName, port, c.Ingress.Port()), Direction: mesh.Ingress, Addr: netip.AddrPortFrom(c.Ingress.Addr(), port),
			Exclusive: c.Mode == "host", AccessLog: c.AccessLog, TrustedHops: c.TrustedHops, HealthPath: c.HealthPath,
			Origin: listenOrigin("INGRESS_LISTEN_PORT", "CONTAINER_LISTEN_PORT_", port, c.Ingress.Port(), c.Containers),
		})
	}
	return p
}

// ports are those of all listeners of a direction, the usual one first.
func ports(usual uint16, entries []Entry) []uint16 {
	var all []uint16
	if usual != 0 {
		all = append(all, usual)
	}
	for _, e := range entries {
		if e.ListenPort != 0 && !slices.Contains(all, e.ListenPort) {
			all = append(all, e.ListenPort)
		}
	}
	return all
}

// listenOrigin is the variable of a listener's port: that of the usual one, or the first entry's whose own it is.
func listenOrigin(usualVar, lead string, port, usual uint16, entries []Entry) string {
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.ListenPort == port })
	if port == usual || i < 0 {
		return usualVar
	}
	return lead + entries[i].index()
}

func (c *Config) routes() []mesh.Route {
	routes := make([]mesh.Route, 0, len(c.Entries)+len(c.Containers))
	add := func(direction string, usual uint16, entries []Entry) {
		for _, e := range entries {
			routes = append(routes, mesh.Route{
				Listener: listenerName(direction, e.ListenPort, usual), Path: e.Path, Service: e.Ref.Name(), Policy: e.Policy,
				Weighted: e.Weighted, Weight: e.Weight, Origin: e.Origin,
			})
		}
	}
	add(egressName, c.Egress.Port(), c.Entries)
	add(ingressName, c.Ingress.Port(), c.Containers)
	return routes
}

// dialled is the address that reaches a listener on it from the same network.
func dialled(a netip.AddrPort) netip.AddrPort {
	if a.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	}
	return a
}

// Purpose is what the settings are read for: no command fails for a variable that it has no use for.
type Purpose int

// The purposes.
const (
	// ToServe reads everything.
	ToServe Purpose = iota
	// ToDial reads what Envoy's bootstrap needs: services and Region are left out.
	ToDial
	// ToAsk reads where a running nightjar and its Envoy can be asked.
	ToAsk
	// ToRun reads what Envoy as a child needs: its bootstrap, its binary, its drain, and the log.
	ToRun
)

// dials tells whether the settings are those of Envoy's container, so that NIGHTJAR_XDS_LISTEN is what Envoy dials.
func (p Purpose) dials() bool { return p == ToDial || p == ToRun }

// Input is what the settings are made of.
type Input struct {
	Purpose Purpose
	// Env is the environment by name. It is not changed.
	Env map[string]string
	// Task is what the task metadata endpoint tells; nil without one, and where it fails, with TaskErr.
	Task    *taskmeta.Task
	TaskErr error
	// ProfileRegion is the Region of the AWS profile, "" where there is none.
	ProfileRegion string
}
