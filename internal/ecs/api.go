// Package ecs turns what Amazon ECS says into the mesh: it gathers whole readings of services (inventory.go), decides
// what serves and at which address (build.go, address.go, health.go, all pure), and sees AWS only through API.
package ecs

import (
	"context"
	"net/netip"
	"time"
)

// API is what the reader needs of AWS. Every answer is whole or an error: paging, batches, retries and the call budget
// are behind it. What AWS does not know (failures[] with MISSING) is absent from the answer and no error.
// It is safe for concurrent use.
type API interface {
	// Services describes ECS services by name, any number; the answer is by name. An ECS cluster that AWS does not know is
	// ErrNotFound.
	Services(ctx context.Context, cluster string, names []string) (map[string]Service, error)
	// ClusterTasks lists the ARNs of all tasks of an ECS cluster whose desired status is RUNNING, or those on the first pages,
	// so many, and tells whether that is all.
	ClusterTasks(ctx context.Context, cluster string, pages int) (arns []string, whole bool, err error)
	// ServiceTasks lists the ARNs of the tasks of a service whose desired status is RUNNING.
	// A service or ECS cluster that AWS does not know is ErrNotFound.
	ServiceTasks(ctx context.Context, cluster, service string) ([]string, error)
	// Tasks describes tasks by ARN, any number; the answer is by ARN.
	Tasks(ctx context.Context, cluster string, arns []string) (map[string]Task, error)
	// ContainerInstances describes container instances by ARN, any number; the answer is by ARN.
	ContainerInstances(ctx context.Context, cluster string, arns []string) (map[string]ContainerInstance, error)
	// InstanceAddrs finds the private address of EC2 instances ("i-…" only); the answer is by instance ID.
	InstanceAddrs(ctx context.Context, ids []string) (map[string]InstanceAddr, error)
}

// Service is what DescribeServices says of a service.
type Service struct {
	ARN, Name string
	// Status is ACTIVE, DRAINING or INACTIVE.
	Status string
	// DesiredCount and RunningCount are how many tasks ECS is to run, and how many it runs.
	DesiredCount, RunningCount int
	// Version differs whenever something of its tasks moves: the counts, the deployments or task sets, the newest event.
	Version string
	// Event is the message of its newest event, "" where that says no more than that it is in a steady state.
	Event string
	// Controller is ECS, CODE_DEPLOY or EXTERNAL; "" is ECS.
	Controller string
	// Targets are the container ports that its target groups and service registries name.
	Targets []Target
	// TaskSets are there with the controllers CODE_DEPLOY and EXTERNAL.
	TaskSets []TaskSet
}

// Target is a container port that a target group or service registry names. A registry may leave out either part.
type Target struct {
	Container string
	Port      uint16
}

// TaskSet is a generation of tasks under the controllers CODE_DEPLOY and EXTERNAL. Its ID is its tasks' StartedBy.
type TaskSet struct {
	ID string
	// Status is PRIMARY, ACTIVE or DRAINING.
	Status string
}

// Task is what DescribeTasks says of a task.
type Task struct {
	ARN string
	// Group is "service:NAME" for a service's task.
	Group string
	// StartedBy is the deployment or task set that started it.
	StartedBy string
	// DesiredStatus and LastStatus are the steps of a task's life, PROVISIONING to STOPPED.
	DesiredStatus, LastStatus string
	// Version counts its changes: of two descriptions the one with the lower one is older.
	Version int64
	// Health is HEALTHY, UNHEALTHY or UNKNOWN, over all essential containers.
	Health string
	// LaunchType is EC2, FARGATE, EXTERNAL or MANAGED_INSTANCES; "" with some capacity providers.
	LaunchType string
	// TaskDefinition is an ARN ending in FAMILY:REVISION.
	TaskDefinition string
	// ContainerInstance is the ARN of its container instance, "" on Fargate.
	ContainerInstance string
	Zone              string
	// The times of its life; zero for what has not come yet.
	CreatedAt, StartedAt, StoppingAt, StoppedAt time.Time
	// StoppedReason is why it stops, in AWS's words.
	StoppedReason string
	Attachments   []Attachment
	Containers    []Container
}

// Attachment is something attached to a task, such as its network interface.
type Attachment struct {
	// Type is ElasticNetworkInterface for a network interface, in the API; "eni" in events.
	Type    string
	Status  string
	Details map[string]string
}

// Container is one container of a task.
type Container struct {
	Name string
	// LastStatus is PENDING, RUNNING or STOPPED.
	LastStatus string
	// ExitCode is that of a container that is STOPPED, nil where it never ran; Reason is AWS's further word on its state.
	ExitCode *int
	Reason   string
	// Health is HEALTHY, UNHEALTHY or UNKNOWN; without a health check UNKNOWN for ever.
	Health     string
	Bindings   []Binding
	Interfaces []Interface
}

// Binding is a container port published on the host. Either both ports are set, or both ranges are.
type Binding struct {
	// BindIP tells an IPv4 binding from an IPv6 one. It is never dialled.
	BindIP string
	// Protocol is tcp or udp; "" is tcp.
	Protocol                string
	ContainerPort, HostPort uint16
	// ContainerPortRange and HostPortRange are "LOW-HIGH".
	ContainerPortRange, HostPortRange string
}

// Interface is a network interface of a container in awsvpc mode; an address is "" where it has none.
type Interface struct {
	IPv4, IPv6 string
}

// ContainerInstance is a machine registered with an ECS cluster.
type ContainerInstance struct {
	ARN string
	// InstanceID is "i-…" on EC2, "mi-…" for ECS Anywhere.
	InstanceID string
	// Attributes by name; "" for those without a value.
	Attributes map[string]string
}

// InstanceAddr is the private address of an EC2 instance; the zero Addr where it has none of that family.
type InstanceAddr struct {
	IPv4, IPv6 netip.Addr
}
