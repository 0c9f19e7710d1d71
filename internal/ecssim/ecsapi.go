package ecssim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// ecsRequest has the members of all four requests that are looked at.
type ecsRequest struct {
	Cluster            string   `json:"cluster"`
	ServiceName        string   `json:"serviceName"`
	DesiredStatus      string   `json:"desiredStatus"`
	Family             string   `json:"family"`
	LaunchType         string   `json:"launchType"`
	MaxResults         int      `json:"maxResults"`
	NextToken          string   `json:"nextToken"`
	Tasks              []string `json:"tasks"`
	Services           []string `json:"services"`
	ContainerInstances []string `json:"containerInstances"`
}

// clusterNamed is the name of the ECS cluster that a call is about; "" where it names none.
func clusterNamed(body []byte) string {
	var in struct {
		Cluster string `json:"cluster"`
	}
	if json.Unmarshal(body, &in) != nil {
		return ""
	}
	return in.Cluster[strings.LastIndex(in.Cluster, "/")+1:]
}

type failure struct {
	ARN    string `json:"arn"`
	Reason string `json:"reason"`
}

func missing(arn string) failure { return failure{arn, "MISSING"} }

// limited says that a call names too many, or none. Source: botocore's models and the API reference.
func limited(what string, names []string, most int) error {
	if len(names) == 0 {
		return clientError("InvalidParameterException", what+" cannot be empty.")
	}
	if len(names) > most {
		return clientError("InvalidParameterException", fmt.Sprintf("%s cannot have more than %d items.", what, most))
	}
	return nil
}

type listTasksAnswer struct {
	TaskARNs  []string `json:"taskArns"`
	NextToken string   `json:"nextToken,omitempty"`
}

func (v *view) listTasks(in ecsRequest) (any, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c, err := v.clusterOf(in.Cluster)
	if err != nil {
		return nil, err
	}
	tasks := v.order
	if in.ServiceName != "" {
		name := in.ServiceName[strings.LastIndex(in.ServiceName, "/")+1:]
		s := c.services[name]
		if s == nil {
			return nil, clientError("ServiceNotFoundException", "Service not found.")
		}
		tasks = s.tasks
	}
	desired := in.DesiredStatus
	if desired == "" {
		desired = "RUNNING"
	}
	arns := []string{}
	for _, t := range tasks {
		if t.cluster != c || in.Family != "" && t.def.Family != in.Family || in.LaunchType != "" && t.def.LaunchType != in.LaunchType {
			continue
		}
		if s, there := t.seen(v.at); there && s.desired == desired {
			arns = append(arns, t.arn)
		}
	}
	arns, next, err := v.page(arns, in.NextToken, in.MaxResults)
	return listTasksAnswer{arns, next}, err
}

type describeTasksAnswer struct {
	Tasks    []taskAnswer `json:"tasks"`
	Failures []failure    `json:"failures"`
}

func (v *view) describeTasks(in ecsRequest) (any, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c, err := v.clusterOf(in.Cluster)
	if err != nil {
		return nil, err
	}
	if err := limited("Tasks", in.Tasks, 100); err != nil {
		return nil, err
	}
	out := describeTasksAnswer{Tasks: []taskAnswer{}, Failures: []failure{}}
	for _, name := range in.Tasks {
		arn := name
		if !strings.HasPrefix(name, "arn:") {
			arn = v.arn("task", c.name, name)
		}
		t := v.tasks[arn]
		if t != nil && t.cluster == c && !v.missing {
			if s, there := t.seen(v.at); there {
				out.Tasks = append(out.Tasks, v.taskAnswer(t, s))
				continue
			}
		}
		out.Failures = append(out.Failures, missing(arn))
	}
	return out, nil
}

type describeServicesAnswer struct {
	Services []serviceAnswer `json:"services"`
	Failures []failure       `json:"failures"`
}

func (v *view) describeServices(in ecsRequest) (any, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c, err := v.clusterOf(in.Cluster)
	if err != nil {
		return nil, err
	}
	if err := limited("Services", in.Services, 10); err != nil {
		return nil, err
	}
	out := describeServicesAnswer{Services: []serviceAnswer{}, Failures: []failure{}}
	for _, name := range in.Services {
		short := name[strings.LastIndex(name, "/")+1:]
		if s := c.services[short]; s != nil && !v.missing {
			out.Services = append(out.Services, v.serviceAnswer(s))
			continue
		}
		out.Failures = append(out.Failures, missing(v.arn("service", c.name, short)))
	}
	return out, nil
}

type describeContainerInstancesAnswer struct {
	ContainerInstances []containerInstanceAnswer `json:"containerInstances"`
	Failures           []failure                 `json:"failures"`
}

func (v *view) describeContainerInstances(in ecsRequest) (any, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c, err := v.clusterOf(in.Cluster)
	if err != nil {
		return nil, err
	}
	if err := limited("Container instances", in.ContainerInstances, 100); err != nil {
		return nil, err
	}
	out := describeContainerInstancesAnswer{ContainerInstances: []containerInstanceAnswer{}, Failures: []failure{}}
	for _, name := range in.ContainerInstances {
		at := slices.IndexFunc(c.instances, func(i *instance) bool { return i.arn == name || strings.HasSuffix(i.arn, "/"+name) })
		if at < 0 || v.missing {
			out.Failures = append(out.Failures, missing(name))
			continue
		}
		out.ContainerInstances = append(out.ContainerInstances, v.containerInstanceAnswer(c.instances[at]))
	}
	return out, nil
}
