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
	// AccessLog says which requests Envoy logs, and Stats where it serves its metrics; not valid for nowhere.
	AccessLog mesh.AccessLog
	Stats     netip.AddrPort
	// XDS is where nightjar serves xDS, or for the bootstrap what Envoy dials.
	XDS Address
	// Admin is where nightjar's own HTTP listens.
	Admin Address
	// EnvoyAdmin is where Envoy's admin API listens.
	EnvoyAdmin netip.AddrPort
	// EnvoyPath is Envoy's binary, "" to find it.
	EnvoyPath string
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
	// Warnings are what somebody may not have meant, a line each.
	Warnings []string
}

// Entry is what one index X of SERVICE_*_X says.
type Entry struct {
	Ref  mesh.ServiceRef
	Path string
	// ListenPort is the port of its own that it is reached through, 0 for EGRESS_LISTEN_PORT.
	ListenPort uint16
	Policy     mesh.Policy
	Weighted   bool
	Weight     uint32
	// Origin is the variable of the path.
	Origin string
}

// index is X.
func (e Entry) index() string { return strings.TrimPrefix(e.Origin, "SERVICE_PATH_") }

// egressName is the name of the egress listener.
const egressName = "egress"

// Refs are the services to read, each once.
func (c *Config) Refs() []mesh.ServiceRef {
	seen := make(map[string]bool, len(c.Entries))
	var refs []mesh.ServiceRef
	for _, e := range c.Entries {
		if name := e.Ref.Name(); !seen[name] {
			seen[name] = true
			refs = append(refs, e.Ref)
		}
	}
	return refs
}

// Proxy is what the own Envoy is to see.
func (c *Config) Proxy() mesh.Proxy {
	p := mesh.Proxy{ID: c.NodeID, Zone: c.Zone, Routes: c.routes(), Stats: c.Stats, EnvoyAdmin: c.EnvoyAdmin}
	for _, port := range c.egressPorts() {
		p.Listeners = append(p.Listeners, mesh.Listener{
			Name: listenerName(port, c.Egress.Port()), Direction: mesh.Egress, Addr: netip.AddrPortFrom(c.Egress.Addr(), port),
			Exclusive: c.Mode == "host", AccessLog: c.AccessLog,
		})
	}
	return p
}

// egressPorts are the ports of all egress listeners, EGRESS_LISTEN_PORT first.
func (c *Config) egressPorts() []uint16 {
	var ports []uint16
	if c.Egress.Port() != 0 {
		ports = append(ports, c.Egress.Port())
	}
	for _, e := range c.Entries {
		if e.ListenPort != 0 && !slices.Contains(ports, e.ListenPort) {
			ports = append(ports, e.ListenPort)
		}
	}
	return ports
}

func (c *Config) routes() []mesh.Route {
	routes := make([]mesh.Route, 0, len(c.Entries))
	for _, e := range c.Entries {
		routes = append(routes, mesh.Route{
			Listener: listenerName(e.ListenPort, c.Egress.Port()), Path: e.Path, Service: e.Ref.Name(), Policy: e.Policy,
			Weighted: e.Weighted, Weight: e.Weight, Origin: e.Origin,
		})
	}
	return routes
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
)

// Input is what the settings are made of.
type Input struct {
	Purpose Purpose
	// Env is the environment by name. It is not changed.
	Env map[string]string
	// Task is what the task metadata endpoint tells; nil without one.
	Task *taskmeta.Task
	// ProfileRegion is the Region of the AWS profile, "" where there is none.
	ProfileRegion string
}
