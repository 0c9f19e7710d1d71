package ecssim

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Definition is a task definition.
type Definition struct {
	Family   string
	Revision int
	// NetworkMode is bridge, host, awsvpc or none.
	NetworkMode string
	// LaunchType is EC2, FARGATE, MANAGED_INSTANCES or EXTERNAL.
	LaunchType string
	Containers []ContainerSpec
	// HostBindings makes host mode show networkBindings, which AWS may or may not do.
	HostBindings bool
	// IPv6 gives awsvpc tasks an IPv6 address, IPv6Only no other.
	IPv6, IPv6Only bool
}

// ContainerSpec is a container of a task definition.
type ContainerSpec struct {
	Name        string
	Ports       []PortSpec
	HealthCheck bool
	// Held keeps it from being created until SetContainer does, as one that depends on another that isn't HEALTHY.
	Held bool
}

// PortSpec is a port that a container listens on. In bridge mode it is published.
type PortSpec struct {
	Container uint16
	// End makes it a range Container-End.
	End uint16
	// Host is the fixed host port, 0 for an ephemeral one.
	Host uint16
	// Protocol is tcp or udp; "" is tcp.
	Protocol string
	// Unpublished keeps it from being published: in bridge mode it is reached at the docker address alone.
	Unpublished bool
}

func (p PortSpec) protocol() string {
	if p.Protocol == "" {
		return "tcp"
	}
	return p.Protocol
}

// name is FAMILY:REVISION.
func (d Definition) name() string { return fmt.Sprintf("%s:%d", d.Family, d.Revision) }

// onInstance tells whether tasks run on a container instance that the account sees.
func (d Definition) onInstance() bool { return d.LaunchType != "FARGATE" }

// ServiceSpec describes a service to add.
type ServiceSpec struct {
	Cluster, Name string
	Desired       int
	Definition    Definition
	// LoadBalancers and Registries name container ports.
	LoadBalancers, Registries []Target
	// Controller is ECS, CODE_DEPLOY or EXTERNAL; "" is ECS.
	Controller string
	// NoPrimary leaves the first task set ACTIVE, as UpdateServicePrimaryTaskSet wasn't called yet.
	NoPrimary bool
	// Overlap is how long old tasks serve on beside new ones that are RUNNING, in a deployment.
	Overlap time.Duration
	// CapacityProvider makes the service's launchType absent, as with a capacity-provider strategy.
	CapacityProvider string
}

// Target is a container port.
type Target struct {
	Container string
	Port      uint16
}

// service is an ECS service.
type service struct {
	cluster                   *cluster
	arn, name, status         string
	desired                   int
	def                       Definition
	loadBalancers, registries []Target
	controller                string
	overlap                   time.Duration
	capacityProvider          string
	deployment                string // the ID of the newest deployment or task set
	deployments               []deployment
	switched                  time.Time // when another task set became the primary one
	created                   time.Time
	tasks                     []*task // oldest first, stopped ones included
	events                    []serviceEvent
	unplaced                  bool // a task found no instance with its ports free
}

// deployment is a deployment, or a task set with the other controllers.
type deployment struct {
	id, status string
	def        Definition
	created    time.Time
}

// AddService adds a service, whose tasks start at once.
func (w *World) AddService(spec ServiceSpec) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.clusters[spec.Cluster]
	if c == nil {
		return fmt.Errorf("there is no ECS cluster %s", spec.Cluster)
	}
	if spec.Definition.onInstance() && len(c.instances) == 0 {
		return fmt.Errorf("the ECS cluster %s has no instances for the service %s", spec.Cluster, spec.Name)
	}
	s := &service{
		cluster: c, name: spec.Name, arn: w.arn("service", c.name, spec.Name), status: "ACTIVE", desired: spec.Desired, def: spec.Definition,
		loadBalancers: spec.LoadBalancers, registries: spec.Registries, controller: spec.Controller, overlap: spec.Overlap,
		capacityProvider: spec.CapacityProvider, created: w.now,
	}
	if s.def.Family == "" {
		s.def.Family = spec.Name
	}
	s.def.Revision = max(1, s.def.Revision)
	c.services[spec.Name] = s
	w.newDeployment(s)
	if spec.NoPrimary {
		s.deployments[0].status = "ACTIVE"
	}
	w.reconcile(s)
	return nil
}

// newDeployment makes a deployment, which is the primary one at once, or a task set, of which only the first one is.
func (w *World) newDeployment(s *service) {
	s.deployment = fmt.Sprintf("ecs-svc/%019d", w.rng.Uint64()>>2)
	s.deployments = append(s.deployments, deployment{id: s.deployment, status: "ACTIVE", def: s.def, created: w.now})
	if len(s.deployments) == 1 || s.controllerIsECS() {
		s.makePrimary()
	}
}

// makePrimary makes the newest deployment or task set the primary one.
func (s *service) makePrimary() {
	for i := range s.deployments {
		s.deployments[i].status = "ACTIVE"
	}
	s.deployments[len(s.deployments)-1].status = "PRIMARY"
}

// SwitchPrimary makes the newest task set the primary one, as UpdateServicePrimaryTaskSet does. The tasks of the others stop
// after the overlap.
func (w *World) SwitchPrimary(clusterName, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.find(clusterName, name)
	if err != nil {
		return err
	}
	if s.controllerIsECS() {
		return fmt.Errorf("the service %s/%s has no task sets: its deployment controller is ECS", clusterName, name)
	}
	s.makePrimary()
	s.switched = w.now
	w.after(s.overlap, func() { w.reconcile(s) })
	return nil
}

