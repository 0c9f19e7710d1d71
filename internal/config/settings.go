// Package config reads nightjar's settings from the environment. One table (settings.go) makes the parser, the text of
// --help and docs/configuration.md. All mistakes are told in one go, each with its variable, its value and what would be
// right.
package config

import "strings"

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
	// Part is the part of the project that brings it; see ThisPart.
	Part int
	// Beyond marks the variables beyond the original promise: a table of their own in the documentation.
	Beyond bool
}

// ThisPart is the part of the project that this version has. A variable of a later part is an error that says so.
const ThisPart = 1

// Indexed tells whether the variable has a number in its name.
func (s Setting) Indexed() bool { return strings.HasSuffix(s.Name, "_X") }

// byMode stands as default where it depends on the own network mode.
const byMode = "by network mode"

// Settings is the table, in the order of the documentation.
func Settings() []Setting {
	return append(original(), beyond()...)
}

func original() []Setting {
	return []Setting{
		{
			Name: "EGRESS_LISTEN_PORT", Type: "port", Part: 1,
			Meaning: "Port of the egress listener, where the own task's apps send their requests.",
			Wrong:   "services without it: error naming it",
		},
		{
			Name: "SERVICE_ARN_X", Type: "ARN or name", Part: 1,
			Meaning: "The ECS service: its ARN in the old or new form, or its name.",
			Wrong:   "an ARN of another kind, partition, Region (than AWS_REGION) or shape: error",
		},
		{
			Name: "SERVICE_PATH_X", Type: "path", Part: 1,
			Meaning: "URL path of the service, with a leading \"/\". See Paths.",
			Wrong:   "missing, or no \"/\": error naming the variable",
		},
		{
			Name: "SERVICE_CONTAINER_X", Type: "name", Part: 1,
			Meaning: "Container name. Else the service's target groups or registries say; else the one container that publishes the port.",
			Wrong:   "several candidates: the route answers 503, and status and the log name the candidates and the variable to set",
		},
		{
			Name: "SERVICE_PORT_X", Type: "port", Part: 1,
			Meaning: "The container port, never the host port. Else as above. In awsvpc nothing but a target group or a registry tells the " +
				"port, so without those it is required.",
			Wrong: "likewise; missing in awsvpc: as above, naming the variable",
		},
		{
			Name: "SERVICE_CLUSTER_X", Type: "ARN or name", Part: 1,
			Meaning: "The ECS cluster of the service, its name or ARN. Else the service ARN's own, else CLUSTER.",
			Wrong:   "it contradicts the ARN: error",
		},
		{
			Name: "INGRESS_LISTEN_PORT", Type: "port", Part: 2,
			Meaning: "Port of the ingress listener.", Wrong: "containers without it: error",
		},
		{
			Name: "CLUSTER", Type: "ARN or name", Part: 1,
			Meaning: "The own ECS cluster. Needed only for services given by name or old ARN without SERVICE_CLUSTER_X; else the metadata " +
				"endpoint tells it.",
			Wrong: "needed and in neither: error",
		},
		{
			Name: "CURRENT_SERVICE_ARN", Type: "ARN or name", Part: 2,
			Meaning: "The own service. Needed only for ingress by service; else the metadata endpoint tells it.",
			Wrong:   "needed and in neither: error",
		},
		{Name: "CONTAINER_NAME_X", Type: "name", Part: 2, Meaning: "Ingress mapping: container.", Wrong: "missing: error"},
		{Name: "CONTAINER_PATH_X", Type: "path", Part: 2, Meaning: "Ingress mapping: path.", Wrong: "missing, or no \"/\": error"},
		{
			Name: "CONTAINER_PORT_X", Type: "port", Part: 2,
			Meaning: "Ingress mapping: container port, where it can't be found.", Wrong: "several or no candidates: error",
		},
		{
			Name: "ENVOY_CONTAINER_NAME", Type: "name", Default: "localhost", Part: 2,
			Meaning: "Envoy's host, or the name of its container in the own task.",
		},
		{
			Name: "ENVOY_ADMIN_PORT", Type: "port", Default: "9901", Part: 1,
			Meaning: "Port of Envoy's admin API: written into the bootstrap, and asked by `nightjar ready --envoy`.",
			Wrong:   "not a port: error",
		},
		{
			Name: "WAITTIME", Type: "milliseconds", Default: "100", Part: 1,
			Meaning: "Pause between reads of AWS; a floor: the call budget may stretch it.", Wrong: "not a positive number: error",
		},
		{
			Name: "AWS_REGION", Type: "Region", Part: 1,
			Meaning: "Else AWS_DEFAULT_REGION, the profile, the own task's ARN, the service ARNs if they agree.",
			Wrong:   "none: error naming it",
		},
	}
}

