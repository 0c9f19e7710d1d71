package explain

import (
	"fmt"
	"slices"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// routesOf has a line for each route to a service, by the service's name. A service that could not be read is taken to
// serve, as a running nightjar keeps what was.
func routesOf(w World) (map[string][]string, error) {
	services := make([]*mesh.Service, 0, len(w.Readings))
	for _, r := range w.Readings {
		s := r.Service
		if r.Err != nil {
			s = &mesh.Service{Name: r.Ref.Name(), Endpoints: make([]mesh.Endpoint, 1)}
		}
		services = append(services, s)
	}
	m, err := mesh.New(services, []mesh.Proxy{w.Proxy})
	if err != nil {
		return nil, err
	}
	proxy := m.Proxies[0]
	lines := map[string][]string{}
	for _, split := range m.Splits(proxy) {
		for _, share := range split.Shares {
			route := routeOf(proxy, split, share)
			line := fmt.Sprintf("%s %s (%s): %s", place(proxy, split.Listener), split.Path, route.Origin, part(split, share, route))
			if len(m.Service(share.Service).Endpoints) == 0 && !share.PassedOn && share.Weight > 0 {
				line += ", answered with 503"
			}
			lines[share.Service] = append(lines[share.Service], line)
		}
	}
	return lines, nil
}

// place is a listener's name and address.
func place(p mesh.Proxy, listener string) string {
	i := slices.IndexFunc(p.Listeners, func(l mesh.Listener) bool { return l.Name == listener })
	return fmt.Sprintf("%s %s", listener, p.Listeners[i].Addr) // mesh.New has made sure that it is there
}

// routeOf is the route that a share is of.
func routeOf(p mesh.Proxy, split mesh.Split, share mesh.Share) mesh.Route {
	i := slices.IndexFunc(p.Routes, func(r mesh.Route) bool {
		return r.Listener == split.Listener && r.Path == split.Path && r.Service == share.Service
	})
	return p.Routes[i]
}

// part says which part of a path's requests a service gets now.
func part(split mesh.Split, share mesh.Share, route mesh.Route) string {
	sum := uint64(0)
	for _, s := range split.Shares {
		sum += uint64(s.Weight)
	}
	switch {
	case len(split.Shares) == 1:
		return "every request"
	case share.PassedOn:
		return fmt.Sprintf("no request: it has nothing to serve, and the others take its share (its weight is %d)", weight(route))
	case share.Weight == 0:
		return "no request: its weight is 0"
	default:
		return fmt.Sprintf("%.3g %% of the requests (weight %d of %d)", 100*float64(share.Weight)/float64(sum), share.Weight, sum)
	}
}

// weight is that of a route as it was set, 1 without one.
func weight(r mesh.Route) uint32 {
	if r.Weighted {
		return r.Weight
	}
	return 1
}
