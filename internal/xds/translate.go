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
	from        *mesh.Service
	policy      mesh.Policy
	cluster     *Resource
	assignments map[string]*Resource // by the zone that sees it
}

type translatedProxy struct {
	from   mesh.Proxy
	splits []mesh.Split
	view   Resources
}

// translate returns the resources of each proxy by its ID.
func (t *translator) translate(m *mesh.Mesh) (map[string]Resources, error) {
	var errs []error
	shared, err := t.shared(m)
	errs = append(errs, err)
	all := make(map[string]Resources, len(m.Proxies))
	proxies := make(map[string]translatedProxy, len(m.Proxies))
	for _, p := range m.Proxies {
		made, err := t.proxy(p, m.Splits(p))
		errs = append(errs, err)
		proxies[p.ID] = made
		all[p.ID] = together(shared[p.Zone], made.view)
	}
	t.proxies = proxies
	return all, errors.Join(errs...)
}

// together joins the resources of all Envoys with those of one.
func together(shared, view Resources) Resources {
	all := maps.Clone(shared)
	for typeURL, resources := range view {
		if len(all[typeURL]) == 0 {
			all[typeURL] = resources
			continue
		}
		if len(resources) > 0 {
			both := maps.Clone(all[typeURL])
			maps.Copy(both, resources)
			all[typeURL] = both
		}
	}
	return all
}

// shared translates services, by the zones of the proxies: Envoy clusters, the same for all Envoys, and load assignments, the
// same for all Envoys of a zone.
func (t *translator) shared(m *mesh.Mesh) (map[string]Resources, error) {
	services := m.Services
	policies := make(map[string]mesh.Policy, len(services))
	zones := map[string]Resources{}
	for _, p := range m.Proxies {
		if zones[p.Zone] == nil {
			zones[p.Zone] = Resources{
				ClusterType: make(map[string]*Resource, len(services)), EndpointType: make(map[string]*Resource, len(services)),
			}
		}
		for _, r := range p.Routes {
			policies[r.Service] = r.Policy // of what a cluster takes from it, all routes to a service have the same
		}
	}
	var errs []error
	made := make(map[string]translatedService, len(services))
	for _, s := range services {
		ts, err := t.service(s, policies[s.Name], zones)
		errs = append(errs, err)
		made[s.Name] = ts
		for zone, resources := range zones {
			if assignment := ts.assignments[zone]; ts.cluster != nil && assignment != nil {
				resources[ClusterType][clusterName(s.Name)] = ts.cluster
				resources[EndpointType][clusterName(s.Name)] = assignment
			}
		}
	}
	t.services = made
	return zones, errors.Join(errs...)
}

func (t *translator) service(s *mesh.Service, policy mesh.Policy, zones map[string]Resources) (translatedService, error) {
	last := t.services[s.Name]
	if last.from == s && last.policy == policy && last.seenFrom(zones) {
		return last, nil
	}
	made := translatedService{from: s, policy: policy, cluster: last.cluster, assignments: make(map[string]*Resource, len(zones))}
	var err error
	if made.cluster == nil || last.policy != policy {
		var changed *Resource
		changed, err = cluster(s, policy)
		made.cluster = sameOr(last.cluster, changed)
	}
	errs := []error{err}
	byFirst := map[string]*Resource{} // zones that don't go first have one assignment
	for zone := range zones {
		first := ""
		if s.SeenFrom(zone).First && !policy.HealthCheck { // own containers are all here
			first = zone
		}
		if _, done := byFirst[first]; !done {
			byFirst[first], err = loadAssignment(s, policy, first)
			errs = append(errs, err)
		}
		made.assignments[zone] = sameOr(last.assignments[zone], byFirst[first])
	}
	return made, errors.Join(errs...)
}

// seenFrom tells whether the service has been translated for all the zones.
func (ts translatedService) seenFrom(zones map[string]Resources) bool {
	for zone := range zones {
		if _, seen := ts.assignments[zone]; !seen {
			return false
		}
	}
	return true
}

// proxy translates what one Envoy sees: its listeners and what their paths lead to.
func (t *translator) proxy(p mesh.Proxy, splits []mesh.Split) (translatedProxy, error) {
	last, known := t.proxies[p.ID]
	if known && slices.Equal(last.from.Listeners, p.Listeners) && slices.EqualFunc(last.splits, splits, mesh.Split.Equal) &&
		last.from.Stats == p.Stats && last.from.EnvoyAdmin == p.EnvoyAdmin {
		return last, nil
	}
	var errs []error
	view := Resources{ListenerType: {}, RouteType: {}, ClusterType: {}}
	for _, l := range p.Listeners {
		made, err := listener(l, ingressClusters(p, splits))
		errs = append(errs, err)
		keep(view[ListenerType], l.Name, last.view[ListenerType][l.Name], made)
		made, err = routeConfig(l, splits)
		errs = append(errs, err)
		name := routeConfigName(l.Name)
		keep(view[RouteType], name, last.view[RouteType][name], made)
	}
	if p.Stats.IsValid() {
		made, err := statsListener(p)
		errs = append(errs, err)
		keep(view[ListenerType], statsName, last.view[ListenerType][statsName], made)
		made, err = statsCluster(p.EnvoyAdmin)
		errs = append(errs, err)
		keep(view[ClusterType], statsName, last.view[ClusterType][statsName], made)
	}
	return translatedProxy{from: p, splits: splits, view: view}, errors.Join(errs...)
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
