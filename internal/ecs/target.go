package ecs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// A doubt is what somebody has to settle before a task can serve: its text names what to change, and the candidates.
type doubt string

// Error is its text.
func (d doubt) Error() string { return string(d) }

// resolve finds the container and the container port of a task that serve: as configured, else as the service's target
// groups and registries say, else the one container that publishes the port. Tasks are asked one by one, as revisions
// of a task definition may differ. The container may stay "" where the port alone decides.
func resolve(ref mesh.ServiceRef, service Service, t Task) (Target, doubt) {
	if ref.Container != "" && !slices.ContainsFunc(t.Containers, func(c Container) bool { return c.Name == ref.Container }) {
		return Target{}, doubt(fmt.Sprintf("no container is named %s; the task has %s: change %s",
			ref.Container, containerNames(t), ref.ContainerVar))
	}
	if ref.Container != "" && ref.Port != 0 {
		return Target{ref.Container, ref.Port}, closed(ref, t)
	}
	if named := namedTargets(ref, service, t); len(named) > 0 {
		return theOne(ref, named, "its target groups or registries name")
	}
	if published := publishedTargets(ref, t); len(published) > 0 {
		return theOne(ref, published, "its tasks publish")
	}
	return unpublishedTarget(ref, t)
}

// namedTargets are the container ports that target groups and registries name and that fit the settings. A registry that
// names neither part says nothing; one that names the port alone means the container that is named with it elsewhere.
func namedTargets(ref mesh.ServiceRef, service Service, task Task) []Target {
	var found []Target
	for _, t := range service.Targets {
		if t == (Target{}) {
			continue
		}
		if ref.Container != "" && t.Container != "" && ref.Container != t.Container || ref.Port != 0 && t.Port != 0 && ref.Port != t.Port {
			continue
		}
		t.Container, t.Port = cmp.Or(ref.Container, t.Container, onlyContainer(task)), cmp.Or(ref.Port, t.Port)
		if t.Port != 0 && !IsAdded(t.Container) {
			found = append(found, t)
		}
	}
	found = distinct(found)
	return slices.DeleteFunc(slices.Clone(found), func(t Target) bool {
		return t.Container == "" && slices.ContainsFunc(found, func(o Target) bool { return o.Container != "" && o.Port == t.Port })
	})
}

// publishedTargets are the tcp ports that containers publish on their host and that fit the settings. Where the port isn't
// set, the two ends of a range stand for it.
func publishedTargets(ref mesh.ServiceRef, t Task) []Target {
	var found []Target
	for _, c := range t.Containers {
		if IsAdded(c.Name) || ref.Container != "" && c.Name != ref.Container {
			continue
		}
		for _, b := range c.Bindings {
			low, high, _ := portRange(b.ContainerPortRange)
			for _, port := range []uint16{cmp.Or(ref.Port, b.ContainerPort, low), cmp.Or(ref.Port, b.ContainerPort, high)} {
				if _, bound := boundPort(b, port); bound {
					found = append(found, Target{c.Name, port})
				}
			}
		}
	}
	return distinct(found)
}

// closed is the doubt about a container and port that both are set: the port isn't published though the task publishes ports,
// as in bridge mode.
func closed(ref mesh.ServiceRef, t Task) doubt {
	all := publishedTargets(mesh.ServiceRef{}, t)
	if len(all) == 0 || len(publishedTargets(ref, t)) > 0 {
		return ""
	}
	return doubt(fmt.Sprintf("the container %s does not publish the container port %d; the task publishes %s: change %s (it is never the "+
		"host port), or the task definition", ref.Container, ref.Port, list(all), ref.PortVar))
}

// unpublishedTarget is the target where nothing tells but the settings: in awsvpc and host mode a port needs no binding.
func unpublishedTarget(ref mesh.ServiceRef, t Task) (Target, doubt) {
	bound := slices.ContainsFunc(t.Containers, func(c Container) bool { return len(c.Bindings) > 0 })
	switch {
	case ref.Port != 0 && bound:
		return Target{}, doubt(fmt.Sprintf("no container publishes the container port %d; the task publishes %s: change %s (it is never "+
			"the host port)", ref.Port, cmp.Or(list(publishedTargets(mesh.ServiceRef{}, t)), "no tcp port"), ref.PortVar))
	case ref.Port != 0:
		return Target{onlyContainer(t), ref.Port}, ""
	case isAWSVPC(t):
		listener := cmp.Or(ref.Container, onlyContainer(t))
		if listener != "" {
			listener = "container " + listener
		}
		return Target{}, doubt(fmt.Sprintf("in the network mode awsvpc nothing tells the port but a target group or a registry, "+
			"and the service has none: set %s to the port on which %s listens", ref.PortVar, cmp.Or(listener, "its container")))
	default:
		return Target{}, doubt(fmt.Sprintf("no container publishes a tcp port: publish one in the task definition or, in host mode, set %s "+
			"(in the network mode none nothing can be reached)", ref.PortVar))
	}
}

// theOne is the only candidate, or the doubt which one it is.
func theOne(ref mesh.ServiceRef, found []Target, who string) (Target, doubt) {
	if len(found) == 1 {
		return found[0], ""
	}
	sameContainer := !slices.ContainsFunc(found, func(t Target) bool { return t.Container != found[0].Container })
	variable := ref.ContainerVar + " or " + ref.PortVar
	if sameContainer || ref.Container != "" {
		variable = ref.PortVar
	} else if ref.Port != 0 {
		variable = ref.ContainerVar
	}
	return Target{}, doubt(fmt.Sprintf("%s several container ports: %s; set %s", who, list(found), variable))
}

// list has the targets as CONTAINER:PORT.
func list(targets []Target) string {
	words := make([]string, 0, len(targets))
	for _, t := range targets {
		words = append(words, fmt.Sprintf("%s:%d", cmp.Or(t.Container, "(any container)"), t.Port))
	}
	return strings.Join(words, ", ")
}

func distinct(targets []Target) []Target {
	slices.SortFunc(targets, func(a, b Target) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Port, b.Port))
	})
	return slices.Compact(targets)
}

// IsAdded tells a container that ECS or AWS added to the task: it never is what a user means.
func IsAdded(name string) bool {
	return strings.HasPrefix(name, "ecs-service-connect-") || strings.HasPrefix(name, "aws-guardduty-agent-") ||
		strings.HasPrefix(name, "~internal")
}

// onlyContainer is the name of the task's container where it has one alone, else "".
func onlyContainer(t Task) string {
	name := ""
	for _, c := range t.Containers {
		if IsAdded(c.Name) {
			continue
		}
		if name != "" {
			return ""
		}
		name = c.Name
	}
	return name
}

func containerNames(t Task) string {
	var names []string
	for _, c := range t.Containers {
		if !IsAdded(c.Name) {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
