package xds

import (
	"errors"
	"maps"
	"slices"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// translator makes resources of a mesh, and keeps what it made: a service that did not change (the same *mesh.Service)
// is not translated again, which is what makes one change among a thousand services cheap. It is not safe for concurrent
// use.
//
// What cannot be translated keeps its last good resource, and its error is told; the rest goes on.
type translator struct {
	services map[string]translatedService
	proxies  map[string]translatedProxy
}

type translatedService struct {
	from                *mesh.Service
	cluster, assignment *Resource
}

type translatedProxy struct {
	from mesh.Proxy
	view Resources
}

// translate returns the resources of each proxy by its ID.
func (t *translator) translate(m *mesh.Mesh) (map[string]Resources, error) {
	var errs []error
	shared, err := t.shared(m.Services)
	errs = append(errs, err)
	all := make(map[string]Resources, len(m.Proxies))
	proxies := make(map[string]translatedProxy, len(m.Proxies))
	for _, p := range m.Proxies {
		made, err := t.proxy(p)
		errs = append(errs, err)
		proxies[p.ID] = made
		resources := maps.Clone(shared)
		maps.Copy(resources, made.view)
		all[p.ID] = resources
	}
	t.proxies = proxies
	return all, errors.Join(errs...)
}

// shared translates services: Envoy clusters and load assignments, the same for all Envoys.
func (t *translator) shared(services []*mesh.Service) (Resources, error) {
	var errs []error
	clusters := make(map[string]*Resource, len(services))
	assignments := make(map[string]*Resource, len(services))
	made := make(map[string]translatedService, len(services))
	for _, s := range services {
		ts, err := t.service(s)
		errs = append(errs, err)
		made[s.Name] = ts
		if ts.cluster != nil && ts.assignment != nil {
			clusters[clusterName(s.Name)] = ts.cluster
			assignments[clusterName(s.Name)] = ts.assignment
		}
	}
	t.services = made
	return Resources{ClusterType: clusters, EndpointType: assignments}, errors.Join(errs...)
}

func (t *translator) service(s *mesh.Service) (translatedService, error) {
	last := t.services[s.Name]
	if last.from == s {
		return last, nil
	}
	made := translatedService{from: s, cluster: last.cluster}
	var err error
	if made.cluster == nil {
		made.cluster, err = cluster(s)
	}
	assignment, assignmentErr := loadAssignment(s)
	made.assignment = sameOr(last.assignment, assignment)
	return made, errors.Join(err, assignmentErr)
}

// proxy translates what one Envoy sees: its listeners and their routes.
func (t *translator) proxy(p mesh.Proxy) (translatedProxy, error) {
	last, known := t.proxies[p.ID]
	if known && slices.Equal(last.from.Listeners, p.Listeners) && slices.Equal(last.from.Routes, p.Routes) {
		return last, nil
	}
	var errs []error
	view := Resources{ListenerType: {}, RouteType: {}}
	for _, l := range p.Listeners {
		made, err := listener(l)
		errs = append(errs, err)
		keep(view[ListenerType], l.Name, last.view[ListenerType][l.Name], made)
		made, err = routeConfig(l, p.Routes)
		errs = append(errs, err)
		name := routeConfigName(l.Name)
		keep(view[RouteType], name, last.view[RouteType][name], made)
	}
	return translatedProxy{from: p, view: view}, errors.Join(errs...)
}

// keep puts what was made into into, or else what was there before.
func keep(into map[string]*Resource, name string, before, made *Resource) {
	if r := sameOr(before, made); r != nil {
		into[name] = r
	}
}

// sameOr returns what was made, but before where nothing was made or nothing changed.
func sameOr(before, made *Resource) *Resource {
	if made == nil || before != nil && before.Version() == made.Version() && before.Unread == made.Unread {
		return before
	}
	return made
}
