// Package config reads nightjar's settings from the environment. One table (settings.go) makes the parser, the text of
// --help and docs/configuration.md. All mistakes are told in one go, each with its variable, its value and what would be
// right.
package config

import (
	"slices"
	"strings"
)

// Setting is a row of the table: one environment variable.
type Setting struct {
	// Name is the variable. An X in it stands for a number that counts from 1.
	Name string
	// Type says what its value is, with its unit.
	Type string
	// Default is the value that counts where it isn't set; "" for none. ModeDefaults has those that depend on the network
	// mode.
	Default string
	// Meaning says what it does.
	Meaning string
	// Wrong says what becomes of a wrong or missing value.
	Wrong string
	// Also are the purposes beside ToServe that read it.
	Also []Purpose
	// Beyond marks the variables beyond the original promise: a table of their own in the documentation.
	Beyond bool
}

// Indexed tells whether the variable has a number in its name.
func (s Setting) Indexed() bool { return strings.HasSuffix(s.Name, "_X") }

// readFor tells whether a purpose needs the variable.
func (s Setting) readFor(p Purpose) bool {
	return p == ToServe || slices.Contains(s.Also, p) || p == ToRun && slices.Contains(s.Also, ToDial)
}

// byMode stands as default where it depends on the own network mode.
const byMode = "by network mode"

// Settings is the table, in the order of the documentation.
func Settings() []Setting {
	return append(original(), beyond()...)
}

func original() []Setting { return append(originalServices(), originalTask()...) }

func originalServices() []Setting {
	return []Setting{
		{
			Name: "EGRESS_LISTEN_PORT", Type: "port",
			Meaning: "port of the egress listener; not needed where every entry has a listen port of its own",
			Wrong:   "services without it: error naming it",
		},
		{
			Name: "SERVICE_ARN_X", Type: "ARN or name",
			Meaning: "the ECS service: ARN in the old or new form, or its name",
			Wrong: "an ARN of another kind, partition, Region (than AWS_REGION) or shape: error; ARNs of several accounts, or no service " +
				"at all: error; an account that isn't the credentials': its path answers 503, and `check`, status and the log say so",
		},
		{
			Name: "SERVICE_PATH_X", Type: "path",
			Meaning: "URL path, leading \"/\"; its rules: docs/configuration.md, Paths",
			Wrong:   "missing, or no \"/\": error naming the variable; one that no request can have: error with the right one",
		},
		{
			Name: "SERVICE_CONTAINER_X", Type: "name",
			Meaning: "optional: container name. Else the service's target groups or registries say; else the one container that publishes the port",
			Wrong: "several candidates: the route answers 503, and `check`, status and the log name the candidates and the " +
				"variable to set",
		},
		{
			Name: "SERVICE_PORT_X", Type: "port",
			Meaning: "optional: the *container* port, never the host port. Else as above. In awsvpc nothing but a target group or a " +
				"registry tells the port, so without those it is required; in host mode too, unless ECS shows a binding",
			Wrong: "likewise; missing in awsvpc: as above, naming the variable",
		},
		{
			Name: "SERVICE_CLUSTER_X", Type: "ARN or name",
			Meaning: "optional: ECS cluster, name or ARN. Else the ARN's own, else `CLUSTER`",
			Wrong:   "it contradicts the ARN: error",
		},
	}
}

