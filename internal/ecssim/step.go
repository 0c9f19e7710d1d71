package ecssim

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// String says a step in words.
func (s FileStep) String() string {
	switch {
	case s.Do == "scale" && s.To != nil:
		return fmt.Sprintf("scale %s to %d", s.Service, *s.To)
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
		if step.To == nil {
			return errNoTo()
		}
		return w.Scale(clusterName, name, *step.To)
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
	case "primary":
		return w.SwitchPrimary(clusterName, name)
	case "delete":
		return w.Delete(clusterName, name)
	case "run-task":
		return w.RunTask(clusterName, name)
	case "interrupt":
		return w.Interrupt(clusterName, name, "")
	case "drain-instance":
		return w.DrainInstance(clusterName, name)
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

// steps are what a FileStep may do.
func steps() []string {
	return []string{
		"deploy", "scale", "kill", "stop", "interrupt", "restart", "health", "container", "primary", "delete", "run-task", "drain-instance",
		"lose-instance", "fault", "heal",
	}
}

func unknownStep(step FileStep) error {
	return fmt.Errorf("there is no step %q; there are %s", step.Do, strings.Join(steps(), ", "))
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
	}
	switch {
	case !slices.Contains(steps(), s.Do):
		return unknownStep(s)
	case !found:
		return fmt.Errorf("the world has no %q; want ECS-CLUSTER/NAME", s.Service)
	case s.Do == "scale" && s.To == nil:
		return errNoTo()
	case s.To != nil && (*s.To < 0 || *s.To > maxTasks):
		return fmt.Errorf("to is %d; want 0 to %d", *s.To, maxTasks)
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

func errNoTo() error { return fmt.Errorf("to is needed: how many tasks are wanted, 0 to %d", maxTasks) }

// healths are what a container's health check may say.
func healths() []string { return []string{"HEALTHY", "UNHEALTHY", "UNKNOWN"} }

// maxStep bounds a step that is asked for, in bytes.
const maxStep = 4 << 10

// Handler answers as AWS and the metadata endpoint do, and besides takes steps that shall happen now: POST /step with one as
// the timeline has it, without its time. Said is told each of them; nil for nobody.
func (s *Sim) Handler(said func(FileStep)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s.Server)
	mux.HandleFunc("/step", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.Error(w, "a step is asked for with POST, such as {do: deploy, service: ECS-CLUSTER/NAME}", http.StatusMethodNotAllowed)
			return
		}
		step, err := s.stepOf(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.World.Advance(time.Now())
		if err := s.Do(step); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		if said != nil {
			said(step)
		}
		fmt.Fprintln(w, step)
	})
	return mux
}

func (s *Sim) stepOf(r *http.Request) (FileStep, error) {
	var step FileStep
	text, err := io.ReadAll(io.LimitReader(r.Body, maxStep+1))
	switch {
	case err != nil:
		return step, err
	case len(text) > maxStep:
		return step, fmt.Errorf("the step has more than %d bytes", maxStep)
	}
	if err := unmarshal(text, &step); err != nil {
		return step, fmt.Errorf("the step is not right: %w", err)
	}
	return step, step.check(s.known)
}
