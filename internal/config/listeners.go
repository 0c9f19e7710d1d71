package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// addresses reads where nightjar and Envoy listen, as far as the purpose needs it.
func (l *loader) addresses() {
	c := l.config
	c.EnvoyHost = l.envoyHost()
	host, _ := netip.ParseAddr(l.modeDefault(adminAddress))
	if c.Mode == "bridge" && !local(c.EnvoyHost) {
		host = netip.IPv4Unspecified() // else nobody else could ask it
	}
	c.EnvoyAdmin = netip.AddrPortFrom(host, l.port("ENVOY_ADMIN_PORT"))
	if !l.Purpose.dials() {
		c.Admin = l.address("NIGHTJAR_ADMIN_LISTEN")
	}
	if l.Purpose == ToAsk {
		return
	}
	c.XDS = l.address("NIGHTJAR_XDS_LISTEN")
	if l.Purpose.dials() && unspecified(c.XDS.Host) {
		if c.Mode == "bridge" {
			l.mistake("NIGHTJAR_XDS_LISTEN", "Envoy dials this address, and in bridge mode containers share no loopback: "+
				"want nightjar's container name (nightjar:"+strconv.Itoa(int(c.XDS.Port))+" with links) or unix:/shared/xds.sock")
		}
		c.XDS.Host = "127.0.0.1"
	}
}

// envoyHost reads ENVOY_CONTAINER_NAME.
func (l *loader) envoyHost() string {
	const variable = "ENVOY_CONTAINER_NAME"
	host := l.value(variable)
	if ip, err := netip.ParseAddr(host); err != nil && !validHost(host) || ip.Zone() != "" {
		l.mistake(variable, "want the name of Envoy's container, a host name or an IP address")
	}
	return host
}

func (l *loader) address(name string) Address {
	a, err := parseAddress(l.value(name))
	if err != nil {
		l.mistake(name, err.Error())
	}
	return a
}

// port reads a port; 0 where it isn't set or wrong.
func (l *loader) port(name string) uint16 {
	text := l.value(name)
	if text == "" {
		return 0
	}
	port, err := parsePort(text)
	if err != nil {
		l.mistake(name, err.Error())
	}
	return port
}

// egress reads where the apps' requests are taken, for so many services.
func (l *loader) egress(services int) {
	l.config.Egress = l.listen("EGRESS_LISTEN_PORT", "EGRESS_LISTEN_ADDRESS", services, l.config.Entries,
		"needed: the services of SERVICE_ARN_X without a SERVICE_LISTEN_PORT_X are reached through it",
		"EGRESS_LISTEN_PORT is ignored: there is no SERVICE_ARN_1 to reach through it")
}

// ingress reads where requests from outside are taken, for so many containers.
func (l *loader) ingress(containers int) {
	l.config.Ingress = l.listen("INGRESS_LISTEN_PORT", "INGRESS_LISTEN_ADDRESS", containers, l.config.Containers,
		"needed: the containers of CONTAINER_NAME_X without a CONTAINER_LISTEN_PORT_X are reached through it",
		"INGRESS_LISTEN_PORT is ignored: there is no CONTAINER_NAME_1 to reach through it")
}

// listen reads the usual address of a direction's listeners, whose port is 0 where each entry has one of its own; the zero
// AddrPort where nothing is given.
func (l *loader) listen(portVar, addressVar string, given int, entries []Entry, needed, ignored string) netip.AddrPort {
	port := l.port(portVar)
	without := func(e Entry) bool { return e.ListenPort == 0 }
	switch {
	case given == 0 && port != 0:
		l.warn("%s", ignored)
		return netip.AddrPort{}
	case given == 0:
		return netip.AddrPort{}
	case port == 0 && (len(entries) == 0 || slices.ContainsFunc(entries, without)):
		l.mistake(portVar, needed)
	}
	host, err := netip.ParseAddr(l.value(addressVar))
	if err != nil || host.Zone() != "" {
		l.mistake(addressVar, "want an IP address, such as 127.0.0.1")
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(host, port)
}

// routeConflicts finds routes that contradict each other.
func (l *loader) routeConflicts() {
	l.weightSums()
	for _, c := range mesh.Conflicts(l.config.routes()) {
		if c.Fatal {
			l.mistake(c.Second.Origin, c.Error())
		} else {
			l.warn("%s", c.Error())
		}
	}
}

// place is where nightjar or Envoy listens.
type place struct {
	variable string
	at       Address
	envoy    bool
}

// addressConflicts finds addresses that can't both be listened on. In bridge mode Envoy's container has a network of its
// own, and what it listens on is in nobody's way here.
func (l *loader) addressConflicts() {
	c := l.config
	places := l.places()
	for i, b := range places {
		for _, a := range places[:i] {
			together := c.Mode != "bridge" || a.envoy == b.envoy
			if together && overlap(a.at, b.at) {
				l.mistake(b.variable, fmt.Sprintf("the address %s is %s's too; choose another port for one of them", b.at, a.variable))
			}
		}
	}
	if c.Mode != "bridge" {
		l.ownPorts(places)
	}
}

// ownPorts finds own containers at a port where nightjar or Envoy listens, where all share one network.
func (l *loader) ownPorts(places []place) {
	c := l.config
	c.Taken = map[uint16]string{}
	for _, p := range places {
		if p.at.Network == "tcp" && c.Taken[p.at.Port] == "" {
			c.Taken[p.at.Port] = p.variable
		}
	}
	for _, e := range c.Containers {
		if by := c.Taken[e.Ref.Port]; by != "" && e.Ref.Own {
			l.mistake(e.Ref.PortVar, fmt.Sprintf(
				"the port %d is %s's too, and the containers of the task share one network: choose another port for %s", e.Ref.Port, by, by))
		}
	}
}

// places are the addresses that nightjar and Envoy listen on.
func (l *loader) places() []place {
	c := l.config
	places := []place{
		{"NIGHTJAR_XDS_LISTEN", c.XDS, false},
		{"NIGHTJAR_ADMIN_LISTEN", c.Admin, false},
		{"ENVOY_ADMIN_PORT", tcp(c.EnvoyAdmin), true},
		{"EGRESS_LISTEN_PORT", tcp(c.Egress), true},
		{"INGRESS_LISTEN_PORT", tcp(c.Ingress), true},
	}
	own := func(variable string, usual netip.AddrPort, entries []Entry) {
		seen := []uint16{usual.Port(), 0}
		for _, e := range entries {
			if !slices.Contains(seen, e.ListenPort) {
				seen = append(seen, e.ListenPort)
				places = append(places, place{variable + e.index(), tcp(netip.AddrPortFrom(usual.Addr(), e.ListenPort)), true})
			}
		}
	}
	own("SERVICE_LISTEN_PORT_", c.Egress, c.Entries)
	own("CONTAINER_LISTEN_PORT_", c.Ingress, c.Containers)
	return append(places, place{"NIGHTJAR_ENVOY_STATS_LISTEN", tcp(c.Stats), true})
}

func tcp(a netip.AddrPort) Address {
	if !a.IsValid() || a.Port() == 0 {
		return Address{}
	}
	return Address{Network: "tcp", Host: a.Addr().String(), Port: a.Port()}
}
