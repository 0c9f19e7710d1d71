// Package explain says in plain text what becomes of each task of each service: target or not, why, and since when. It
// makes text of readings and asks nobody.
package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// World is what there is to explain.
type World struct {
	// Readings are those of all services that the proxy's routes name, in the order to tell them.
	Readings []mesh.Reading
	Proxy    mesh.Proxy
	// ZonesOff tells that the settings keep the own zone, which is known, from going first.
	ZonesOff bool
	// Seen is since when a running nightjar sees a task excluded.
	Seen map[Sight]time.Time
	// Now is the time, in the zone to tell times in.
	Now time.Time
}

// Sight is a task that is excluded from a service for a reason.
type Sight struct{ Service, Task, Reason string }

// Text explains the world for people. Its error is that the routes contradict the readings.
func Text(w World) (string, error) {
	routes, err := routesOf(w)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, r := range w.Readings {
		name := r.Ref.Name()
		fmt.Fprintf(&b, "%s: %s\n", name, headline(r))
		lines := slices.Concat([]string{"from " + strings.Join(settings(r.Ref), ", ")}, routes[name], zoneOf(w, r), troubles(r))
		for _, line := range lines {
			fmt.Fprintf(&b, "  %s\n", clean(line))
		}
		b.WriteString("\n")
		if r.Err == nil && len(r.Service.Endpoints)+len(r.Service.Excluded) > 0 {
			table(&b, tasks(w, r))
			b.WriteString("\n")
		}
	}
	if bad := Trouble(w.Readings); len(bad) > 0 {
		fmt.Fprintf(&b, "Can't serve as set up, or could not be read (%d of %d): %s\n", len(bad), len(w.Readings), strings.Join(bad, ", "))
	}
	return strings.TrimRight(b.String(), "\n") + "\n", nil
}

// Trouble lists the services that could not be read, and those with a problem that leaves them nothing to serve.
func Trouble(readings []mesh.Reading) []string {
	var names []string
	for _, r := range readings {
		if r.Err != nil || r.Service.Problem != "" && len(r.Service.Endpoints) == 0 {
			names = append(names, r.Ref.Name())
		}
	}
	return names
}

// headline is what a service is, in a few words.
func headline(r mesh.Reading) string {
	if r.Err != nil {
		return "not read"
	}
	s := r.Service
	targets, all := len(s.Endpoints), len(s.Endpoints)+len(s.Excluded)
	switch {
	case r.Ref.Own && targets > 0:
		return "a container of the own task, a target"
	case r.Ref.Own:
		return "a container of the own task, no target"
	case s.State != mesh.Active:
		return s.State.String()
	case all == 0:
		return "active; " + cmp.Or(clean(s.Empty), "it has no task")
	case all == 1 && targets == 1:
		return "active; its only task is a target"
	case all == 1:
		return "active; its only task is no target"
	case targets == 2 && all == 2:
		return "active; both tasks are targets"
	case targets == all:
		return fmt.Sprintf("active; all %d tasks are targets", all)
	case targets == 1:
		return fmt.Sprintf("active; 1 of %d tasks is a target", all)
	case targets == 0:
		return fmt.Sprintf("active; none of %d tasks is a target", all)
	default:
		return fmt.Sprintf("active; %d of %d tasks are targets", targets, all)
	}
}

// settings are the variables that a service comes from.
func settings(ref mesh.ServiceRef) []string {
	var all []string
	add := func(variable string, set bool) {
		if set && variable != "" && !slices.Contains(all, variable) {
			all = append(all, variable)
		}
	}
	add(ref.ServiceVar, !ref.Own)
	add(ref.ClusterVar, !ref.Own)
	add(ref.ContainerVar, ref.Container != "")
	add(ref.PortVar, ref.Port != 0)
	return all
}

// zoneOf has the line on the own zone's part of an ECS service, where that zone is known.
func zoneOf(w World, r mesh.Reading) []string {
	if r.Err != nil || r.Ref.Own || len(r.Service.Endpoints) == 0 {
		return nil
	}
	if w.ZonesOff {
		return []string{"ZONE_AWARE=off: all zones share the requests"}
	}
	if text := r.Service.SeenFrom(w.Proxy.Zone).String(); text != "" {
		return []string{text}
	}
	return nil
}

// troubles are the lines about what is wrong with a service as a whole.
func troubles(r mesh.Reading) []string {
	switch {
	case r.Err != nil:
		return []string{"error: " + r.Err.Error()}
	case r.Service.Problem != "":
		return []string{"problem: " + r.Service.Problem}
	case len(r.Service.Endpoints) > 0 && !r.Ref.Own && allUnhealthy(r.Service):
		return []string{"all its targets are UNHEALTHY: they serve rather than none"}
	}
	return nil
}

func allUnhealthy(s *mesh.Service) bool {
	return !slices.ContainsFunc(s.Endpoints, func(e mesh.Endpoint) bool { return e.Health != mesh.Unhealthy })
}

// tasks has a row a task below its head, targets first.
func tasks(w World, r mesh.Reading) [][]string {
	s := r.Service
	rows := [][]string{{"TASK", "TARGET", "ADDRESS", "ZONE", "HEALTH", "REVISION", "DEPLOYMENT", "SINCE", "WHY"}}
	for _, e := range s.Endpoints {
		rows = append(rows, []string{
			e.Task, "yes", e.Addr.String(), e.Zone, e.Health.String(), e.Revision, e.Deployment, since(e.Since, w.Now), why(r.Ref, e),
		})
	}
	for _, e := range s.Excluded {
		at := e.Since
		if at.IsZero() {
			at = w.Seen[Sight{s.Name, e.Task, e.Reason}]
		}
		reason := e.Reason
		if reason == s.Problem {
			reason = "the problem above"
		}
		rows = append(rows, []string{e.Task, "no", "", e.Zone, "", e.Revision, e.Deployment, since(at, w.Now), reason})
	}
	return rows
}

// why says why a task is a target.
func why(ref mesh.ServiceRef, e mesh.Endpoint) string {
	text := fmt.Sprintf("container %s:%d", e.Container, e.Port)
	if e.Container == "" {
		text = fmt.Sprintf("container port %d", e.Port)
	}
	if !ref.Own {
		text = "RUNNING, " + text
	}
	switch {
	case e.Health == mesh.Healthy:
		return text + " HEALTHY"
	case e.Health == mesh.Closed:
		return fmt.Sprintf("%s, and nothing listens at %s: is %s right, and is the app up?", text, e.Addr, cmp.Or(ref.PortVar, "its port"))
	case e.Health == mesh.Unhealthy && ref.Own:
		return text + " UNHEALTHY; there is no other"
	case e.Health == mesh.Unhealthy:
		return text + " UNHEALTHY, as all are"
	case ref.Own:
		return text + ", no health check or no result yet; Envoy checks its port"
	default:
		return text + ", no health check or no result yet"
	}
}

// since is a time as people read it: of the day, with the date where it isn't today; "" for none.
func since(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	at = at.In(now.Location())
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format("15:04")
	}
	return at.Format("2006-01-02 15:04")
}

// clean keeps a text on its line, and a terminal from acting on it.
func clean(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text))
}
