package envoy

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// Judgement says whether an Envoy can come to a nightjar, and what to change where it can't.
type Judgement struct {
	// Leads tells that its bootstrap leads to where nightjar listens, as far as can be told from outside of its container.
	Leads bool
	// Found is what was found, and Do what to change, or to look at where it leads here; a part of a sentence each.
	Found, Do string
}

const printsBootstrap = "start Envoy with the bootstrap that `nightjar bootstrap` prints"

// Judge compares what an Envoy dials with where nightjar listens: HOST:PORT or unix:PATH. In bridge mode each container
// has a network of its own.
func (s Sight) Judge(listens string, bridge bool) Judgement {
	here := slices.ContainsFunc(s.XDS, func(dials string) bool { return leadsTo(dials, listens) })
	dials := strings.Join(s.XDS, ", ")
	switch {
	case len(s.Flaws) > 0:
		return Judgement{Found: strings.Join(s.Flaws, "; "), Do: printsBootstrap}
	case !here:
		return Judgement{
			Found: fmt.Sprintf("its bootstrap's xDS address is %s, mine is %s", dials, listens),
			Do:    "set NIGHTJAR_XDS_LISTEN alike for both: in Envoy's container, where its bootstrap is made, too; or " + printsBootstrap,
		}
	case bridge && loopbackAlone(listens):
		return Judgement{
			Found: fmt.Sprintf("its bootstrap's xDS address is %s, mine is %s, and in bridge mode containers share no loopback", dials, listens),
			Do:    "set NIGHTJAR_XDS_LISTEN=unix:/shared/xds.sock in both containers, on a volume that both mount",
		}
	}
	return Judgement{
		Leads: true, Found: fmt.Sprintf("its bootstrap's xDS address is %s, and mine is %s", dials, listens), Do: lookAt(listens, bridge),
	}
}

func loopbackAlone(listens string) bool {
	host, _, err := net.SplitHostPort(listens)
	return err == nil && !strings.HasPrefix(listens, "unix:") && isLoopback(host)
}

// lookAt is what else can keep an Envoy away that dials the right address.
func lookAt(listens string, bridge bool) string {
	const log = "Envoy's log says why it doesn't connect"
	switch {
	case strings.HasPrefix(listens, "unix:"):
		return "mount the volume with the socket in both containers, and let Envoy's user into its directory (the socket's mode is 0666); " + log
	case bridge:
		return "link Envoy's container to nightjar's and let it dial that name (NIGHTJAR_XDS_LISTEN=nightjar:9902 in Envoy's " +
			"container), or share a unix socket; " + log
	default:
		return "see that this Envoy is of the same task, so that both share one network; " + log
	}
}
