// Package mesh is the model that every other package speaks: the services that exist, their endpoints, and what one
// Envoy sees of them. It holds values and pure functions, imports only the standard library, and knows neither AWS nor
// Envoy.
//
// A Service is true of the world, whoever asks. A Proxy is the view of one Envoy: listeners, and routes to services.
package mesh

import (
	"fmt"
	"slices"
	"strings"
)

// Mesh is everything that is to be served at one moment. It is immutable once made: a new reading makes a new Mesh,
// which shares the *Service values that did not change.
type Mesh struct {
	// Services by name, in order of name.
	Services []*Service
	// Proxies in order of ID. A sidecar has one.
	Proxies []Proxy
}

// New makes a Mesh: services in order of name, the routes of each proxy in match order. Its error names what cannot be
// served: two services of one name, a route to a service or listener that is not there, conflicting routes.
func New(services []*Service, proxies []Proxy) (*Mesh, error) {
	m := &Mesh{Services: slices.Clone(services), Proxies: make([]Proxy, 0, len(proxies))}
	slices.SortFunc(m.Services, func(a, b *Service) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(m.Services); i++ {
		if m.Services[i].Name == m.Services[i-1].Name {
			return nil, fmt.Errorf("making the mesh: the service %s is there twice", m.Services[i].Name)
		}
	}
	for _, p := range proxies {
		p.Routes = InMatchOrder(p.Routes)
		if err := m.check(p); err != nil {
			return nil, fmt.Errorf("making the mesh: proxy %q: %w", p.ID, err)
		}
		m.Proxies = append(m.Proxies, p)
	}
	slices.SortFunc(m.Proxies, func(a, b Proxy) int { return strings.Compare(a.ID, b.ID) })
	return m, nil
}

// check says what in p names something that is not in the mesh, or contradicts itself.
func (m *Mesh) check(p Proxy) error {
	listeners := make(map[string]bool, len(p.Listeners))
	for _, l := range p.Listeners {
		listeners[l.Name] = true
	}
	for _, r := range p.Routes {
		if !listeners[r.Listener] {
			return fmt.Errorf("the route %s (%s) is on the listener %q, which is not there", r.Path, r.Origin, r.Listener)
		}
		if m.Service(r.Service) == nil {
			return fmt.Errorf("the route %s (%s) goes to the service %s, which is not there", r.Path, r.Origin, r.Service)
		}
	}
	for _, c := range Conflicts(p.Routes) {
		if c.Fatal {
			return c
		}
	}
	return nil
}

// Service returns the service of that name, nil where there is none.
func (m *Mesh) Service(name string) *Service {
	i, found := slices.BinarySearchFunc(m.Services, name, func(s *Service, n string) int { return strings.Compare(s.Name, n) })
	if !found {
		return nil
	}
	return m.Services[i]
}
