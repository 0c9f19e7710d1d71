package ecs

import (
	"encoding/json"
	"os"
	"testing"
)

// awsTask is a task as DescribeTasks answers it.
type awsTask struct {
	TaskArn, Group, StartedBy, DesiredStatus, LastStatus, HealthStatus string
	LaunchType, TaskDefinitionArn, ContainerInstanceArn                string
	AvailabilityZone                                                   string
	Attachments                                                        []struct {
		Type, Status string
		Details      []struct{ Name, Value string }
	}
	Containers []struct {
		Name, LastStatus, HealthStatus string
		NetworkBindings                []struct {
			BindIP, Protocol, ContainerPortRange, HostPortRange string
			ContainerPort, HostPort                             uint16
		}
		NetworkInterfaces []struct {
			PrivateIPv4Address string `json:"privateIpv4Address"`
			IPv6Address        string `json:"ipv6Address"`
		}
	}
}

func (a awsTask) task() Task {
	t := Task{
		ARN: a.TaskArn, Group: a.Group, StartedBy: a.StartedBy, DesiredStatus: a.DesiredStatus, LastStatus: a.LastStatus, Health: a.HealthStatus,
		LaunchType: a.LaunchType, TaskDefinition: a.TaskDefinitionArn, ContainerInstance: a.ContainerInstanceArn, Zone: a.AvailabilityZone,
	}
	for _, at := range a.Attachments {
		attached := Attachment{Type: at.Type, Status: at.Status, Details: map[string]string{}}
		for _, d := range at.Details {
			attached.Details[d.Name] = d.Value
		}
		t.Attachments = append(t.Attachments, attached)
	}
	for _, c := range a.Containers {
		container := Container{Name: c.Name, LastStatus: c.LastStatus, Health: c.HealthStatus}
		for _, b := range c.NetworkBindings {
			container.Bindings = append(container.Bindings, Binding{
				BindIP: b.BindIP, Protocol: b.Protocol, ContainerPort: b.ContainerPort, HostPort: b.HostPort,
				ContainerPortRange: b.ContainerPortRange, HostPortRange: b.HostPortRange,
			})
		}
		for _, i := range c.NetworkInterfaces {
			container.Interfaces = append(container.Interfaces, Interface{IPv4: i.PrivateIPv4Address, IPv6: i.IPv6Address})
		}
		t.Containers = append(t.Containers, container)
	}
	return t
}

// shapes are tasks in the real shapes of DescribeTasks, by what they show.
func shapes(t testing.TB) map[string]Task {
	t.Helper()
	text, err := os.ReadFile("testdata/describe_tasks_shapes.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Tasks map[string]awsTask }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	tasks := map[string]Task{}
	for name, a := range file.Tasks {
		tasks[name] = a.task()
	}
	return tasks
}

// changed is a task with a change that leaves the original alone.
func changed(t Task, how func(*Task)) Task {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	var c Task
	if err := json.Unmarshal(text, &c); err != nil {
		panic(err)
	}
	how(&c)
	return c
}