func beyond() []Setting {
	later := func(part int, name, kind, value, meaning string) Setting {
		return Setting{Name: name, Type: kind, Default: value, Part: part, Beyond: true, Meaning: meaning}
	}
	return []Setting{
		later(2, "SERVICE_WEIGHT_X", "number", "1", "Share of an entry among those with its path on its listener."),
		later(2, "SERVICE_PROTOCOL_X", "http1, http2 or grpc", "http1", "What the service speaks."),
		later(2, "CONTAINER_PROTOCOL_X", "http1, http2 or grpc", "http1", "What the container speaks."),
		later(2, "SERVICE_LISTEN_PORT_X", "port", "", "This entry on a listener of its own."),
		later(2, "CONTAINER_LISTEN_PORT_X", "port", "", "This entry on a listener of its own: more than one inbound port."),
		later(2, "SERVICE_TIMEOUT_X", "duration or off", "off", "Time for a whole request."),
		later(2, "CONTAINER_TIMEOUT_X", "duration or off", "off", "Time for a whole request."),
		later(2, "SERVICE_RETRIES_X", "number", "5", "Tries after the first."),
		later(2, "SERVICE_IDLE_TIMEOUT_X", "duration", "4s", "Upstream connections idle for longer are closed."),
		{
			Name: "EGRESS_LISTEN_ADDRESS", Type: "IP address", Default: byMode, Part: 1, Beyond: true,
			Meaning: "Address of the egress listener.", Wrong: "not an IP address: error",
		},
		later(2, "INGRESS_LISTEN_ADDRESS", "IP address", byMode, "Address of the ingress listener."),
		later(2, "INGRESS_SCOPE", "task or service", "", "Where ingress goes; default: by what is known."),
		later(2, "INGRESS_TRUSTED_HOPS", "number", "1", "Proxies in front whose X-Forwarded-* are believed."),
		later(2, "INGRESS_HEALTH_PATH", "path", "/.nightjar/health", "Health path for the load balancer."),
		later(4, "ZONE_AWARE", "auto or off", "auto", "Whether the own zone goes first."),
		{
			Name: "NIGHTJAR_XDS_LISTEN", Type: "HOST:PORT or unix:PATH", Default: byMode, Part: 1, Beyond: true,
			Meaning: "Where nightjar serves xDS. In the Envoy container, and for `bootstrap`, the address that Envoy dials: names are allowed, " +
				"0.0.0.0 is dialled as 127.0.0.1 (in bridge mode that is an error).",
			Wrong: "neither form: error",
		},
		{
			Name: "NIGHTJAR_ADMIN_LISTEN", Type: "HOST:PORT or unix:PATH", Default: "127.0.0.1:9903", Part: 1, Beyond: true,
			Meaning: "nightjar's own health, metrics and status.", Wrong: "neither form: error",
		},
		{
			Name: "NIGHTJAR_AWS_RATE", Type: "calls a second", Default: "1", Part: 1, Beyond: true,
			Meaning: "Calls that this process may spend on AWS, all together; falls by itself on throttles, to 0.05.",
			Wrong:   "not a number from 0.05 to 10000: error",
		},
		{
			Name: "NIGHTJAR_AWS_BURST", Type: "calls", Default: "10", Part: 1, Beyond: true,
			Meaning: "Calls that may come at once, after as many were spared.", Wrong: "not a number from 1 to 10000: error",
		},
		later(2, "NIGHTJAR_ACCESS_LOG", "off, errors or all", "errors", "Envoy's access log, JSON on its stdout."),
		later(2, "NIGHTJAR_ENVOY_STATS_LISTEN", "HOST:PORT", "", "A listener that serves Envoy's Prometheus metrics and nothing else."),
		{
			Name: "NIGHTJAR_ENVOY_PATH", Type: "path of a file", Part: 1, Beyond: true,
			Meaning: "Envoy's binary, for the demo and the tests. Else PATH, then the images' usual places.",
			Wrong:   "no Envoy there: error",
		},
		later(4, "NIGHTJAR_DRAIN_TIME", "duration", "20s", "For `nightjar envoy`; inside the container's stopTimeout."),
		{
			Name: "NIGHTJAR_LOG_LEVEL", Type: "debug, info, warn or error", Default: "info", Part: 1, Beyond: true,
			Meaning: "Which lines the log has.", Wrong: "another word: error",
		},
		{
			Name: "NIGHTJAR_LOG_FORMAT", Type: "text or json", Default: "text", Part: 1, Beyond: true,
			Meaning: "How the log's lines look.", Wrong: "another word: error",
		},
	}
}

// ModeDefault is a default that depends on the own network mode.
type ModeDefault struct {
	// Name is the variable, or for people where there is none what it is of.
	Name string
	// AWSVPC, Host and Bridge are the defaults; without a metadata endpoint that of awsvpc counts.
	AWSVPC, Host, Bridge string
}

// For is the default in a network mode: awsvpc, host, or bridge for any other.
func (d ModeDefault) For(mode string) string {
	switch mode {
	case "awsvpc":
		return d.AWSVPC
	case "host":
		return d.Host
	default:
		return d.Bridge
	}
}

// adminAddress is the row of ModeDefaults for the address of Envoy's admin API, which no variable sets.
const adminAddress = "Envoy's admin address"

// ModeDefaults are the defaults by network mode.
func ModeDefaults() []ModeDefault {
	return []ModeDefault{
		{Name: "NIGHTJAR_XDS_LISTEN", AWSVPC: "127.0.0.1:9902", Host: "127.0.0.1:9902", Bridge: "unix:/shared/xds.sock"},
		{Name: "EGRESS_LISTEN_ADDRESS", AWSVPC: "127.0.0.1", Host: "127.0.0.1", Bridge: "0.0.0.0"},
		{Name: adminAddress, AWSVPC: "127.0.0.1", Host: "127.0.0.1", Bridge: "127.0.0.1"},
	}
}
