package ecssim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The things that happen to single tasks and instances.

// Tasks are the IDs of a service's tasks that are wanted, RUNNING and alive, oldest first.
func (w *World) Tasks(clusterName, name string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.find(clusterName, name)
	if err != nil {
		return nil
	}
	var ids []string
	for _, t := range s.alive() {
		if t.current().last == "RUNNING" && t.phase == Serving {
			ids = append(ids, t.id)
		}
	}
	return ids
}

// ServiceInfo says in short what a service is.
type ServiceInfo struct {
	// Name is ECS-CLUSTER/NAME.
	Name, ARN, NetworkMode string
	Desired                int
	// Containers are NAME:PORT,PORT with their container ports, in the order of the definition.
	Containers []string
}

// Services are the world's services, by name.
func (w *World) Services() []ServiceInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []ServiceInfo
	for _, c := range w.clusters {
		for _, s := range c.services {
			info := ServiceInfo{Name: c.name + "/" + s.name, ARN: s.arn, NetworkMode: s.def.NetworkMode, Desired: s.desired}
			for _, spec := range s.def.Containers {
				info.Containers = append(info.Containers, spec.String())
			}
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b ServiceInfo) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// String is NAME:PORT,PORT.
func (c ContainerSpec) String() string {
	var ports []string
	for _, p := range c.Ports {
		port := strconv.Itoa(int(p.Container))
		if p.End > p.Container {
			port += "-" + strconv.Itoa(int(p.End))
		}
		ports = append(ports, port)
	}
	if len(ports) == 0 {
		return c.Name
	}
	return c.Name + ":" + strings.Join(ports, ",")
}

// Wanted are the IDs of a service's tasks that are wanted, whatever has been started of them, oldest first.
func (w *World) Wanted(clusterName, name string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.find(clusterName, name)
	if err != nil {
		return nil
	}
	var ids []string
	for _, t := range s.alive() {
		ids = append(ids, t.id)
	}
	return ids
}

// Kill ends the oldest running task of a service as a crash does.
func (w *World) Kill(clusterName, name string) error {
	return w.onTask(clusterName, name, "", w.die)
}

// StopTask stops a task as the API's StopTask does. An empty ID is the oldest running task.
func (w *World) StopTask(clusterName, name, id string) error {
	return w.onTask(clusterName, name, id, func(t *task) {
		w.stop(t, "UserInitiated", "Task stopped by user")
		w.reconcile(t.service)
	})
}

// SetHealth sets the health of a task's container: HEALTHY, UNHEALTHY or UNKNOWN. The task is left alone, as ECS does
// while a container isn't essential.
func (w *World) SetHealth(clusterName, name, id, containerName, health string) error {
	return w.onTask(clusterName, name, id, func(t *task) {
		w.change(t, func(s *state) {
			for i := range s.containers {
				if s.containers[i].name == containerName {
					s.containers[i].health = health
				}
			}
		})
	})
}

func (w *World) onTask(clusterName, name, id string, do func(*task)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.find(clusterName, name)
	if err != nil {
		return err
	}
	for _, t := range s.alive() {
		if t.phase == Serving && (id == "" || t.id == id) {
			do(t)
			return nil
		}
	}
	if id == "" {
		return fmt.Errorf("the service %s/%s has no running task now", clusterName, name)
	}
	return fmt.Errorf("the service %s/%s has no running task %s", clusterName, name, id)
}

// RunTask starts a task outside of any service, with the definition of one.
func (w *World) RunTask(clusterName, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.find(clusterName, name)
	if err != nil {
		return err
	}
	if !w.start(s.cluster, nil, s.def, "somebody", "family:"+s.def.Family) {
		return fmt.Errorf("no container instance of %s has the ports %v free", clusterName, s.def.fixedPorts())
	}
	return nil
}

// Interrupt stops a task as an interruption of Fargate Spot does, at once: no other task starts first. An empty ID is the oldest
// running task. Source: Amazon ECS developer guide, "Amazon ECS clusters for Fargate", termination notices.
func (w *World) Interrupt(clusterName, name, id string) error {
	return w.onTask(clusterName, name, id, func(t *task) {
		w.stop(t, "SpotInterruption", "Your Spot Task was interrupted.")
		w.reconcile(t.service)
	})
}

// DrainInstance sets an instance to DRAINING: its services' tasks are replaced elsewhere, and stop when the new ones have been
// RUNNING for the overlap. Source: Amazon ECS developer guide, "Draining Amazon ECS container instances".
func (w *World) DrainInstance(clusterName, id string) error {
	return w.onInstance(clusterName, id, func(i *instance) {
		i.draining = true
		for _, t := range w.order {
			t.leaving = t.leaving || t.at == i
		}
		services := w.clusters[clusterName].services
		for _, name := range slices.Sorted(maps.Keys(services)) {
			w.reconcile(services[name])
		}
	})
}

// status is what DescribeContainerInstances says of it.
func (i *instance) status() string {
	if i.draining {
		return "DRAINING"
	}
	return "ACTIVE"
}

// LoseInstance takes an instance away with all that runs on it.
func (w *World) LoseInstance(clusterName, id string) error {
	return w.onInstance(clusterName, id, func(i *instance) {
		i.lost = true
		for _, t := range slices.Clone(w.order) {
			if t.at == i && !t.stopping {
				w.die(t)
			}
		}
	})
}

func (w *World) onInstance(clusterName, id string, do func(*instance)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.clusters[clusterName]
	if c == nil {
		return fmt.Errorf("there is no ECS cluster %s", clusterName)
	}
	at := slices.IndexFunc(c.instances, func(i *instance) bool { return i.id == id })
	if at < 0 {
		return fmt.Errorf("the ECS cluster %s has no instance %s", clusterName, id)
	}
	do(c.instances[at])
	return nil
}
