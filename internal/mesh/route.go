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

// Conflict is a path that two routes of one listener claim.
type Conflict struct {
	First, Second Route
}

// Fatal tells whether the two routes contradict each other; else they say the same thing twice.
func (c Conflict) Fatal() bool { return c.First.Service != c.Second.Service }

// Error says what conflicts, and what to change.
func (c Conflict) Error() string {
	if c.Fatal() {
		return fmt.Sprintf("the path %s is given to two services: %s by %s and %s by %s; change one of the two paths",
			c.First.Path, c.First.Service, c.First.Origin, c.Second.Service, c.Second.Origin)
	}
	return fmt.Sprintf("the path %s is given to %s twice, by %s and %s; one of them can go",
		c.First.Path, c.First.Service, c.First.Origin, c.Second.Origin)
}

// Conflicts lists the paths that more than one route of a listener claims, in the order the routes are given.
func Conflicts(routes []Route) []Conflict {
	type place struct{ listener, path string }
	first := make(map[place]Route, len(routes))
	var conflicts []Conflict
	for _, r := range routes {
		at := place{r.Listener, r.Path}
		if earlier, taken := first[at]; taken {
			conflicts = append(conflicts, Conflict{earlier, r})
			continue
		}
		first[at] = r
	}
	return conflicts
}
