package ecssim

import (
	"fmt"
	"slices"
)

// StopInOrder begins the end of a running task that its service wants no more, as in a scale-in: its desired status is STOPPED
// from now on, and its containers go on until StopContainer stops them, one by one or several at once, as dependsOn, links and
// volumesFrom make ECS do it.
// Source: Amazon ECS developer guide, "Container dependency": they are stopped in the reverse order.
func (w *World) StopInOrder(clusterName, name, id string) error {
	return w.onTask(clusterName, name, id, func(t *task) {
		t.stopping = true
		t.service.desired = max(0, t.service.desired-1)
		w.tell(t.service, "has stopped 1 running tasks: (task %s).", t.id)
		w.desireStopped(t, "ServiceSchedulerInitiated", "Scaling activity initiated by (deployment "+t.service.deployment+")")
	})
}

// StopContainer sends SIGTERM to a container of a task that StopInOrder is ending. The container is STOPPED after the time that
// apps take to end, and the task is gone with its last container.
func (w *World) StopContainer(clusterName, name, id, containerName string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.find(clusterName, name)
	if err != nil {
		return err
	}
	for _, t := range s.tasks {
		i := slices.IndexFunc(t.def.Containers, func(c ContainerSpec) bool { return c.Name == containerName })
		if t.id != id || !t.stopping || t.phase != Serving || i < 0 || t.current().containers[i].terminating {
			continue
		}
		w.change(t, func(s *state) { s.last, s.containers[i].terminating = "STOPPING", true })
		w.after(w.timing.Exit, func() { w.ended(t, i) })
		return nil
	}
	return fmt.Errorf("the service %s/%s has no task %s that is stopping in order and whose container %s goes on",
		clusterName, name, id, containerName)
}

// ended is a container's end in a task that stops in order.
func (w *World) ended(t *task, index int) {
	w.change(t, func(s *state) { s.containers[index].last = "STOPPED" })
	if !slices.ContainsFunc(t.current().containers, func(c container) bool { return c.last != "STOPPED" }) {
		w.gone(t)
	}
}
