package mesh

import (
	"cmp"
	"fmt"
	"slices"
)

// Route sends the requests of a path to a service.
type Route struct {
	// Listener is the name of the listener that it is on.
	Listener string
	// Path begins with "/" and matches whole segments: /api takes /api and /api/x, not /apix; /api/ takes only what is
	// below it; / takes the rest.
	Path string
	// Service is the name of a Service.
	Service string
	// Policy is how its requests are treated.
	Policy Policy
	// Weighted tells that a Weight was set. Routes of one path share it by weight as soon as one of them has one; those
	// without have 1.
	Weighted bool
	Weight   uint32
	// Origin names the setting that asked for the route, such as SERVICE_PATH_2, for messages.
	Origin string
}

// InMatchOrder returns the routes in the order in which they are tried: by listener, the longest path first, whatever
// the order they were given in. Of equal routes only the first is kept.
func InMatchOrder(routes []Route) []Route {
	sorted := slices.Clone(routes)
	slices.SortStableFunc(sorted, func(a, b Route) int {
		return cmp.Or(
			cmp.Compare(a.Listener, b.Listener),
			cmp.Compare(len(b.Path), len(a.Path)),
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Service, b.Service),
		)
	})
	return slices.CompactFunc(sorted, func(a, b Route) bool {
		return a.Listener == b.Listener && a.Path == b.Path && a.Service == b.Service
	})
}

// Conflict is what two routes contradict each other in.
type Conflict struct {
	First, Second Route
	// Problem says what conflicts, and what to change.
	Problem string
	// Fatal tells that they can't both hold; else they say the same thing twice.
	Fatal bool
}

// Error is the problem.
func (c Conflict) Error() string { return c.Problem }

// Conflicts lists what contradicts itself, in the order the routes are given.
func Conflicts(routes []Route) []Conflict {
	type place struct{ listener, path string }
	at := make(map[place]int, len(routes)) // the first route of each path, and of each service
	to := make(map[string]int, len(routes))
	var conflicts []Conflict
	for i, r := range routes {
		here := place{r.Listener, r.Path}
		if first, taken := at[here]; !taken {
			at[here] = i
		} else if c, found := samePath(onPath(routes[first:i], r), r, onPath(routes[first:], r)); found {
			conflicts = append(conflicts, c)
		}
		if first, known := to[r.Service]; !known {
			to[r.Service] = i
		} else if other := routes[first]; other.Policy.upstream() != r.Policy.upstream() {
			conflicts = append(conflicts, Conflict{other, r, fmt.Sprintf(
				"%s is given by %s and %s with different protocols or idle time-outs, which belong to its connections: give both the same",
				r.Service, other.Origin, r.Origin), true})
		}
	}
	return conflicts
}

// onPath are the routes that share the place of r.
func onPath(routes []Route, r Route) []Route {
	return slices.DeleteFunc(slices.Clone(routes), func(o Route) bool { return o.Listener != r.Listener || o.Path != r.Path })
}

// samePath compares a route with those before it of its path; all are those after it too.
func samePath(before []Route, r Route, all []Route) (Conflict, bool) {
	for _, b := range before {
		if b.Service == r.Service {
			return Conflict{b, r, fmt.Sprintf("the path %s is given to %s twice, by %s and %s; the second is ignored and can go",
				r.Path, r.Service, b.Origin, r.Origin), false}, true
		}
	}
	first := before[0]
	switch {
	case !slices.ContainsFunc(all, func(o Route) bool { return o.Weighted }):
		return Conflict{first, r, fmt.Sprintf("the path %s is given to two services: %s by %s and %s by %s; "+
			"change one of the two paths, or let services share it by SERVICE_WEIGHT_X",
			r.Path, first.Service, first.Origin, r.Service, r.Origin), true}, true
	case first.Policy.Timeout != r.Policy.Timeout || first.Policy.Retries != r.Policy.Retries:
		return Conflict{first, r, fmt.Sprintf(
			"%s and %s share the path %s, and with it one time-out and one number of retries: give both the same",
			first.Origin, r.Origin, r.Path), true}, true
	}
	return Conflict{}, false
}
