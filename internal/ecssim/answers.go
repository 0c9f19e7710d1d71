package ecssim

import "fmt"

// The shapes here are those of the API reference; what AWS leaves out where it has nothing is left out.

type taskAnswer struct {
	TaskARN              string             `json:"taskArn"`
	ClusterARN           string             `json:"clusterArn"`
	TaskDefinitionARN    string             `json:"taskDefinitionArn"`
	ContainerInstanceARN string             `json:"containerInstanceArn,omitempty"`
	CapacityProviderName string             `json:"capacityProviderName,omitempty"`
	Group                string             `json:"group"`
	StartedBy            string             `json:"startedBy,omitempty"`
	LaunchType           string             `json:"launchType,omitempty"`
	PlatformVersion      string             `json:"platformVersion,omitempty"`
	PlatformFamily       string             `json:"platformFamily,omitempty"`
	AvailabilityZone     string             `json:"availabilityZone,omitempty"`
	LastStatus           string             `json:"lastStatus"`
	DesiredStatus        string             `json:"desiredStatus"`
	HealthStatus         string             `json:"healthStatus"`
	Connectivity         string             `json:"connectivity,omitempty"`
	ConnectivityAt       *epoch             `json:"connectivityAt,omitempty"`
	CPU                  string             `json:"cpu"`
	Memory               string             `json:"memory"`
	CreatedAt            *epoch             `json:"createdAt,omitempty"`
	StartedAt            *epoch             `json:"startedAt,omitempty"`
	StoppingAt           *epoch             `json:"stoppingAt,omitempty"`
	StoppedAt            *epoch             `json:"stoppedAt,omitempty"`
	StopCode             string             `json:"stopCode,omitempty"`
	StoppedReason        string             `json:"stoppedReason,omitempty"`
	Version              int                `json:"version"`
	EnableExecuteCommand bool               `json:"enableExecuteCommand"`
	Attachments          []attachmentAnswer `json:"attachments"`
	Attributes           []attributeAnswer  `json:"attributes"`
	Containers           []containerAnswer  `json:"containers"`
	Overrides            overridesAnswer    `json:"overrides"`
	Tags                 []struct{}         `json:"tags"`
}

type overridesAnswer struct {
	ContainerOverrides            []struct{} `json:"containerOverrides"`
	InferenceAcceleratorOverrides []struct{} `json:"inferenceAcceleratorOverrides"`
}

type attachmentAnswer struct {
	ID      string         `json:"id"`
	Type    string         `json:"type"`
	Status  string         `json:"status"`
	Details []nameAndValue `json:"details"`
}

type nameAndValue struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

type attributeAnswer struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

type containerAnswer struct {
	ContainerARN      string            `json:"containerArn"`
	TaskARN           string            `json:"taskArn"`
	Name              string            `json:"name"`
	Image             string            `json:"image"`
	RuntimeID         string            `json:"runtimeId,omitempty"`
	LastStatus        string            `json:"lastStatus"`
	ExitCode          *int              `json:"exitCode,omitempty"`
	HealthStatus      string            `json:"healthStatus"`
	NetworkBindings   []bindingAnswer   `json:"networkBindings"`
	NetworkInterfaces []interfaceAnswer `json:"networkInterfaces"`
	ManagedAgents     []struct{}        `json:"managedAgents,omitempty"`
	CPU               string            `json:"cpu"`
}

type bindingAnswer struct {
	BindIP             string `json:"bindIP"`
	ContainerPort      int    `json:"containerPort,omitempty"`
	HostPort           int    `json:"hostPort,omitempty"`
	ContainerPortRange string `json:"containerPortRange,omitempty"`
	HostPortRange      string `json:"hostPortRange,omitempty"`
	Protocol           string `json:"protocol"`
}

type interfaceAnswer struct {
	AttachmentID       string `json:"attachmentId"`
	PrivateIPv4Address string `json:"privateIpv4Address,omitempty"`
	IPv6Address        string `json:"ipv6Address,omitempty"`
}

