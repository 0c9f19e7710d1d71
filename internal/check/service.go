package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// group is how many services are read together: so many are shown to be read at a time, and share their calls.
const group = 10

// errNoTime is the error of what there was no time for.
var errNoTime = errors.New("not read: there was no time for it")

// readServices reads services in groups. Where one cause strikes a whole group, the others are not asked for: they would
// say the same.
func readServices(
	ctx context.Context, inventory *ecs.Inventory, refs []mesh.ServiceRef, progress func(string),
) []mesh.Reading {
	readings := make([]mesh.Reading, 0, len(refs))
	var cause error
	for some := range slices.Chunk(refs, group) {
		if ctx.Err() != nil {
			cause = errNoTime
		}
		if cause != nil {
			for _, ref := range some {
				readings = append(readings, mesh.Reading{Ref: ref, Err: cause})
			}
			continue
		}
		progress(fmt.Sprintf("reading services: %d of %d", len(readings), len(refs)))
		read := inventory.Read(ctx, some)
		cause = common(read)
		for _, r := range read {
			if r.Err != nil && ctx.Err() != nil {
				r.Err = errNoTime
			}
			readings = append(readings, r)
		}
	}
	return readings
}

// common is the fault that strikes all readings alike, nil where there is none. What is not found is a matter of each.
func common(readings []mesh.Reading) error {
	var one *ecs.Fault
	for _, r := range readings {
		var f *ecs.Fault
		if !errors.As(r.Err, &f) || errors.Is(r.Err, ecs.ErrNotFound) || one != nil && (f.Wrong != one.Wrong || f.Do != one.Do) {
			return nil
		}
		one = f
	}
	if one == nil {
		return nil
	}
	return one
}

// judgeService says what was found of a service, and which paths of the proxy suffer.
func judgeService(r mesh.Reading, paths []string, c causes) Finding {
	f := Finding{Check: "service", Subject: r.Ref.Name(), Result: Fail}
	suffer := ""
	if len(paths) > 0 {
		suffer = "; " + several(paths, 3, ", ") + " answers 503"
		if len(paths) > 1 {
			suffer = "; " + several(paths, 3, ", ") + " answer 503"
		}
	}
	switch s := r.Service; {
	case errors.Is(r.Err, errNoTime), errors.Is(r.Err, ecs.ErrUnpaid):
		f.Result = Warning
		f.Found, f.Do = c.tell("the service "+f.Subject, r.Err)
		f.Do = cmp.Or(f.Do, "raise NIGHTJAR_AWS_BURST for the check, or look at `nightjar status`")
	case r.Err != nil:
		f.Found, f.Do = c.tell("the service "+f.Subject, r.Err)
		f.Found = "it can't be read: " + f.Found
	case s.Problem != "" && len(s.Endpoints) == 0:
		f.Found, f.Do = advice(s.Problem)
		f.Found += suffer
	case s.Problem != "":
		f.Result = Warning
		var problem string
		problem, f.Do = advice(s.Problem)
		f.Found = targets(s)
		if !strings.Contains(f.Found, problem) { // else it is among the reasons
			f.Found += "; " + problem
		}
	case len(s.Endpoints) == 0 && len(s.Excluded) == 0:
		f.Found, f.Do = s.Empty+suffer, "look at the service's events in ECS"
		if s.Empty == "" || strings.Contains(s.Empty, "desired count is 0") {
			f.Result, f.Do = Warning, "raise the service's desired count, where it is to serve"
		}
	case len(s.Endpoints) == 0:
		f.Found = fmt.Sprintf("%s, none a target: %s%s", plural(len(s.Excluded), "task"), reasons(s), suffer)
		f.Do = "run `nightjar explain` for each task"
	case !slices.ContainsFunc(s.Endpoints, func(e mesh.Endpoint) bool { return e.Health != mesh.Unhealthy }):
		f.Result = Warning
		f.Found = targets(s) + "; all of them are UNHEALTHY, and serve rather than none"
		f.Do = "look at the container's health check in the task definition, and at its log"
	default:
		f.Result, f.Found = OK, targets(s)
	}
	return f
}

// targets says how many tasks are targets, at which container and port, and why the others aren't.
func targets(s *mesh.Service) string {
	all := len(s.Endpoints) + len(s.Excluded)
	var at []string
	for _, e := range s.Endpoints {
		where := fmt.Sprintf("container %s:%d", e.Container, e.Port)
		if e.Container == "" {
			where = fmt.Sprintf("container port %d", e.Port)
		}
		if !slices.Contains(at, where) {
			at = append(at, where)
		}
	}
	line := fmt.Sprintf("%s, %s at %s", plural(all, "task"), plural(len(s.Endpoints), "target"), several(at, 3, ", "))
	if all == len(s.Endpoints) {
		return line
	}
	return line + "; " + reasons(s)
}

// reasons counts why tasks are no targets, the most frequent first, without what to do: explain has that for each.
func reasons(s *mesh.Service) string {
	count := map[string]int{}
	for _, e := range s.Excluded {
		reason, _ := advice(e.Reason)
		count[reason]++
	}
	sorted := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
	for i, reason := range sorted {
		sorted[i] = fmt.Sprintf("%d × %s", count[reason], reason)
	}
	return several(sorted, 3, "; ")
}

// pathsOf are the paths that lead to a service alone, each with its variable: what answers 503 where it has nothing to serve.
func pathsOf(s *config.Config, service string) []string {
	var paths []string
	for _, r := range s.Proxy().Routes {
		if r.Service == service && !r.Weighted {
			paths = append(paths, fmt.Sprintf("%s (%s)", r.Path, r.Origin))
		}
	}
	return paths
}

// judgePace says what reading all of it costs.
func judgePace(s *config.Config, size ecs.Size, readings []mesh.Reading) []Finding {
	const slow = 30 // seconds
	for _, r := range readings {
		if r.Err != nil {
			return []Finding{{
				Check: "pace", Result: Note, Found: "not known: what a read costs follows from the number of tasks, and not all services could be read",
			}}
		}
	}
	if len(readings) == 0 {
		return nil
	}
	pace := ecs.NewPace(size, s.Rate, s.Wait)
	f := Finding{Check: "pace", Result: OK, Found: pace.String()}
	switch {
	case pace.Sidecars == 0:
		f.Result, f.Do = Warning, "lower NIGHTJAR_AWS_RATE, or raise WAITTIME: AWS will throttle, and everybody else in the account"
	case pace.Every.Services.Seconds() > slow:
		f.Result, f.Do = Note, "raise NIGHTJAR_AWS_RATE, where the account can spare the calls"
	}
	if pace.Sidecars > 0 {
		overlap := math.Ceil(10*pace.Every.Services.Seconds())/10 + 1
		f.Found += "; a deployment needs an overlap (D in docs/deployments.md) of " + strconv.FormatFloat(overlap, 'f', -1, 64) + " s"
	}
	return []Finding{f}
}
