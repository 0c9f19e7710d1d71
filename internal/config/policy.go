package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// maxDuration bounds durations; maxWeight bounds a weight, so that no sum overflows what Envoy takes (32 bits).
const (
	maxDuration = 24 * time.Hour
	maxWeight   = 100_000
	maxRetries  = 100
)

// policy reads how the requests of SERVICE_*_X are treated.
func (l *loader) policy(x string) mesh.Policy {
	return mesh.Policy{
		Protocol:    l.protocol("SERVICE_PROTOCOL_" + x),
		Timeout:     l.timeout("SERVICE_TIMEOUT_" + x),
		Retries:     l.retries(x),
		IdleTimeout: l.idleTimeout(x),
	}
}

func (l *loader) retries(x string) uint32 {
	return uint32(l.number("SERVICE_RETRIES_"+x, 0, maxRetries))
}

func (l *loader) idleTimeout(x string) time.Duration {
	variable := "SERVICE_IDLE_TIMEOUT_" + x
	return l.duration(variable, l.value(variable), "want a duration up to 24h, such as 4s")
}

func (l *loader) protocol(variable string) mesh.Protocol {
	switch l.value(variable) {
	case "http1":
		return mesh.HTTP1
	case "http2":
		return mesh.HTTP2
	case "grpc":
		return mesh.GRPC
	default:
		l.mistake(variable, "want http1, http2 or grpc")
		return mesh.HTTP1
	}
}

func (l *loader) timeout(variable string) time.Duration {
	text := l.value(variable)
	if text == "off" {
		return 0
	}
	return l.duration(variable, text, "want a duration up to 24h, such as 500ms or 15s, or off")
}

func (l *loader) duration(variable, text, want string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Millisecond || d > maxDuration {
		l.mistake(variable, want)
		return 0
	}
	return d
}

// weight reads SERVICE_WEIGHT_X and tells whether it is set.
func (l *loader) weight(x string) (weight uint32, set bool) {
	variable := "SERVICE_WEIGHT_" + x
	if l.Env[variable] == "" {
		return 0, false
	}
	return uint32(l.number(variable, 0, maxWeight)), true
}

// weightSums finds paths whose weights are all 0.
func (l *loader) weightSums() {
	type place struct{ listener, path string }
	sums, last := map[place]uint64{}, map[place]mesh.Route{}
	for _, r := range l.config.routes() {
		at := place{r.Listener, r.Path}
		if r.Weighted {
			sums[at] += uint64(r.Weight)
			last[at] = r
		} else {
			sums[at]++
		}
	}
	for _, e := range l.config.Entries {
		for at, r := range last {
			if r.Origin == e.Origin && sums[at] == 0 {
				l.mistake("SERVICE_WEIGHT_"+e.index(), fmt.Sprintf("the weights of the path %s are all 0; want a sum above 0", cut(at.path)))
			}
		}
	}
}

// accessLog reads NIGHTJAR_ACCESS_LOG.
func (l *loader) accessLog() mesh.AccessLog {
	switch l.value("NIGHTJAR_ACCESS_LOG") {
	case "errors":
		return mesh.LogErrors
	case "all":
		return mesh.LogAll
	case "off":
		return mesh.LogOff
	default:
		l.mistake("NIGHTJAR_ACCESS_LOG", "want off, errors or all")
		return mesh.LogErrors
	}
}

// zoneAware reads ZONE_AWARE.
func (l *loader) zoneAware() bool {
	switch l.value("ZONE_AWARE") {
	case "auto":
		return true
	case "off":
		return false
	default:
		l.mistake("ZONE_AWARE", "want auto or off")
		return false
	}
}

// statsListen reads NIGHTJAR_ENVOY_STATS_LISTEN; not valid where it isn't set.
func (l *loader) statsListen() netip.AddrPort {
	const variable = "NIGHTJAR_ENVOY_STATS_LISTEN"
	text := l.value(variable)
	if text == "" {
		return netip.AddrPort{}
	}
	at, err := netip.ParseAddrPort(text)
	if err != nil || at.Port() == 0 || at.Addr().Zone() != "" {
		l.mistake(variable, "want HOST:PORT with an IP address, such as 0.0.0.0:9904")
		return netip.AddrPort{}
	}
	return at
}

// listenerName names the listener of a port: its direction, or DIRECTION-PORT for one beside the usual.
func listenerName(direction string, port, usual uint16) string {
	if port == 0 || port == usual {
		return direction
	}
	return direction + "-" + strconv.Itoa(int(port))
}
