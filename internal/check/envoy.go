package check

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
)

// Envoy is what the own Envoy told of itself.
type Envoy struct {
	// At is where it was asked, HOST:PORT.
	At    string
	Sight envoy.Sight
	Err   error
}

// Nightjar is what a running nightjar told of itself.
type Nightjar struct {
	Ready bool
	// NotReady says what readiness waits for; Note what nightjar knows of an Envoy that doesn't come.
	NotReady, Note string
	// Envoys are the node IDs of the connected Envoys.
	Envoys []string
	// Refusals are what these refuse now.
	Refusals []Refusal
}

// Refusal is an Envoy's refusal of a resource.
type Refusal struct {
	// Type is a word: cluster, endpoint, route or listener.
	Type, Name string
	// Setting is the variable that it comes from, "" where no single one is.
	Setting string
	// Message is Envoy's.
	Message string
}

// cantAsk tells whether Envoy's admin API is out of reach by the way it is set up.
func cantAsk(local *config.Config) bool { return local.Mode == "bridge" && isLoopback(local.EnvoyHost) }

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

func cantAskEnvoy() Finding {
	return Finding{
		Check: "envoy", Subject: "admin API", Result: Note,
		Found: "it can't be asked: in bridge mode it listens on the loopback of its own container",
		Do:    "set ENVOY_CONTAINER_NAME in Envoy's and nightjar's container to have it asked; that opens it to all containers of the instance",
	}
}

// judgeEnvoy says what was found of Envoy, beside the running nightjar, which may be nil; taken tells that somebody else is in its
// place. Where nightjar listens is listens, "" where it isn't known.
func judgeEnvoy(e Envoy, bridge bool, listens string, n *Nightjar, taken bool) []Finding {
	connected := n != nil && len(n.Envoys) > 0
	f := Finding{Check: "envoy", Subject: e.At, Result: OK}
	if e.Err != nil {
		f.Result, f.Found = Fail, "Envoy's admin API can't be asked: "+e.Err.Error()
		f.Do = "start Envoy, or say where its admin API is: ENVOY_CONTAINER_NAME (its container, or a host) and ENVOY_ADMIN_PORT"
		if bridge {
			f.Do += "; in bridge mode it must listen on 0.0.0.0, as the bootstrap of `nightjar bootstrap` with ENVOY_CONTAINER_NAME has it"
		}
		switch {
		case connected:
			f.Result = Warning
		case n == nil && !taken && nobody(e.Err):
			f.Result = Note
			f.Found += "; neither Envoy nor nightjar runs here, as where settings are tried before they are deployed"
			f.Do = "nothing then; else " + f.Do
		}
		return []Finding{f}
	}
	f.Found = fmt.Sprintf("Envoy %s is %s", e.Sight.Version, e.Sight.State)
	switch judged := e.Sight.Judge(listens, bridge); {
	case n != nil && slices.Contains(n.Envoys, e.Sight.NodeID):
		f.Found += ", and connected to nightjar"
	case listens == "":
		f.Result = Note
		f.Found += "; whether it comes here isn't known while NIGHTJAR_XDS_LISTEN is wrong"
	case !judged.Leads:
		f.Result = Fail
		f.Found += fmt.Sprintf(", and doesn't come to nightjar: %s", judged.Found)
		f.Do = judged.Do
	case n != nil:
		f.Result = Fail
		f.Found += fmt.Sprintf(", and isn't connected to the nightjar that runs: %s", judged.Found)
		f.Do = judged.Do
		if !n.Ready {
			f.Do = "see below what nightjar waits for: it answers no Envoy before it has read AWS; else " + f.Do
		}
	default:
		f.Found += "; " + judged.Found
	}
	return append([]Finding{f}, judgeVersion(e)...)
}

// nobody tells whether an error says that nothing listens, or that there is no such host.
func nobody(err error) bool {
	var unknown *net.DNSError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &unknown)
}

// judgeVersion says that Envoy is of another series than the one that nightjar is tested with.
func judgeVersion(e Envoy) []Finding {
	if series(e.Sight.Version) == series(envoy.Version) {
		return nil
	}
	return []Finding{{
		Check: "envoy", Subject: "version", Result: Note,
		Found: fmt.Sprintf("it is %s, and nightjar is tested with %s", e.Sight.Version, series(envoy.Version)),
		Do:    "run Envoy " + series(envoy.Version) + " where something behaves in an unexpected way",
	}}
}

// series is the version without its last number.
func series(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}

// judgeNightjar says what was found of a nightjar at its admin address. One that answers and one that doesn't are both in
// order; what can't be is that somebody else is there.
func judgeNightjar(s Surroundings, local *config.Config) []Finding {
	f := Finding{Check: "nightjar", Subject: local.Admin.Setting(), Result: OK}
	n := s.Nightjar
	switch {
	case s.Stranger != nil:
		f.Result, f.Found = Fail, "something else than nightjar answers there: "+s.Stranger.Error()
		f.Do = "choose another address for NIGHTJAR_ADMIN_LISTEN"
	case n == nil:
		f.Result, f.Found = Note, "no nightjar runs there (NIGHTJAR_ADMIN_LISTEN)"
	case !n.Ready:
		f.Result, f.Found, f.Do = Fail, "it runs and is not ready: "+n.NotReady, n.Note
	case len(n.Envoys) == 0:
		f.Result, f.Found = Fail, "it runs, and no Envoy is connected"
		f.Do = cmp.Or(n.Note, "start Envoy with the bootstrap that `nightjar bootstrap` prints, or see above what was found of it")
	default:
		f.Found = "it is ready, and connected: " + several(n.Envoys, 3, ", ")
	}
	findings := []Finding{f}
	if s.Taken {
		findings = append(findings, Finding{
			Check: "nightjar", Subject: "NIGHTJAR_XDS_LISTEN", Result: Fail,
			Found: fmt.Sprintf("somebody else listens on %s: no nightjar answers at NIGHTJAR_ADMIN_LISTEN", local.XDS.Setting()),
			Do:    "choose another address for NIGHTJAR_XDS_LISTEN, or end what listens there",
		})
	}
	if n != nil {
		for _, r := range n.Refusals {
			findings = append(findings, judgeRefusal(r))
		}
	}
	return findings
}

func judgeRefusal(r Refusal) Finding {
	f := Finding{
		Check: "nightjar", Subject: r.Type + " " + r.Name, Result: Fail,
		Found: "Envoy refuses it, and goes on with what it had: " + r.Message,
		Do:    "compare it with what `nightjar render` prints",
	}
	if r.Type == "listener" {
		f.Do = "most often its port is taken, or too low for Envoy's user: change " + cmp.Or(r.Setting, "the variable of its port")
	}
	return f
}
