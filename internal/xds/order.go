package xds

import (
	"slices"
	"strings"
	"time"
)

// answerTimeout is how long what depends on an Envoy's answer waits for it before it goes on without.
const answerTimeout = 5 * time.Second

// advance hands over all that may go out now; it is called after whatever may have changed that. The order is make before
// break, for each Envoy by itself, and over a reconnect too:
//
//	endpoints → Envoy clusters → (both answered, by their exact nonces) → routes, listeners
//	→ (routes answered) → removal of the Envoy clusters that no route in that Envoy names any more
//
// A refusal is an answer as well, and holds back only what needs the refused resource.
func (s *stream) advance() {
	s.send(EndpointType, s.changes(EndpointType), nil)
	s.send(ClusterType, s.changes(ClusterType), nil)
	s.send(EndpointType, s.changes(EndpointType), nil) // those of changed Envoy clusters once more, right behind them
	s.advanceRoutes()
	s.send(ClusterType, nil, s.removableClusters())
	s.noteAnswered()
}

// advanceRoutes hands over routes and listeners once the Envoy has what they need.
func (s *stream) advanceRoutes() {
	routes := slices.DeleteFunc(s.changes(RouteType), s.lacksClusters)
	listeners, removed := s.changes(ListenerType), s.gone(ListenerType)
	if len(routes)+len(listeners)+len(removed) == 0 {
		s.routes.reset()
		return
	}
	if s.routes.open(s.settled(ClusterType) && s.endpointsSettled(), s, "its answer for endpoints and clusters") {
		s.send(RouteType, routes, nil)
		s.send(ListenerType, listeners, removed)
	}
}

// changes are the resources of a type that the Envoy asked for and was not sent in their present version.
func (s *stream) changes(typeURL string) []*Resource {
	t := s.types[typeURL]
	if t.watch == nil {
		return nil
	}
	var changed []*Resource
	consider := func(name string, r *Resource) {
		version, sent := t.watch.sub.ReturnedResources()[name]
		if !sent || t.again[name] || !r.Unread && (version != r.Version() || t.touch[name]) {
			changed = append(changed, r)
		}
	}
	if t.watch.sub.IsWildcard() {
		for name, r := range s.target[typeURL] {
			consider(name, r)
		}
	} else {
		for name := range t.watch.sub.SubscribedResources() {
			if r := s.target[typeURL][name]; r != nil {
				consider(name, r)
			}
		}
	}
	slices.SortFunc(changed, func(a, b *Resource) int { return strings.Compare(a.Wire.GetName(), b.Wire.GetName()) })
	return changed
}

// gone are the names of a type that the Envoy was sent and that are published no more. It is asked for Envoy clusters and
// listeners alone: Envoy ignores removals of endpoints and routes, and gives them up with what uses them.
func (s *stream) gone(typeURL string) []string {
	w := s.types[typeURL].watch
	if w == nil {
		return nil
	}
	var names []string
	for name := range w.sub.ReturnedResources() {
		if s.target[typeURL][name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// removableClusters are the Envoy clusters to remove that no route in the Envoy names.
func (s *stream) removableClusters() []string {
	names := s.gone(ClusterType)
	if len(names) == 0 || s.routes.waits() {
		s.removals.reset()
		return nil
	}
	settled := s.routesSettled()
	if !s.removals.open(settled, s, "its answer for routes") {
		return nil
	}
	return slices.DeleteFunc(names, func(name string) bool {
		for config, route := range s.types[RouteType].held {
			if !settled && s.awaited(config) {
				continue // waited for long enough
			}
			if route == nil || slices.Contains(route.Needs, name) {
				return true
			}
		}
		return false
	})
}

// lacksClusters tells whether a route configuration names an Envoy cluster that the Envoy refused and has no earlier
// version of. An Envoy without any version of the route configuration gets it all the same: its other routes work.
func (s *stream) lacksClusters(route *Resource) bool {
	if _, has := s.types[RouteType].held[route.Wire.GetName()]; !has {
		return false
	}
	clusters := s.types[ClusterType]
	return slices.ContainsFunc(route.Needs, func(name string) bool {
		_, has := clusters.held[name]
		_, refused := clusters.refused[name]
		return !has && refused
	})
}

// routesSettled tells whether the Envoy has answered for the routes it is to have. Until it asks for some, what routes it
// holds isn't known: after a restart of nightjar no removal may overtake the route that makes it safe.
func (s *stream) routesSettled() bool {
	t := s.types[RouteType]
	if !t.asked || t.watch == nil || len(t.flights) > 0 {
		return false
	}
	for name := range t.held {
		if s.awaited(name) {
			return false
		}
	}
	return true
}

// awaited tells whether a held route configuration is to change, and the Envoy has not answered for that yet.
func (s *stream) awaited(name string) bool {
	t := s.types[RouteType]
	wanted, held := s.target[RouteType][name], t.held[name]
	if wanted == nil || held != nil && held.Version() == wanted.Version() {
		return false
	}
	_, refused := t.refused[name]
	return !refused
}

// settled tells whether the Envoy has answered all that is published of a type.
func (s *stream) settled(typeURL string) bool {
	t := s.types[typeURL]
	return t.watch != nil && len(t.flights) == 0 && len(s.changes(typeURL)) == 0
}

// endpointsSettled is settled for endpoints, which an Envoy without Envoy clusters never asks for.
func (s *stream) endpointsSettled() bool {
	return !s.types[EndpointType].asked || s.settled(EndpointType)
}

// send answers the open question of a type, if there is one and something to say.
func (s *stream) send(typeURL string, changed []*Resource, removed []string) {
	t := s.types[typeURL]
	w := t.watch
	if w == nil || len(changed)+len(removed) == 0 {
		return
	}
	t.watch = nil
	for _, r := range changed {
		name := r.Wire.GetName()
		delete(t.again, name)
		delete(t.touch, name)
		if _, live := w.sub.ReturnedResources()[name]; live && typeURL == ClusterType {
			s.types[EndpointType].touch[name] = true
		}
	}
	r := newResponse(w, changed, removed)
	t.flights = append(t.flights, &flight{message: r.message, sent: changed, removed: removed})
	w.out <- r // never blocks: its buffer takes two responses of each type, and a question gets one
}

// noteAnswered tells the observer what the Envoy has accepted.
func (s *stream) noteAnswered() {
	for _, t := range []string{ClusterType, ListenerType} {
		if !s.settled(t) || len(s.types[t].refused) > 0 {
			return
		}
	}
	s.observe.accepted()
	if !s.pendingSince.IsZero() && s.endpointsSettled() && s.settled(RouteType) {
		s.observe.acked(time.Since(s.pendingSince))
		s.pendingSince = time.Time{}
	}
}

// gate holds something back until a condition is met, but no longer than answerTimeout.
type gate struct {
	timer *time.Timer
	late  bool
}

// open tells whether the way is free. What names what is waited for, as "no …".
func (g *gate) open(met bool, s *stream, what string) bool {
	if met {
		g.reset()
		return true
	}
	if g.timer == nil {
		var timer *time.Timer
		timer = time.AfterFunc(answerTimeout, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if g.timer == timer {
				g.late = true
				s.observe.overdue(s.node, what)
				s.advance()
			}
		})
		g.timer = timer
	}
	return g.late
}

// waits tells whether something is held back now.
func (g *gate) waits() bool { return g.timer != nil && !g.late }

func (g *gate) reset() {
	if g.timer != nil {
		g.timer.Stop()
	}
	g.timer, g.late = nil, false
}