func originalTask() []Setting {
	return []Setting{
		{
			Name: "INGRESS_LISTEN_PORT", Type: "port",
			Meaning: "port of the ingress listener; as for egress", Wrong: "containers without it: error",
		},
		{
			Name: "CLUSTER", Type: "ARN or name",
			Meaning: "the own ECS cluster. Needed only for services given by name or old ARN without SERVICE_CLUSTER_X, and for ingress by " +
				"service; else the metadata endpoint tells it",
			Wrong: "needed and in neither: error",
		},
		{
			Name: "CURRENT_SERVICE_ARN", Type: "ARN or name",
			Meaning: "the own service. Needed only for ingress by service; else the metadata endpoint tells it",
			Wrong:   "needed and in neither: error",
		},
		{
			Name: "CONTAINER_NAME_X", Type: "name",
			Meaning: "ingress mapping: a container of the own task (or, by service, of its tasks); it may not exist yet",
			Wrong:   "not a name that ECS allows: error",
		},
		{
			Name: "CONTAINER_PATH_X", Type: "path",
			Meaning: "ingress mapping: URL path, leading \"/\"; its rules: docs/configuration.md, Paths", Wrong: "as for SERVICE_PATH_X",
		},
		{
			Name: "CONTAINER_PORT_X", Type: "port",
			Meaning: "ingress mapping: the *container* port. Optional where the metadata endpoint (ingress by task) or the task's network " +
				"bindings (by service) show exactly one tcp port for that container, or a target group of the own service names it; else required",
			Wrong: "none or several: the route answers 503, and `check`, status and the log name the ports and the variable; one at which " +
				"nightjar or Envoy listens, in awsvpc and host mode: error",
		},
		{
			Name: "ENVOY_CONTAINER_NAME", Type: "name", Default: "localhost", Also: []Purpose{ToDial, ToAsk},
			Meaning: "Envoy's host. A container name of the own task is also resolved through the metadata endpoint (no links needed)",
		},
		{
			Name: "ENVOY_ADMIN_PORT", Type: "port", Default: "9901", Also: []Purpose{ToDial, ToAsk},
			Meaning: "port of Envoy's admin API: written into the bootstrap, and asked by `nightjar ready --envoy`",
			Wrong:   "not a port: error",
		},
		{
			Name: "WAITTIME", Type: "milliseconds", Default: "100",
			Meaning: "milliseconds between looks at what is due; a floor: services are read as often as the call budget allows (docs/scale.md)",
			Wrong:   "not a positive number, or more than an hour: error",
		},
		{
			Name: "AWS_REGION", Type: "Region", Also: []Purpose{ToDial},
			Meaning: "else AWS_DEFAULT_REGION, the profile, the own task's ARN, the service ARNs if they agree",
			Wrong:   "none: error naming it",
		},
	}
}

func beyond() []Setting { return append(beyondTraffic(), beyondProcess()...) }

// row is a setting beyond the original promise of which a wrong value is an error like any other.
func row(name, kind, value, meaning string) Setting {
	return Setting{Name: name, Type: kind, Default: value, Beyond: true, Meaning: meaning}
}

// beyondTraffic are those of what Envoy does with requests.
func beyondTraffic() []Setting {
	const (
		protocol = "what the service or container speaks; gRPC needs grpc (docs/configuration.md, Protocols)"
		listen   = "this entry on a listener of its own: more than one inbound port"
		timeout  = "whole request, `500ms`, `15s`, `off` (a stream silent for 300 s still ends, websockets too)"
	)
	return []Setting{
		row("SERVICE_WEIGHT_X", "number", "1", "entries with one path on one listener share it by weight as soon as one of them has a "+
			"weight; 0 allowed, the sum is above 0. A service with nothing to serve passes its share to the others (log line). Without any "+
			"weight a path given on one listener for two different services is an error naming both; the same pair twice a warning"),
		row("SERVICE_PROTOCOL_X", "http1, http2 or grpc", "http1", protocol),
		row("CONTAINER_PROTOCOL_X", "http1, http2 or grpc", "http1", protocol),
		row("SERVICE_LISTEN_PORT_X", "port", "", listen),
		row("CONTAINER_LISTEN_PORT_X", "port", "", listen),
		row("SERVICE_TIMEOUT_X", "duration or off", "off", timeout),
		row("CONTAINER_TIMEOUT_X", "duration or off", "off", timeout),
		row("SERVICE_RETRIES_X", "number", "5", "tries after the first, 0 for none"),
		row("SERVICE_IDLE_TIMEOUT_X", "duration", "4s",
			"upstream connections idle longer are closed; keep it below the app's keep-alive"),
		{
			Name: "EGRESS_LISTEN_ADDRESS", Type: "IP address", Default: byMode, Beyond: true,
			Meaning: "address of the egress listener", Wrong: "not an IP address: error",
		},
		row("INGRESS_LISTEN_ADDRESS", "IP address", byMode, "address of the ingress listener"),
		row("INGRESS_SCOPE", "task or service", "", "whether ingress goes to the own task alone, or to all tasks of the "+
			"own service. Unset: task where the metadata endpoint is there, else service"),
		row("INGRESS_TRUSTED_HOPS", "number", "1",
			"proxies in front whose X-Forwarded-* are believed; 0 without a load balancer; more: docs/configuration.md, Ingress"),
		row("INGRESS_HEALTH_PATH", "path", "/.nightjar/health", "for the load balancer, answered by Envoy: 200 while each container "+
			"behind ingress has an open port and its ECS health check, if it has one, doesn't say UNHEALTHY; else, "+
			"and while draining (docs/draining.md), 503"),
		{
			Name: "ZONE_AWARE", Type: "auto or off", Default: "auto", Beyond: true,
			Meaning: "whether endpoints of the own zone, which the metadata endpoint tells, take all requests of a service where they are enough; " +
				"else, and with off, all zones share them (docs/zones.md)",
			Wrong: "another word: error",
		},
	}
}