// find returns a service by its ECS cluster and name.
func (w *World) find(clusterName, name string) (*service, error) {
	c := w.clusters[clusterName]
	if c == nil || c.services[name] == nil {
		return nil, fmt.Errorf("there is no service %s/%s", clusterName, name)
	}
	return c.services[name], nil
}

// Deploy starts a rolling deployment of a new revision; change may alter its definition, nil leaves it.
func (w *World) Deploy(clusterName, name string, change func(*Definition)) error {
	return w.onActive(clusterName, name, func(s *service) {
		s.def.Containers = slices.Clone(s.def.Containers)
		s.def.Revision++
		if change != nil {
			change(&s.def)
		}
		w.newDeployment(s)
	})
}

// Scale changes how many tasks are wanted.
func (w *World) Scale(clusterName, name string, desired int) error {
	return w.onActive(clusterName, name, func(s *service) { s.desired = desired })
}

// Delete deletes a service: its tasks are stopped, and it is INACTIVE.
func (w *World) Delete(clusterName, name string) error {
	return w.onActive(clusterName, name, func(s *service) { s.status, s.desired = "INACTIVE", 0 })
}

// onActive changes a service; one that was deleted can't be, as ECS answers with ServiceNotActiveException.
func (w *World) onActive(clusterName, name string, do func(*service)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.find(clusterName, name)
	if err == nil && s.status != "ACTIVE" {
		err = fmt.Errorf("the service %s/%s is %s", clusterName, name, s.status)
	}
	if err != nil {
		return err
	}
	do(s)
	w.reconcile(s)
	return nil
}

// alive are the service's tasks that are wanted, oldest first.
func (s *service) alive() []*task {
	var all []*task
	for _, t := range s.tasks {
		if !t.stopping {
			all = append(all, t)
		}
	}
	return all
}

// reconcile is the service scheduler: it starts what lacks, up to 200 % of what is wanted, and stops what is too much; old
// tasks, and those on instances that drain, once as many new ones have been RUNNING for the overlap. Those of another task set
// stay until the newest one has been the primary one for so long.
func (w *World) reconcile(s *service) {
	var old, current []*task
	ready := 0
	for _, t := range s.alive() {
		if t.def.Revision != s.def.Revision || t.leaving {
			old = append(old, t)
			continue
		}
		current = append(current, t)
		if now := t.current(); now.last == "RUNNING" && t.phase == Serving && !w.now.Before(now.started.Add(s.overlap)) {
			ready++
		}
	}
	room := true
	for range min(s.desired, 2*max(s.desired, 1)-len(old)) - len(current) {
		if room = w.start(s.cluster, s, s.def, s.deployment, "service:"+s.name); !room {
			w.cantPlace(s)
			break
		}
	}
	s.unplaced = !room
	for i := range len(current) - s.desired {
		w.stop(current[i], "ServiceSchedulerInitiated", "Scaling activity initiated by (deployment "+s.deployment+")")
	}
	for i := range len(old) - w.kept(s, len(old), ready) {
		w.stop(old[i], "ServiceSchedulerInitiated", "Scaling activity initiated by (deployment "+s.deployment+")")
	}
	if len(old) == 0 && s.deployments[len(s.deployments)-1].status == "PRIMARY" {
		s.deployments = slices.DeleteFunc(s.deployments, func(d deployment) bool { return d.status != "PRIMARY" })
	}
}

// cantPlace notes that no instance has the fixed ports of a service free, once until there is room again.
// Source: Amazon ECS developer guide, "Amazon ECS service event messages".
func (w *World) cantPlace(s *service) {
	if s.unplaced {
		return
	}
	s.unplaced = true
	w.tell(s, "was unable to place a task because no container instance met all of its requirements. "+
		"Reason: a port that it needs is in use on each.")
	if w.onUnplaced != nil {
		w.onUnplaced(s.cluster.name+"/"+s.name, s.def.fixedPorts())
	}
}

// OnUnplaced tells do, now and from now on, of services whose tasks find no instance with the fixed ports that they need free,
// once until there is room. It must not call the World.
func (w *World) OnUnplaced(do func(service string, ports []uint16)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onUnplaced = do
	for _, c := range w.clusters {
		for _, s := range c.services {
			if s.unplaced {
				do(c.name+"/"+s.name, s.def.fixedPorts())
			}
		}
	}
}

// placeAgain lets the services start tasks that had no room.
func (w *World) placeAgain(c *cluster) {
	for _, name := range slices.Sorted(maps.Keys(c.services)) {
		if c.services[name].unplaced {
			w.reconcile(c.services[name])
		}
	}
}

// kept is how many old tasks stay for now, where so many new ones are ready.
func (w *World) kept(s *service, old, ready int) int {
	switch {
	case s.status == "INACTIVE":
		return 0
	case s.controllerIsECS():
		return max(0, s.desired-ready)
	case s.deployments[len(s.deployments)-1].status != "PRIMARY", w.now.Before(s.switched.Add(s.overlap)):
		return old
	default:
		return 0
	}
}

func (s *service) controllerIsECS() bool { return s.controller == "" || s.controller == "ECS" }