func (v *view) taskAnswer(t *task, s state) taskAnswer {
	a := taskAnswer{
		TaskARN: t.arn, ClusterARN: v.clusterARN(t.cluster.name),
		TaskDefinitionARN: fmt.Sprintf("arn:%s:ecs:%s:%s:task-definition/%s", v.partition(), v.region, v.account, t.def.name()),
		Group:             s.group, StartedBy: s.startedBy, LaunchType: t.def.LaunchType, LastStatus: s.last, DesiredStatus: s.desired,
		HealthStatus: taskHealth(s), CPU: "256", Memory: "512", CreatedAt: at(s.created), StartedAt: at(s.started),
		StoppingAt: at(s.stopping), StoppedAt: at(s.stopped),
		StopCode: s.stopCode, StoppedReason: s.stopCause, Version: s.number, AvailabilityZone: v.region + "a",
		Attributes: []attributeAnswer{{Name: "ecs.cpu-architecture", Value: "x86_64"}},
		Overrides:  overridesAnswer{[]struct{}{}, []struct{}{}}, Tags: []struct{}{}, Attachments: []attachmentAnswer{},
	}
	if t.at != nil {
		a.ContainerInstanceARN, a.AvailabilityZone = t.at.arn, t.at.zone
	}
	if t.service != nil && t.service.capacityProvider != "" {
		a.CapacityProviderName = t.service.capacityProvider
	}
	if t.def.LaunchType == "FARGATE" {
		a.PlatformVersion, a.PlatformFamily = "1.4.0", "Linux"
	}
	if s.last != "PROVISIONING" && s.last != "PENDING" && !s.started.IsZero() {
		a.Connectivity, a.ConnectivityAt = "CONNECTED", at(s.started)
	}
	if t.def.NetworkMode == "awsvpc" {
		a.Attachments = append(a.Attachments, t.attachment(s))
	}
	for _, c := range s.containers {
		a.Containers = append(a.Containers, v.containerAnswer(t, s, c))
	}
	return a
}

// taskHealth is UNHEALTHY if a container is, HEALTHY if all are, else UNKNOWN.
func taskHealth(s state) string {
	health := "HEALTHY"
	for _, c := range s.containers {
		switch {
		case c.health == "UNHEALTHY":
			return c.health
		case c.health != "HEALTHY":
			health = "UNKNOWN"
		}
	}
	return health
}

// attachment is the network interface of an awsvpc task. Early in its life there is only the subnet.
func (t *task) attachment(s state) attachmentAnswer {
	a := attachmentAnswer{
		ID: "0f0f0f0f-" + t.id[:4] + "-4000-8000-" + t.id[:12], Type: "ElasticNetworkInterface", Status: "PRECREATED",
		Details: []nameAndValue{{"subnetId", "subnet-0abc1234"}},
	}
	if !s.interfaceKnown {
		return a
	}
	a.Status = "ATTACHED"
	if !s.stopped.IsZero() {
		a.Status = "DELETED"
	}
	a.Details = append(a.Details, nameAndValue{"networkInterfaceId", "eni-0" + t.id[:16]}, nameAndValue{"macAddress", "0a:58:a9:fe:ac:02"})
	if !t.def.IPv6Only {
		a.Details = append(a.Details, nameAndValue{"privateIPv4Address", t.ip.String()})
	}
	if t.def.IPv6 || t.def.IPv6Only {
		a.Details = append(a.Details, nameAndValue{"ipv6Address", t.ipv6()})
	}
	return a
}

// ipv6 is an address for documentation (RFC 3849) made of the task's ID.
func (t *task) ipv6() string { return "2001:db8::" + t.id[:4] + ":" + t.id[4:8] }

