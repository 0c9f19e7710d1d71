package mesh

import "net/netip"

// Proxy is what one Envoy sees of the mesh.
type Proxy struct {
	// ID tells proxies apart; the only proxy of a sidecar may have any.
	ID string
	// Zone is the availability zone whose endpoints the proxy prefers (see Service.SeenFrom), "" for none.
	Zone      string
	Listeners []Listener
	// Routes of all listeners. A Mesh has them in match order.
	Routes []Route
	// Stats is where Envoy's Prometheus metrics are served, and EnvoyAdmin the address of the admin API that they come
	// from; the zero AddrPort for nowhere.
	Stats, EnvoyAdmin netip.AddrPort
}

// Direction tells which way the traffic of a listener goes, seen from the proxy's own task.
type Direction int

// The directions of a listener.
const (
	// Egress: from the task's own containers to other services.
	Egress Direction = iota
	// Ingress: from outside to the task's own containers.
	Ingress
)

// String is the direction in a word, for people and JSON.
func (d Direction) String() string {
	if d == Ingress {
		return "ingress"
	}
	return "egress"
}

// Listener is an address where a proxy takes requests.
type Listener struct {
	// Name is unique in its proxy, and is seen in Envoy's statistics.
	Name      string
	Direction Direction
	Addr      netip.AddrPort
	// Exclusive keeps a second Envoy from sharing the port unnoticed, where several tasks share one network (host mode).
	Exclusive bool
	// AccessLog says which requests are logged.
	AccessLog AccessLog
	// TrustedHops are the proxies in front of an ingress listener whose X-Forwarded-* are believed.
	TrustedHops uint32
	// HealthPath is answered by an ingress listener itself: 200 while every service behind the proxy's ingress listeners has
	// a healthy endpoint, else 503.
	HealthPath string
	// Origin names the setting of its port, such as EGRESS_LISTEN_PORT, for messages.
	Origin string
}
