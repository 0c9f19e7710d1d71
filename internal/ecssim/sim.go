package ecssim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sim is a world with its server and its timeline, running in real time (or in a test's virtual one).
type Sim struct {
	World  *World
	Server *Server
	// Timeline are the file's steps.
	Timeline []FileStep
	start    time.Time
}

// New makes a Sim of a file. Its time begins now.
func New(f *File) (*Sim, error) { return NewAt(f, time.Now()) }

// NewAt makes a Sim of a file whose time began at start, so that its tasks may have run for a while.
func NewAt(f *File, start time.Time) (*Sim, error) {
	w, err := f.World(start)
	if err != nil {
		return nil, err
	}
	o := Options{Polite: f.Polite, Unthrottled: f.Unlimited, Latency: f.Latency, Seed: f.Seed, AccessKeys: f.AccessKeys}
	server := NewServer(w, o)
	for _, action := range f.Denied {
		server.Deny(action, true)
	}
	return &Sim{World: w, Server: server, Timeline: f.Timeline, start: start}, nil
}

// Run lets time pass and the timeline happen until the context ends. Said is told each step as it happens; nil for nobody.
func (s *Sim) Run(ctx context.Context, said func(FileStep)) error {
	steps := slices.Clone(s.Timeline)
	slices.SortStableFunc(steps, func(a, b FileStep) int { return cmp.Compare(a.At, b.At) })
	for {
		now := time.Now()
		s.World.Advance(now)
		for len(steps) > 0 && !s.start.Add(steps[0].At).After(now) {
			if err := s.Do(steps[0]); err != nil {
				return fmt.Errorf("the timeline at %s: %w", steps[0].At, err)
			}
			if said != nil {
				said(steps[0])
			}
			steps = steps[1:]
		}
		next := now.Add(time.Second)
		if at, something := s.World.Next(); something && at.Before(next) {
			next = at
		}
		if len(steps) > 0 && s.start.Add(steps[0].At).Before(next) {
			next = s.start.Add(steps[0].At)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(next)):
		}
	}
}

// String says a step in words.
func (s FileStep) String() string {
	switch {
	case s.Do == "scale":
		return fmt.Sprintf("scale %s to %d", s.Service, s.To)
	case s.Do == "fault":
		return strings.TrimSpace(fmt.Sprintf("fault %s %s", s.Fault, s.Action))
	case s.Do == "health":
		return fmt.Sprintf("%s of %s is %s", s.Name, s.Service, s.Health)
	case s.Do == "container":
		return fmt.Sprintf("%s of %s is %s", s.Name, s.Service, s.Status)
	default:
		return s.Do + " " + s.Service
	}
}

// Do lets a step of a timeline happen now.
func (s *Sim) Do(step FileStep) error {
	clusterName, name, _ := strings.Cut(step.Service, "/")
	w := s.World
	switch step.Do {
	case "deploy":
		return w.Deploy(clusterName, name, nil)
	case "scale":
		return w.Scale(clusterName, name, step.To)
	case "kill":
		return w.Kill(clusterName, name)
	case "stop":
		return w.StopTask(clusterName, name, "")
	case "restart":
		return w.onTask(clusterName, name, "", w.restart)
	case "health":
		return w.SetHealth(clusterName, name, "", step.Name, step.Health)
	case "container":
		return w.SetContainer(clusterName, name, "", step.Name, step.Status)
	case "delete":
		return w.Delete(clusterName, name)
	case "run-task":
		return w.RunTask(clusterName, name)
	case "lose-instance":
		return w.LoseInstance(clusterName, name)
	case "fault":
		return s.Server.Inject(step.fault())
	case "heal":
		s.Server.Heal()
		return nil
	default:
		return unknownStep(step)
	}
}

func (s FileStep) fault() Fault {
	return Fault{Kind: s.Fault, Action: s.Action, For: s.For, Calls: s.Calls}
}

func unknownStep(step FileStep) error {
	return fmt.Errorf("there is no step %q; there are deploy, scale, kill, stop, restart, health, container, delete, run-task, "+
		"lose-instance, fault, heal", step.Do)
}

// checkTimeline finds steps that can never happen.
func (f *File) checkTimeline() error {
	known := f.known()
	for _, step := range f.Timeline {
		if err := step.check(known); err != nil {
			return fmt.Errorf("the timeline at %s: %w", step.At, err)
		}
	}
	return nil
}

// known are the names of the services and instances that steps may name, ECS-CLUSTER/NAME, each with its containers.
func (f *File) known() map[string][]string {
	known := map[string][]string{}
	for _, c := range f.Clusters {
		for _, s := range c.Services {
			var containers []string
			for _, container := range s.Containers {
				containers = append(containers, container.Name)
			}
			known[c.Name+"/"+s.Name] = containers
		}
		for _, i := range c.Instances {
			known[c.Name+"/"+i.ID] = nil
		}
	}
	return known
}

func (s FileStep) check(known map[string][]string) error {
	containers, found := known[s.Service]
	switch s.Do {
	case "heal":
		return nil
	case "fault":
		return s.fault().check()
	case "deploy", "scale", "kill", "stop", "restart", "health", "container", "delete", "run-task", "lose-instance":
	default:
		return unknownStep(s)
	}
	switch {
	case !found:
		return fmt.Errorf("the world has no %q; want ECS-CLUSTER/NAME", s.Service)
	case s.To < 0 || s.To > maxTasks:
		return fmt.Errorf("to is %d; want 0 to %d", s.To, maxTasks)
	case (s.Do == "container" || s.Do == "health") && !slices.Contains(containers, s.Name):
		return fmt.Errorf("%s has no container %q; there are %v", s.Service, s.Name, containers)
	case s.Do == "container" && !slices.Contains(containerStatuses(), s.Status):
		return fmt.Errorf("status is %q; want one of %v", s.Status, containerStatuses())
	case s.Do == "health" && !slices.Contains(healths(), s.Health):
		return fmt.Errorf("health is %q; want one of %v", s.Health, healths())
	default:
		return nil
	}
}

// healths are what a container's health check may say.
func healths() []string { return []string{"HEALTHY", "UNHEALTHY", "UNKNOWN"} }
