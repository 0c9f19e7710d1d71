package ecssim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

type metadataTask struct {
	Cluster          string
	TaskARN          string
	Family           string
	Revision         string
	ServiceName      string `json:",omitempty"`
	DesiredStatus    string
	KnownStatus      string
	AvailabilityZone string
	LaunchType       string
	Containers       []metadataContainer
}

type metadataContainer struct {
	DockerID      string `json:"DockerId"`
	Name          string
	DesiredStatus string
	KnownStatus   string
	Type          string
	Labels        map[string]string
	Health        *metadataHealth   `json:",omitempty"`
	Ports         []metadataPort    `json:",omitempty"`
	Networks      []metadataNetwork `json:",omitempty"`
}

type metadataHealth struct {
	Status string `json:"status"`
}

type metadataPort struct {
	ContainerPort uint16
	Protocol      string
	HostPort      uint16 `json:",omitempty"`
	HostIP        string `json:"HostIp,omitempty"`
}

type metadataNetwork struct {
	NetworkMode   string
	IPv4Addresses []string `json:",omitempty"`
	IPv6Addresses []string `json:",omitempty"`
}

// metadataAction is what a Fault of the metadata endpoint has as its Action.
const metadataAction = "metadata"

// metadata answers as the task metadata endpoint of a task: /v4/TASK-ID is its first container and /v4/TASK-ID-NAME the one
// of that name, each once it is created, and /task behind either is the task.
// Source: Amazon ECS developer guide, task metadata endpoint version 4.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == metadataPath {
		s.listMetadata(w, r)
		return
	}
	fault := s.fault(metadataAction, "")
	if isBroken(fault) {
		breakOff(w, r, metadataType, []byte("{}"), fault)
		return
	}
	who, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, metadataPath), "/")
	id, container, _ := strings.Cut(who, "-")
	task, found := s.world.metadataOf(id)
	own := slices.IndexFunc(task.Containers, func(c metadataContainer) bool { return container == "" || c.Name == container })
	switch {
	case fault == ServerError:
		http.Error(w, "the simulated endpoint fails", http.StatusInternalServerError)
	case fault == Empty:
		writeAnswer(w, metadataType, []byte("{}"), fault)
	case found && path == "task" && (own >= 0 || container == ""):
		writeAnswer(w, metadataType, jsonOf(task), fault)
	case found && path == "" && own >= 0:
		writeAnswer(w, metadataType, jsonOf(task.Containers[own]), fault)
	default:
		http.NotFound(w, r)
	}
}

// listMetadata lists the containers with their URIs, for people, which no real endpoint does.
func (s *Server) listMetadata(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, c := range s.world.listed() {
		fmt.Fprintf(w, "http://%s%s%s\n", r.Host, metadataPath, c) //nolint:gosec // plain text
	}
}

// listed are the created containers of tasks that live: TASK-ID-NAME, and what they are.
func (w *World) listed() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, t := range w.order {
		s := t.current()
		if s.last == "STOPPED" {
			continue
		}
		service := "(a task of no service)"
		if t.service != nil {
			service = t.cluster.name + "/" + t.service.name
		}
		for _, c := range s.containers {
			if c.last != "PENDING" {
				all = append(all, fmt.Sprintf("%s-%s  %s %s %s", t.id, c.name, service, c.name, c.last))
			}
		}
	}
	return all
}

const (
	metadataPath = "/v4/"
	metadataType = "application/json"
)

// jsonOf is a value of the metadata endpoint's types, which always have a form in JSON.
func jsonOf(value any) []byte {
	text, _ := json.Marshal(value)
	return text
}

func (w *World) metadataOf(id string) (metadataTask, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.order {
		if t.id != id {
			continue
		}
		s := t.current()
		m := metadataTask{
			Cluster: w.clusterARN(t.cluster.name), TaskARN: t.arn, Family: t.def.Family, Revision: t.def.name()[len(t.def.Family)+1:],
			DesiredStatus: s.desired, KnownStatus: s.last, AvailabilityZone: w.region + "a", LaunchType: t.def.LaunchType,
		}
		if t.at != nil {
			m.AvailabilityZone = t.at.zone
		}
		if t.service != nil {
			m.ServiceName = t.service.name
		}
		for i, c := range s.containers {
			if c.last != "PENDING" { // only created containers are listed
				m.Containers = append(m.Containers, t.metadataContainer(s, i, m))
			}
		}
		return m, true
	}
	return metadataTask{}, false
}

func (t *task) metadataContainer(s state, index int, of metadataTask) metadataContainer {
	c := s.containers[index]
	m := metadataContainer{
		DockerID: t.id + "-" + c.name, Name: c.name, DesiredStatus: s.desired, KnownStatus: c.last, Type: "NORMAL",
		Networks: []metadataNetwork{{NetworkMode: t.def.NetworkMode}},
		Labels: map[string]string{
			"com.amazonaws.ecs.cluster": of.Cluster, "com.amazonaws.ecs.container-name": c.name, "com.amazonaws.ecs.task-arn": of.TaskARN,
			"com.amazonaws.ecs.task-definition-family": of.Family, "com.amazonaws.ecs.task-definition-version": of.Revision,
		},
	}
	if t.def.Containers[index].HealthCheck {
		m.Health = &metadataHealth{c.health}
	}
	switch t.def.NetworkMode {
	case "awsvpc":
		if !t.def.IPv6Only {
			m.Networks[0].IPv4Addresses = []string{t.ip.String()}
		}
		if t.def.IPv6 || t.def.IPv6Only {
			m.Networks[0].IPv6Addresses = []string{t.ipv6()}
		}
	case "bridge":
		if c.holds && c.dockerIP.IsValid() {
			m.Networks[0].IPv4Addresses = []string{c.dockerIP.String()}
		}
	}
	for _, b := range c.bindings {
		m.Ports = append(m.Ports, metadataPort{ContainerPort: b.containerPort, Protocol: b.protocol, HostPort: b.hostPort, HostIP: b.bindIP})
	}
	return m
}