// beyondProcess are those of nightjar itself, and of Envoy as a program.
func beyondProcess() []Setting {
	return []Setting{
		{
			Name: "NIGHTJAR_XDS_LISTEN", Type: "HOST:PORT or unix:PATH", Default: byMode, Beyond: true, Also: []Purpose{ToDial},
			Meaning: "where nightjar serves xDS. In the Envoy container, and for `bootstrap`, the address that Envoy dials: names are allowed, " +
				"0.0.0.0 is dialled as 127.0.0.1 (in bridge mode that is an error)",
			Wrong: "neither form: error",
		},
		{
			Name: "NIGHTJAR_ADMIN_LISTEN", Type: "HOST:PORT or unix:PATH", Default: "127.0.0.1:9903", Beyond: true,
			Also: []Purpose{ToAsk}, Meaning: "nightjar's own health, metrics and status; `unix:` too", Wrong: "neither form: error",
		},
		{
			Name: "NIGHTJAR_AWS_RATE", Type: "calls a second", Default: "1", Beyond: true,
			Meaning: "calls a second that this process may spend on AWS, all together; of what sidecars share, one with twice the rate " +
				"takes twice the part (docs/scale.md); falls by itself on throttles, to 0.05",
			Wrong: "not a number from 0.05 to 10000: error",
		},
		{
			Name: "NIGHTJAR_AWS_BURST", Type: "calls", Default: "10", Beyond: true,
			Meaning: "the burst: calls that may come at once, after as many were spared", Wrong: "not a number from 1 to 10000: error",
		},
		row("NIGHTJAR_ACCESS_LOG", "off, errors or all", "errors",
			"Envoy's access log, JSON on its stdout: route, service, endpoint, flags, duration, request id"),
		row("NIGHTJAR_ENVOY_STATS_LISTEN", "HOST:PORT", "",
			"a listener that serves Envoy's Prometheus metrics and nothing else of the admin API"),
		{
			Name: "NIGHTJAR_ENVOY_PATH", Type: "path of a file", Beyond: true, Also: []Purpose{ToRun},
			Meaning: "Envoy's binary, for `nightjar envoy`, the demo and the tests. Else PATH, then the images' usual places",
			Wrong:   "no Envoy there: error",
		},
		{
			Name: "NIGHTJAR_DRAIN_TIME", Type: "duration", Default: "20s", Beyond: true, Also: []Purpose{ToRun},
			Meaning: "for `nightjar envoy`: how long its end may take from SIGTERM on; keep it below the stopTimeout of Envoy's container " +
				"(30 s unless set; docs/draining.md)",
			Wrong: "not a duration from 0s to 115s: error",
		},
		{
			Name: "NIGHTJAR_LOG_LEVEL", Type: "debug, info, warn or error", Default: "info", Beyond: true, Also: []Purpose{ToRun},
			Meaning: "which lines the log has", Wrong: "another word: error",
		},
		{
			Name: "NIGHTJAR_LOG_FORMAT", Type: "text or json", Default: "text", Beyond: true, Also: []Purpose{ToRun},
			Meaning: "how the log's lines look", Wrong: "another word: error",
		},
	}
}
