// Package taskmeta reads the ECS task metadata endpoint, version 4: which task this process runs in, in which ECS cluster
// and Region, and on which kind of network.
//
// Source: Amazon ECS developer guide, "Task metadata endpoint version 4".
package taskmeta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// URIVariable is the environment variable that ECS sets to the endpoint of a container.
const URIVariable = "ECS_CONTAINER_METADATA_URI_V4"

const (
	// maxAnswer bounds an answer, in bytes. A task has at most ten containers.
	maxAnswer = 1 << 20
	// tryTimeout bounds one try. The endpoint is on the same host.
	tryTimeout = 2 * time.Second
	tries      = 3
)

// Task is what the endpoint tells of the own task.
type Task struct {
	// Cluster is the ECS cluster, its name or its ARN.
	Cluster string
	// TaskARN names Region and account too.
	TaskARN          string
	Family           string
	Revision         string
	DesiredStatus    string
	KnownStatus      string
	AvailabilityZone string
	LaunchType       string
	ServiceName      string
	Containers       []Container
}

// Container is a container of the own task. Only those that were created are listed.
type Container struct {
	Name        string
	KnownStatus string
	Networks    []Network
	Ports       []Port
}

// Network is a network of a container.
type Network struct {
	// NetworkMode is awsvpc, host, bridge (or the name of a docker network) or none.
	NetworkMode   string
	IPv4Addresses []string
	IPv6Addresses []string
}

// Port is a published port of a container.
type Port struct {
	ContainerPort uint16
	HostPort      uint16
	Protocol      string
}

// Fetch reads the endpoint at the URI that ECS_CONTAINER_METADATA_URI_V4 gives. It tries three times. The error names the
// variable.
func Fetch(ctx context.Context, uri string) (*Task, error) {
	base, err := url.Parse(uri)
	if err != nil || base.Scheme != "http" || base.Host == "" {
		return nil, fmt.Errorf("%s is %.120q: want the http URL that ECS sets; don't set it yourself", URIVariable, uri)
	}
	client := &http.Client{Timeout: tryTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("it redirects, which ECS never does")
	}}
	defer client.CloseIdleConnections()
	for n := 1; ; n++ {
		body, err := get(ctx, client, strings.TrimSuffix(uri, "/")+"/task")
		if err == nil {
			return Parse(body)
		}
		if n == tries || ctx.Err() != nil {
			return nil, fmt.Errorf("reading the task metadata endpoint (%s): %w", URIVariable, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, client *http.Client, uri string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %s", resp.Status)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("its answer has more than %d bytes", maxAnswer)
	}
	return body, nil
}

// Parse reads the answer of the path /task.
func Parse(body []byte) (*Task, error) {
	var t Task
	if err := json.Unmarshal(body, &t); err != nil {
		return nil, fmt.Errorf("the task metadata endpoint's answer is not what ECS gives: %w", err)
	}
	if t.Cluster == "" || !strings.HasPrefix(t.TaskARN, "arn:") {
		return nil, errors.New("the task metadata endpoint's answer lacks Cluster or TaskARN")
	}
	return &t, nil
}

// Region is the Region of the task's ARN, "" where there is none.
func (t *Task) Region() string {
	parts := strings.Split(t.TaskARN, ":")
	if len(parts) < 6 {
		return ""
	}
	return parts[3]
}

// ID is the last part of the task's ARN.
func (t *Task) ID() string { return t.TaskARN[strings.LastIndex(t.TaskARN, "/")+1:] }

// ClusterName is the name of the ECS cluster.
func (t *Task) ClusterName() string { return t.Cluster[strings.LastIndex(t.Cluster, "/")+1:] }

// NetworkMode is awsvpc, host or, for anything else, bridge. All containers of a task share one mode, but before the
// first is created none is listed: then it is "".
func (t *Task) NetworkMode() string {
	for _, c := range t.Containers {
		for _, n := range c.Networks {
			switch n.NetworkMode {
			case "awsvpc", "host":
				return n.NetworkMode
			case "":
			default:
				return "bridge"
			}
		}
	}
	return ""
}

// HasIPv4 tells whether a container of the task has an IPv4 address, as tasks in IPv6-only subnets have not.
func (t *Task) HasIPv4() bool {
	for _, c := range t.Containers {
		for _, n := range c.Networks {
			if len(n.IPv4Addresses) > 0 {
				return true
			}
		}
	}
	return false
}
