package mesh

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// ServiceRef asks for an ECS service and, where the user said so, the container and container port of it that serve.
type ServiceRef struct {
	// Cluster is the name of the ECS cluster.
	Cluster string
	// Service is the name of the ECS service.
	Service string
	// Account is the account that the settings have it in, "" where they don't say. AWS looks names up in the caller's own.
	Account string
	// Container is the container's name, "" to find it.
	Container string
	// Port is the container port (never the host port), 0 to find it.
	Port uint16
	// Own asks for a container of the own task rather than for an ECS service: Cluster and Service are empty then.
	Own bool
	// ClusterVar, ServiceVar, ContainerVar and PortVar name the settings of these, such as SERVICE_CONTAINER_2; ClusterVar is
	// "" where no setting has it. They serve messages alone and are no part of the identity.
	ClusterVar, ServiceVar, ContainerVar, PortVar string
}

// ownTask stands in a name for ECS cluster and service.
const ownTask = "own-task"

// Name identifies the service among all services, and names it in Envoy's clusters, statistics and logs, so it depends
// on settings alone and not on what was found: "CLUSTER/SERVICE", or "own-task", with "/CONTAINER" and ":PORT" where they are set.
func (r ServiceRef) Name() string {
	name := r.Cluster + "/" + r.Service
	if r.Own {
		name = ownTask
	}
	if r.Container != "" {
		name += "/" + r.Container
	}
	if r.Port != 0 {
		name += ":" + strconv.Itoa(int(r.Port))
	}
	return name
}

// State is what AWS says of a service as a whole.
type State int

// The states of a service.
const (
	// Unread: AWS has not answered for it since start. What an Envoy already holds for it stays.
	Unread State = iota
	// Active: it exists and its tasks were read.
	Active
	// Inactive: it was deleted; AWS still knows the name.
	Inactive
	// Missing: AWS does not know it.
	Missing
	// Denied: AWS has refused to tell since start; a permission is missing. As with Unread, what an Envoy already holds stays.
	Denied
)

// String is the state in a word, for people and JSON.
func (s State) String() string {
	names := [...]string{"unread", "active", "inactive", "missing", "denied"}
	if s < 0 || int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// Health is the health of an endpoint as ECS reports it for the routed container, or as its port tells.
type Health int

// The healths of an endpoint.
const (
	// HealthUnknown: the container has no health check, or has not reported yet. It serves.
	HealthUnknown Health = iota
	// Healthy: the container's health check passes.
	Healthy
	// Unhealthy: the container's health check fails. It serves only where every other endpoint is unhealthy too.
	Unhealthy
	// Closed: nothing listens at the port, which nightjar itself tries for containers of the own task. It stays a target: what
	// Envoy does follows from its own checks.
	Closed
)

// String is the health in a word, for people and JSON.
func (h Health) String() string {
	switch h {
	case Healthy:
		return "healthy"
	case Unhealthy:
		return "unhealthy"
	case Closed:
		return "closed"
	default:
		return "unknown"
	}
}

// Service is an ECS service, seen at one container and port. It is immutable once made.
type Service struct {
	// Name is ServiceRef.Name.
	Name  string
	State State
	// Problem says why the service cannot be served as it is set up, and the variable that would settle it; "" where
	// nothing is wrong. With a problem there may still be endpoints (during a deployment, say).
	Problem string
	// Endpoints are those that take traffic, in order of address.
	Endpoints []Endpoint
	// Excluded are the tasks that take none, each with the reason, in order of task.
	Excluded []Excluded
	// Claims are the addresses that its tasks have, whether they take traffic or not, in order of address and task.
	Claims []Claim
	// Empty says why the service has no task at all, where it has none: how many ECS is to run, and what hinders it.
	Empty string
}

// Endpoint is a place that takes traffic: one container of one running task.
type Endpoint struct {
	Addr netip.AddrPort
	// Task is the task's ID, the last part of its ARN.
	Task   string
	Health Health
	// Container is the container that it is of, and Port the container port; Container is "" where the port alone decides.
	Container string
	Port      uint16
	// Zone is the task's availability zone, "" where unknown.
	Zone string
	// Deployment is what started the task, such as ecs-svc/1234567890123456789.
	Deployment string
	// Revision is the task definition, FAMILY:REVISION.
	Revision string
	// Since is when the task began to run, as AWS tells it; zero where unknown.
	Since time.Time
}

// Excluded is a task that is no target, and why.
type Excluded struct {
	Task   string
	Reason string
	// Zone, Deployment and Revision are as for an Endpoint.
	Zone, Deployment, Revision string
	// Since is when that began: as AWS tells it, else as control first saw it; zero where neither knows. It is no part of
	// what makes two Services equal.
	Since time.Time
}

// same tells whether both say the same of the same task, whenever that began.
func (e Excluded) same(o Excluded) bool { return e.Task == o.Task && e.Reason == o.Reason }

// SortEndpoints puts endpoints in order of address, so that equal sets are equal values whatever order AWS used.
func SortEndpoints(endpoints []Endpoint) {
	slices.SortFunc(endpoints, func(a, b Endpoint) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Task, b.Task))
	})
}

// Equal tells whether both say the same.
func (s *Service) Equal(o *Service) bool {
	if s == o {
		return true
	}
	return s != nil && o != nil && s.Name == o.Name && s.State == o.State && s.Problem == o.Problem && s.Empty == o.Empty &&
		slices.Equal(s.Endpoints, o.Endpoints) && slices.Equal(s.Claims, o.Claims) && slices.EqualFunc(s.Excluded, o.Excluded, Excluded.same)
}

// Reading is what one read of AWS says of one service: whole, or an error; never part of it.
type Reading struct {
	Ref ServiceRef
	// NotAsked marks a service of which nothing was due: what is known of it goes on to hold.
	NotAsked bool
	// Service is nil where Err is not, or nothing was asked.
	Service *Service
	// At is when AWS answered, or failed to.
	At  time.Time
	Err error
	// Definite marks an Err that is AWS's answer rather than a fault: asking again does not help before somebody changes
	// something, a permission for example.
	Definite bool
	// Repeats tells that a Service that shows nothing rests on what an earlier Reading rested on, so it is no second witness.
	Repeats bool
	// Certain tells that also a Service that shows nothing is the truth, and no slip of an eventually consistent API.
	Certain bool
}