func (v *view) containerAnswer(t *task, s state, c container) containerAnswer {
	a := containerAnswer{
		ContainerARN: v.arn("container", t.cluster.name, t.id+"/"+c.name), TaskARN: t.arn, Name: c.name, Image: "example/" + c.name + ":latest",
		LastStatus: apiStatus(c.last), HealthStatus: c.health, CPU: "0",
		NetworkBindings: []bindingAnswer{}, NetworkInterfaces: []interfaceAnswer{},
	}
	if c.last != "PENDING" {
		a.RuntimeID = t.id[:12]
	}
	if c.last == "STOPPED" {
		code := 0
		a.ExitCode = &code
	}
	for _, b := range c.bindings {
		n := bindingAnswer{BindIP: b.bindIP, Protocol: b.protocol, ContainerPort: int(b.containerPort), HostPort: int(b.hostPort)}
		if b.containerRangeEnd > 0 {
			n.ContainerPort, n.HostPort = 0, 0
			n.ContainerPortRange = fmt.Sprintf("%d-%d", b.containerPort, b.containerRangeEnd)
			n.HostPortRange = fmt.Sprintf("%d-%d", b.hostPort, b.hostRangeEnd)
		}
		a.NetworkBindings = append(a.NetworkBindings, n)
	}
	if t.def.NetworkMode == "awsvpc" && s.interfaceKnown {
		i := interfaceAnswer{AttachmentID: t.attachment(s).ID}
		if !t.def.IPv6Only {
			i.PrivateIPv4Address = t.ip.String()
		}
		if t.def.IPv6 || t.def.IPv6Only {
			i.IPv6Address = t.ipv6()
		}
		a.NetworkInterfaces = append(a.NetworkInterfaces, i)
	}
	return a
}

// apiStatus is a container's status in the ECS API, which has no CREATED.
// Source: amazon-ecs-agent, ContainerStatus.BackendStatus.
func apiStatus(last string) string {
	if last == "CREATED" {
		return "PENDING"
	}
	return last
}

type serviceAnswer struct {
	ServiceARN              string                   `json:"serviceArn"`
	ServiceName             string                   `json:"serviceName"`
	ClusterARN              string                   `json:"clusterArn"`
	Status                  string                   `json:"status"`
	DesiredCount            int                      `json:"desiredCount"`
	RunningCount            int                      `json:"runningCount"`
	PendingCount            int                      `json:"pendingCount"`
	LaunchType              string                   `json:"launchType,omitempty"`
	CapacityProviders       []capacityProviderAnswer `json:"capacityProviderStrategy,omitempty"`
	TaskDefinition          string                   `json:"taskDefinition"`
	SchedulingStrategy      string                   `json:"schedulingStrategy"`
	CreatedAt               *epoch                   `json:"createdAt"`
	LoadBalancers           []loadBalancerAnswer     `json:"loadBalancers"`
	ServiceRegistries       []registryAnswer         `json:"serviceRegistries"`
	DeploymentConfiguration struct {
		MaximumPercent        int `json:"maximumPercent"`
		MinimumHealthyPercent int `json:"minimumHealthyPercent"`
	} `json:"deploymentConfiguration"`
	DeploymentController *controllerAnswer  `json:"deploymentController,omitempty"`
	Deployments          []deploymentAnswer `json:"deployments"`
	TaskSets             []taskSetAnswer    `json:"taskSets,omitempty"`
	Events               []eventAnswer      `json:"events"`
}

type capacityProviderAnswer struct {
	CapacityProvider string `json:"capacityProvider"`
	Weight           int    `json:"weight"`
	Base             int    `json:"base"`
}

type loadBalancerAnswer struct {
	TargetGroupARN string `json:"targetGroupArn"`
	ContainerName  string `json:"containerName"`
	ContainerPort  int    `json:"containerPort"`
}

type registryAnswer struct {
	RegistryARN   string `json:"registryArn"`
	ContainerName string `json:"containerName,omitempty"`
	ContainerPort int    `json:"containerPort,omitempty"`
}

type controllerAnswer struct {
	Type string `json:"type"`
}

type deploymentAnswer struct {
	ID             string `json:"id"`
	Status         string `json:"status"`
	TaskDefinition string `json:"taskDefinition"`
	DesiredCount   int    `json:"desiredCount"`
	RunningCount   int    `json:"runningCount"`
	PendingCount   int    `json:"pendingCount"`
	CreatedAt      *epoch `json:"createdAt"`
	UpdatedAt      *epoch `json:"updatedAt"`
	RolloutState   string `json:"rolloutState,omitempty"`
}

type taskSetAnswer struct {
	ID             string               `json:"id"`
	TaskSetARN     string               `json:"taskSetArn"`
	Status         string               `json:"status"`
	TaskDefinition string               `json:"taskDefinition"`
	LoadBalancers  []loadBalancerAnswer `json:"loadBalancers"`
	CreatedAt      *epoch               `json:"createdAt"`
}

