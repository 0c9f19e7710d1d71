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
	host, _ := netip.ParseAddr(l.modeDefault(adminAddress))
	c.EnvoyAdmin = netip.AddrPortFrom(host, l.port("ENVOY_ADMIN_PORT"))
	if l.Purpose != ToDial {
		c.Admin = l.address("NIGHTJAR_ADMIN_LISTEN")
	}
	if l.Purpose == ToAsk {
		return
	}
	c.XDS = l.address("NIGHTJAR_XDS_LISTEN")
	if l.Purpose == ToDial && unspecified(c.XDS.Host) {
		if c.Mode == "bridge" {
			l.mistake("NIGHTJAR_XDS_LISTEN", "Envoy dials this address, and in bridge mode containers share no loopback: "+
				"want nightjar's container name (nightjar:"+strconv.Itoa(int(c.XDS.Port))+" with links) or unix:/shared/xds.sock")
		}
		c.XDS.Host = "127.0.0.1"
	}
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

// egress reads where the apps' requests are taken.
func (l *loader) egress() {
	port := l.port("EGRESS_LISTEN_PORT")
	without := func(e Entry) bool { return e.ListenPort == 0 }
	if port == 0 && (len(l.config.Entries) == 0 || slices.ContainsFunc(l.config.Entries, without)) {
		l.mistake("EGRESS_LISTEN_PORT", "needed: the services of SERVICE_ARN_X without a SERVICE_LISTEN_PORT_X are reached through it")
	}
	host, err := netip.ParseAddr(l.value("EGRESS_LISTEN_ADDRESS"))
	if err != nil || host.Zone() != "" {
		l.mistake("EGRESS_LISTEN_ADDRESS", "want an IP address, such as 127.0.0.1")
		return
	}
	l.config.Egress = netip.AddrPortFrom(host, port)
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

// addressConflicts finds addresses that can't both be listened on. In bridge mode Envoy's container has a network of its
// own, and what it listens on is in nobody's way here.
func (l *loader) addressConflicts() {
	type place struct {
		variable string
		at       Address
		envoy    bool
	}
	c := l.config
	places := []place{
		{"NIGHTJAR_XDS_LISTEN", c.XDS, false},
		{"NIGHTJAR_ADMIN_LISTEN", c.Admin, false},
		{"ENVOY_ADMIN_PORT", tcp(c.EnvoyAdmin), true},
		{"EGRESS_LISTEN_PORT", tcp(c.Egress), true},
	}
	seen := []uint16{c.Egress.Port()}
	for _, e := range c.Entries {
		if !slices.Contains(seen, e.ListenPort) && e.ListenPort != 0 {
			seen = append(seen, e.ListenPort)
			places = append(places, place{"SERVICE_LISTEN_PORT_" + e.index(), tcp(netip.AddrPortFrom(c.Egress.Addr(), e.ListenPort)), true})
		}
	}
	places = append(places, place{"NIGHTJAR_ENVOY_STATS_LISTEN", tcp(c.Stats), true})
	for i, b := range places {
		for _, a := range places[:i] {
			together := c.Mode != "bridge" || a.envoy == b.envoy
			if together && overlap(a.at, b.at) {
				l.mistake(b.variable, fmt.Sprintf("the address %s is %s's too; choose another port for one of them", b.at, a.variable))
			}
		}
	}
}

func tcp(a netip.AddrPort) Address {
	if !a.IsValid() || a.Port() == 0 {
		return Address{}
	}
	return Address{Network: "tcp", Host: a.Addr().String(), Port: a.Port()}
}
