package ecssim

import (
	"encoding/json"
	"net/http"
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
	Ports         []metadataPort    `json:",omitempty"`
	Networks      []metadataNetwork `json:",omitempty"`
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

// metadata answers as the task metadata endpoint of a task: /v4/TASK-ID/task, and /v4/TASK-ID for its first container.
// Source: Amazon ECS developer guide, task metadata endpoint version 4.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) {
	id, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v4/"), "/")
	answer, found := s.world.metadataOf(id)
	if !found || path != "" && path != "task" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	var out any = answer
	if path == "" {
		if len(answer.Containers) == 0 {
			http.NotFound(w, r)
			return
		}
		out = answer.Containers[0]
	}
	_ = json.NewEncoder(w).Encode(out) // the client went away
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
		for _, c := range s.containers {
			if c.last != "PENDING" { // only created containers are listed
				m.Containers = append(m.Containers, t.metadataContainer(s, c))
			}
		}
		return m, true
	}
	return metadataTask{}, false
}

func (t *task) metadataContainer(s state, c container) metadataContainer {
	m := metadataContainer{
		DockerID: t.id + "-" + c.name, Name: c.name, DesiredStatus: s.desired, KnownStatus: c.last, Type: "NORMAL",
		Networks: []metadataNetwork{{NetworkMode: t.def.NetworkMode}},
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
