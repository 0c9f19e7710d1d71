package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// judgeRoutes says what becomes of the paths that services share by weight. A service that could not be read is taken to
// serve, as a running nightjar keeps what was.
func judgeRoutes(s *config.Config, readings []mesh.Reading) []Finding {
	services := make([]*mesh.Service, 0, len(readings))
	for _, r := range readings {
		service := r.Service
		if r.Err != nil {
			service = &mesh.Service{Name: r.Ref.Name(), Endpoints: make([]mesh.Endpoint, 1)}
		}
		services = append(services, service)
	}
	m, err := mesh.New(services, []mesh.Proxy{s.Proxy()})
	if err != nil { // the settings were found to be right
		return []Finding{{Check: "route", Result: Fail, Found: err.Error()}}
	}
	var findings []Finding
	for _, split := range m.Splits(m.Proxies[0]) {
		if len(split.Shares) > 1 {
			findings = append(findings, judgeSplit(m, split))
		}
	}
	return findings
}

// judgeSplit says who gets which part of a path.
func judgeSplit(m *mesh.Mesh, split mesh.Split) Finding {
	f := Finding{Check: "route", Subject: split.Listener + " " + split.Path, Result: OK}
	sum, serves := uint64(0), false
	for _, share := range split.Shares {
		sum += uint64(share.Weight)
		serves = serves || share.Weight > 0 && len(m.Service(share.Service).Endpoints) > 0
	}
	var parts, empty, weights []string
	for _, share := range split.Shares {
		if share.Weight > 0 {
			parts = append(parts, fmt.Sprintf("%.3g %% to %s", 100*float64(share.Weight)/float64(sum), share.Service))
		}
		if share.PassedOn {
			empty = append(empty, share.Service)
		}
		if share.Weight == 0 && !share.PassedOn {
			weights = append(weights, weightOf(m.Proxies[0], split, share.Service))
		}
	}
	f.Found = several(parts, 5, ", ")
	switch {
	case !serves:
		f.Result = Fail
		f.Found = "all of its weight is on services with nothing to serve, and it answers 503: " + f.Found
		f.Do = "start tasks of one of them"
		if len(weights) > 0 {
			f.Do += ", or raise " + strings.Join(weights, " or ")
		}
	case len(empty) > 0:
		f.Result = Warning
		f.Found += fmt.Sprintf("; the others take the share of %s, which has nothing to serve", strings.Join(empty, " and "))
		f.Do = "see that service above"
	}
	return f
}

// weightOf is the variable of a service's weight on a path.
func weightOf(p mesh.Proxy, split mesh.Split, service string) string {
	i := slices.IndexFunc(p.Routes, func(r mesh.Route) bool {
		return r.Listener == split.Listener && r.Path == split.Path && r.Service == service
	})
	return strings.Replace(p.Routes[i].Origin, "_PATH_", "_WEIGHT_", 1)
}