func (v *view) serviceAnswer(s *service) serviceAnswer {
	definition := func(d Definition) string {
		return fmt.Sprintf("arn:%s:ecs:%s:%s:task-definition/%s", v.partition(), v.region, v.account, d.name())
	}
	a := serviceAnswer{
		ServiceARN: s.arn, ServiceName: s.name, ClusterARN: v.clusterARN(s.cluster.name), Status: s.status, DesiredCount: s.desired,
		LaunchType: s.def.LaunchType, TaskDefinition: definition(s.def), SchedulingStrategy: "REPLICA", CreatedAt: at(s.created),
		LoadBalancers: []loadBalancerAnswer{}, ServiceRegistries: []registryAnswer{}, Deployments: []deploymentAnswer{}, Events: v.events(s),
	}
	a.DeploymentConfiguration.MaximumPercent, a.DeploymentConfiguration.MinimumHealthyPercent = 200, 100
	if s.capacityProvider != "" {
		a.LaunchType, a.CapacityProviders = "", []capacityProviderAnswer{{s.capacityProvider, 1, 0}}
	}
	if s.controller != "" {
		a.DeploymentController = &controllerAnswer{s.controller}
	}
	running, pending := map[string]int{}, map[string]int{}
	for _, t := range s.tasks {
		if seen, there := t.seen(v.at); there && seen.desired == "RUNNING" {
			if seen.last == "RUNNING" {
				running[seen.startedBy]++
				a.RunningCount++
			} else {
				pending[seen.startedBy]++
				a.PendingCount++
			}
		}
	}
	for _, l := range s.loadBalancers {
		a.LoadBalancers = append(a.LoadBalancers, loadBalancerAnswer{v.targetGroup(l), l.Container, int(l.Port)})
	}
	for _, r := range s.registries {
		a.ServiceRegistries = append(a.ServiceRegistries, registryAnswer{
			fmt.Sprintf("arn:%s:servicediscovery:%s:%s:service/srv-1", v.partition(), v.region, v.account), r.Container, int(r.Port),
		})
	}
	for _, d := range s.deployments {
		if !s.controllerIsECS() {
			a.TaskSets = append(a.TaskSets, taskSetAnswer{
				d.id, v.arn("task-set", s.cluster.name, s.name+"/"+d.id), d.status, definition(d.def), a.LoadBalancers, at(d.created),
			})
			continue
		}
		a.Deployments = append(a.Deployments, deploymentAnswer{
			ID: d.id, Status: d.status, TaskDefinition: definition(d.def), DesiredCount: s.desired, RunningCount: running[d.id],
			PendingCount: pending[d.id], CreatedAt: at(d.created), UpdatedAt: at(d.created), RolloutState: "COMPLETED",
		})
	}
	return a
}

func (v *view) targetGroup(t Target) string {
	return fmt.Sprintf("arn:%s:elasticloadbalancing:%s:%s:targetgroup/%s-%d/0123456789abcdef",
		v.partition(), v.region, v.account, t.Container, t.Port)
}

type containerInstanceAnswer struct {
	ContainerInstanceARN string            `json:"containerInstanceArn"`
	EC2InstanceID        string            `json:"ec2InstanceId"`
	Status               string            `json:"status"`
	AgentConnected       bool              `json:"agentConnected"`
	Version              int               `json:"version"`
	RunningTasksCount    int               `json:"runningTasksCount"`
	PendingTasksCount    int               `json:"pendingTasksCount"`
	Attributes           []attributeAnswer `json:"attributes"`
	Attachments          []struct{}        `json:"attachments"`
	RegisteredResources  []struct{}        `json:"registeredResources"`
	RemainingResources   []struct{}        `json:"remainingResources"`
}

func (v *view) containerInstanceAnswer(i *instance) containerInstanceAnswer {
	a := containerInstanceAnswer{
		ContainerInstanceARN: i.arn, EC2InstanceID: i.id, Status: i.status(), AgentConnected: !i.lost, Version: 1, RunningTasksCount: i.tasks,
		Attributes:  []attributeAnswer{{"ecs.availability-zone", i.zone}, {Name: "ecs.capability.privileged-container"}},
		Attachments: []struct{}{}, RegisteredResources: []struct{}{}, RemainingResources: []struct{}{},
	}
	for name, value := range i.attributes {
		a.Attributes = append(a.Attributes, attributeAnswer{name, value})
	}
	return a
}
