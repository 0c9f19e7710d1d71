package mesh

import "time"

// Policy is how the requests of a route are treated.
type Policy struct {
	// Protocol is what the service speaks.
	Protocol Protocol
	// Timeout ends a request as a whole; zero for never.
	Timeout time.Duration
	// Retries are the tries after the first.
	Retries uint32
	// IdleTimeout closes connections to the service that are idle longer; zero for Envoy's own hour.
	IdleTimeout time.Duration
	// HealthCheck has Envoy check each second that the port is open.
	HealthCheck bool
}

// Protocol is what a service speaks.
type Protocol int

// The protocols.
const (
	HTTP1 Protocol = iota
	HTTP2
	GRPC
)

// String is the protocol as settings write it.
func (p Protocol) String() string {
	switch p {
	case HTTP2:
		return "http2"
	case GRPC:
		return "grpc"
	default:
		return "http1"
	}
}

// upstream is what of a policy belongs to the connections to a service, which its routes share.
func (p Policy) upstream() Policy {
	return Policy{Protocol: p.Protocol, IdleTimeout: p.IdleTimeout, HealthCheck: p.HealthCheck}
}

// AccessLog says which requests a listener logs.
type AccessLog int

// The access logs.
const (
	// LogErrors logs requests that were answered with 5xx, or in which Envoy met a fault.
	LogErrors AccessLog = iota
	// LogAll logs every request.
	LogAll
	// LogOff logs none.
	LogOff
)
