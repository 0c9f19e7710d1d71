package check

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/groboclown/nightjar-mesh/internal/config"
)

// place is something that listens.
type place struct {
	// variable is what sets its address; what is what reaches who is there.
	variable, what string
	at             config.Address
	// envoy tells that Envoy listens, which in bridge mode is in a container of its own.
	envoy bool
	// open is how a finding comes out where others than meant reach it.
	open Result
	// why is what that means.
	why string
	// closed says who can't reach it on the loopback of a container in bridge mode though they must, and remedy what to do; ""
	// where nobody must.
	closed, remedy string
}

// judgeReach says who else reaches what listens, as it follows from the network mode and the addresses. Shared tells that the
// directory of xDS's socket is there.
func judgeReach(s *config.Config, shared bool) []Finding {
	var findings []Finding
	for _, p := range places(s) {
		f := p.judge(s.Mode)
		if p.what == "xDS" && !shared {
			f.Result, f.Found = Fail, "there is no directory "+filepath.Dir(p.at.Path)
			f.Do = "mount the volume that nightjar and Envoy share (volumesFrom), or set NIGHTJAR_XDS_LISTEN to HOST:PORT"
		}
		findings = append(findings, f)
	}
	return findings
}

func places(s *config.Config) []place {
	var all []place
	strangers := map[string]string{"egress": "no app's container can reach it", "ingress": "no load balancer can reach it"}
	add := func(variable, what string, at netip.AddrPort, open Result, why string) {
		if at.IsValid() {
			all = append(all, place{
				variable: variable, what: what, at: config.Address{Network: "tcp", Host: at.Addr().String(), Port: at.Port()}, envoy: true,
				open: open, why: why, closed: strangers[what], remedy: fmt.Sprintf("set %s=0.0.0.0", variable),
			})
		}
	}
	add("EGRESS_LISTEN_ADDRESS", "egress", s.Egress, Warning, "whoever reaches it reaches the services behind it")
	add("INGRESS_LISTEN_ADDRESS", "ingress", s.Ingress, OK, "")
	add("ENVOY_ADMIN_PORT", "Envoy's admin API", s.EnvoyAdmin, Warning, "whoever reaches it can stop Envoy (/quitquitquit)")
	add("NIGHTJAR_ENVOY_STATS_LISTEN", "Envoy's metrics", s.Stats, Note, "whoever reaches it reads Envoy's metrics")
	return append(all,
		place{
			variable: "NIGHTJAR_XDS_LISTEN", what: "xDS", at: s.XDS, open: Warning,
			why:    "whoever reaches it reads all routes and endpoints, as Envoy does",
			closed: "Envoy's container can't reach it", remedy: "use unix:/shared/xds.sock",
		},
		place{
			variable: "NIGHTJAR_ADMIN_LISTEN", what: "nightjar's status and metrics", at: s.Admin, open: Note,
			why: "whoever reaches it reads services and addresses",
		})
}

// judge says who reaches a place.
func (p place) judge(mode string) Finding {
	f := Finding{Check: "reach", Subject: p.what, Result: OK}
	loopback := isLoopback(p.at.Host)
	switch {
	case p.at.Network == "unix":
		f.Found = fmt.Sprintf("%s: who can open its directory", p.at.Setting())
	case loopback && mode == "host":
		f.Found = fmt.Sprintf("%s: every process on the instance that shares the host's network", p.at.Setting())
		if p.open != OK {
			f.Result, f.Do = Note, p.why+"; run nothing that you don't trust in host mode beside it"
		}
	case loopback && mode == "bridge":
		f.Found = fmt.Sprintf("%s: its own container alone", p.at.Setting())
		if p.closed != "" {
			f.Result, f.Do = Warning, p.closed+": "+p.remedy
		}
	case loopback:
		f.Found = fmt.Sprintf("%s: this task's containers alone", p.at.Setting())
	case mode == "bridge":
		f.Found = fmt.Sprintf("%s: every container of the instance, and where the port is published on the host, whoever its security "+
			"group lets in", p.at.Setting())
		p.exposed(&f)
		if p.what == "Envoy's admin API" && p.open != OK {
			f.Do = p.why + "; unset ENVOY_CONTAINER_NAME where nobody needs to ask it"
		}
	case mode == "host":
		f.Found = fmt.Sprintf("%s: the instance, and whoever its security group lets in", p.at.Setting())
		p.exposed(&f)
	default:
		f.Found = fmt.Sprintf("%s: whoever the task's security group lets in", p.at.Setting())
		p.exposed(&f)
	}
	return f
}

// exposed says what it means that others reach a place.
func (p place) exposed(f *Finding) {
	if p.open == OK {
		return
	}
	f.Result, f.Do = p.open, fmt.Sprintf("%s; change %s where that isn't meant", p.why, p.variable)
}
