package awsapi

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unique"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/groboclown/nightjar-mesh/internal/ecs"
)

// The functions here turn the SDK's answers into ecs's nouns. Everything in an answer may be nil.

func service(s types.Service) ecs.Service {
	r := ecs.Service{
		ARN: aws.ToString(s.ServiceArn), Name: aws.ToString(s.ServiceName),
		Status: aws.ToString(s.Status), DesiredCount: int(s.DesiredCount), RunningCount: int(s.RunningCount),
		Version: version(s),
	}
	if e, found := newest(s.Events); found && !strings.Contains(aws.ToString(e.Message), "has reached a steady state") {
		r.Event = aws.ToString(e.Message)
	}
	if s.DeploymentController != nil {
		r.Controller = string(s.DeploymentController.Type)
	}
	r.Targets = targets(s.LoadBalancers, s.ServiceRegistries)
	primary := slices.ContainsFunc(s.TaskSets, isPrimary)
	for _, set := range s.TaskSets {
		r.TaskSets = append(r.TaskSets, ecs.TaskSet{ID: aws.ToString(set.Id), Status: aws.ToString(set.Status)})
		if !primary || isPrimary(set) { // what another set names says nothing of the tasks that serve
			r.Targets = append(r.Targets, targets(set.LoadBalancers, set.ServiceRegistries)...)
		}
	}
	return r
}

// newest is the newest event.
func newest(events []types.ServiceEvent) (types.ServiceEvent, bool) {
	if len(events) == 0 {
		return types.ServiceEvent{}, false
	}
	return slices.MaxFunc(events, func(a, b types.ServiceEvent) int { return aws.ToTime(a.CreatedAt).Compare(aws.ToTime(b.CreatedAt)) }), true
}

// version is made of everything that differs when a task starts, stops or changes hands. An event is written whenever the
// scheduler starts or stops a task, so none comes and goes between two looks unseen.
//
// Source: Amazon ECS developer guide, "Amazon ECS service event messages"; API reference, Service.
func version(s types.Service) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %d %d", aws.ToString(s.Status), s.DesiredCount, s.RunningCount, s.PendingCount)
	for _, d := range s.Deployments {
		fmt.Fprintf(&b, " %s %s %d %d %d %d", aws.ToString(d.Id), aws.ToString(d.Status),
			d.DesiredCount, d.RunningCount, d.PendingCount, d.FailedTasks)
	}
	for _, t := range s.TaskSets {
		fmt.Fprintf(&b, " %s %s %d %d", aws.ToString(t.Id), aws.ToString(t.Status), t.RunningCount, t.PendingCount)
	}
	if e, found := newest(s.Events); found {
		b.WriteString(" " + aws.ToString(e.Id))
	}
	return b.String()
}

func isPrimary(set types.TaskSet) bool { return aws.ToString(set.Status) == "PRIMARY" }

// targets are the container ports that target groups and registries name.
func targets(groups []types.LoadBalancer, registries []types.ServiceRegistry) []ecs.Target {
	var found []ecs.Target
	for _, g := range groups {
		found = append(found, ecs.Target{Container: aws.ToString(g.ContainerName), Port: port(g.ContainerPort)})
	}
	for _, g := range registries {
		found = append(found, ecs.Target{Container: aws.ToString(g.ContainerName), Port: cmp.Or(port(g.ContainerPort), port(g.Port))})
	}
	return found
}

func task(t types.Task) ecs.Task {
	r := ecs.Task{
		ARN: aws.ToString(t.TaskArn), Group: shared(t.Group), StartedBy: shared(t.StartedBy),
		DesiredStatus: shared(t.DesiredStatus), LastStatus: shared(t.LastStatus), Health: string(t.HealthStatus),
		Version: t.Version, LaunchType: string(t.LaunchType), TaskDefinition: shared(t.TaskDefinitionArn),
		ContainerInstance: shared(t.ContainerInstanceArn), Zone: shared(t.AvailabilityZone),
		CreatedAt: aws.ToTime(t.CreatedAt), StartedAt: aws.ToTime(t.StartedAt),
		StoppingAt: aws.ToTime(t.StoppingAt), StoppedAt: aws.ToTime(t.StoppedAt), StoppedReason: shared(t.StoppedReason),
	}
	for _, a := range t.Attachments {
		attached := ecs.Attachment{Type: shared(a.Type), Status: shared(a.Status)}
		for _, d := range a.Details {
			if d.Name != nil && d.Value != nil {
				if attached.Details == nil {
					attached.Details = make(map[string]string, len(a.Details))
				}
				attached.Details[shared(d.Name)] = *d.Value
			}
		}
		r.Attachments = append(r.Attachments, attached)
	}
	for _, c := range t.Containers {
		r.Containers = append(r.Containers, container(c))
	}
	return r
}

func container(c types.Container) ecs.Container {
	r := ecs.Container{
		Name: shared(c.Name), LastStatus: shared(c.LastStatus), Health: string(c.HealthStatus), Reason: aws.ToString(c.Reason),
	}
	if c.ExitCode != nil {
		code := int(*c.ExitCode)
		r.ExitCode = &code
	}
	for _, b := range c.NetworkBindings {
		r.Bindings = append(r.Bindings, ecs.Binding{
			BindIP: shared(b.BindIP), Protocol: string(b.Protocol), ContainerPort: port(b.ContainerPort), HostPort: port(b.HostPort),
			ContainerPortRange: aws.ToString(b.ContainerPortRange), HostPortRange: aws.ToString(b.HostPortRange),
		})
	}
	for _, i := range c.NetworkInterfaces {
		r.Interfaces = append(r.Interfaces, ecs.Interface{IPv4: aws.ToString(i.PrivateIpv4Address), IPv6: aws.ToString(i.Ipv6Address)})
	}
	return r
}

func containerInstance(i types.ContainerInstance) ecs.ContainerInstance {
	r := ecs.ContainerInstance{ARN: aws.ToString(i.ContainerInstanceArn), InstanceID: aws.ToString(i.Ec2InstanceId)}
	for _, a := range i.Attributes {
		if a.Name != nil {
			if r.Attributes == nil {
				r.Attributes = make(map[string]string, len(i.Attributes))
			}
			r.Attributes[*a.Name] = aws.ToString(a.Value)
		}
	}
	return r
}

// port turns AWS's number into a port; what is none is 0.
func port(n *int32) uint16 {
	if n == nil || *n < 1 || *n > 65535 {
		return 0
	}
	return uint16(*n)
}

// shared is a text that many tasks have in common, kept once.
func shared(text *string) string { return unique.Make(aws.ToString(text)).Value() }
