package ecssim

import (
	"fmt"
	"net/netip"
	"time"
)

// Place is where a container's port is reached in truth, with all that says whether it is to be: for a judge of those who know
// the world by its APIs alone.
type Place struct {
	Cluster, Service, Task, Container string
	ContainerPort                     uint16
	At                                netip.AddrPort
	// Desired and Last are the task's status, Status and Health the container's.
	Desired, Last, Status, Health string
	// Serves tells that its service is there and that, where the service has task sets, it is of the primary one.
	Serves bool
	// Started is when the task's containers had started, zero before.
	Started time.Time
}

// Truth are the places of the containers of all tasks that aren't STOPPED, in order of the tasks' creation. A container that
// doesn't run, or has no port, has one At nowhere; a task of no service has no Service.
func (w *World) Truth() []Place {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Place
	for _, t := range w.order {
		now := t.current()
		for i, spec := range t.def.Containers {
			c := now.containers[i]
			if now.last == "STOPPED" {
				continue
			}
			p := Place{
				Cluster: t.cluster.name, Task: t.id, Container: spec.Name, Desired: now.desired, Last: now.last, Status: c.last,
				Health: c.health, Started: now.started,
			}
			if t.service != nil {
				p.Service, p.Serves = t.service.name, t.service.serves(now.startedBy)
			}
			all = append(all, p.at(t, spec, c)...)
		}
	}
	return all
}

// at are the places of a container.
func (p Place) at(t *task, spec ContainerSpec, c container) []Place {
	if c.last != "RUNNING" {
		return []Place{p}
	}
	var all []Place
	for _, port := range t.listens(spec, c) {
		p.ContainerPort, p.At = port.ContainerPort, port.At
		all = append(all, p)
	}
	if len(all) == 0 {
		return []Place{p}
	}
	return all
}

// serves tells whether tasks that a deployment or task set started are to serve.
func (s *service) serves(startedBy string) bool {
	if s.status != "ACTIVE" || s.cluster.services[s.name] != s {
		return false
	}
	for _, d := range s.deployments {
		if d.id == startedBy {
			return s.controllerIsECS() || d.status == "PRIMARY"
		}
	}
	return s.controllerIsECS()
}

// Recreate makes a deleted service anew, as it was made first, with so many tasks.
func (w *World) Recreate(clusterName, name string, desired int) error {
	w.mu.Lock()
	s, err := w.find(clusterName, name)
	w.mu.Unlock()
	if err == nil && s.status == "ACTIVE" {
		err = fmt.Errorf("the service %s/%s is ACTIVE", clusterName, name)
	}
	if err != nil {
		return err
	}
	return w.AddService(ServiceSpec{
		Cluster: clusterName, Name: name, Desired: desired, Definition: s.def, LoadBalancers: s.loadBalancers, Registries: s.registries,
		Controller: s.controller, Overlap: s.overlap, CapacityProvider: s.capacityProvider,
	})
}

// Drain takes all calls that the account has left at this moment, as others in it may.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.buckets {
		for b.take(s.clock()) {
		}
	}
}
