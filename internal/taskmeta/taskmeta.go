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
	"slices"
	"strings"
	"time"
)

// URIVariable is the environment variable that ECS sets to the endpoint of a container.
const URIVariable = "ECS_CONTAINER_METADATA_URI_V4"

const (
	// maxAnswer bounds an answer, in bytes, and maxHeader its header. A task has at most ten containers.
	maxAnswer, maxHeader = 1 << 20, 64 << 10
	// tryTimeout bounds one try. The endpoint is on the same host.
	tryTimeout = 2 * time.Second
	tries      = 3
	tryPause   = 100 * time.Millisecond
	// awaitPause is the pause of Await after three tries in vain, and awaitSilence after how long it says that it waits.
	awaitPause   = 250 * time.Millisecond
	awaitSilence = time.Second
)

// errURL is the error of what is no endpoint at all.
var errURL = errors.New("want the http URL that ECS sets; don't set it yourself")

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
	// Own is the container that asked.
	Own Container `json:"-"`
}

// Container is a container of the own task. Only those that were created are listed.
type Container struct {
	Name string
	// Image is its image as the task definition names it.
	Image       string
	KnownStatus string
	// StartedAt is when it started, RFC 3339; "" before that.
	StartedAt string
	Health    Health
	Labels    map[string]string
	Networks  []Network
	Ports     []Port
}

// Health is what a container's health check says.
type Health struct {
	// Status is HEALTHY, UNHEALTHY or UNKNOWN; "" without a check.
	Status string
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

// Fetch reads the endpoint at the URI that ECS_CONTAINER_METADATA_URI_V4 gives: the task, and the own container in it. Each
// is tried three times. The answer is whole, or an error that names the variable.
func Fetch(ctx context.Context, uri string) (*Task, error) { return ask(ctx, uri, fetch) }

// FetchTask reads the task alone, in one try: Own is empty. It is for those who ask again and again.
func FetchTask(ctx context.Context, uri string) (*Task, error) { return ask(ctx, uri, fetchTask) }

// ask asks the endpoint with a client made for it. Its error names the variable.
func ask(ctx context.Context, uri string, how func(context.Context, *http.Client, string) (*Task, error)) (*Task, error) {
	base, err := url.Parse(uri)
	if err != nil || base.Scheme != "http" || base.Host == "" {
		return nil, fmt.Errorf("%s is %.120q: %w", URIVariable, uri, errURL)
	}
	transport := &http.Transport{MaxResponseHeaderBytes: maxHeader} // without HTTP_PROXY: a proxy can't reach the own task's endpoint
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: tryTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("it redirects, which ECS never does")
	}}
	t, err := how(ctx, client, strings.TrimSuffix(uri, "/"))
	if err != nil {
		return nil, fmt.Errorf("reading the task metadata endpoint (%s): %w", URIVariable, err)
	}
	return t, nil
}

// Await is Fetch again and again for a while, for a start at which the endpoint may not answer yet. Late is told once, after
// the first second.
func Await(ctx context.Context, uri string, patience time.Duration, late func()) (*Task, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	told := make(chan struct{})
	timer := time.AfterFunc(awaitSilence, func() { late(); close(told) })
	defer func() {
		if !timer.Stop() {
			<-told
		}
	}()
	var last error
	for {
		task, err := Fetch(ctx, uri)
		if err == nil || errors.Is(err, errURL) {
			return task, err
		}
		if last == nil || ctx.Err() == nil { // else it says no more than that the time is over
			last = err
		}
		select {
		case <-ctx.Done():
			return nil, last
		case <-time.After(awaitPause):
		}
	}
}

func fetch(ctx context.Context, client *http.Client, uri string) (*Task, error) {
	task, err := persist(ctx, client, uri+"/task")
	if err != nil {
		return nil, err
	}
	own, err := persist(ctx, client, uri)
	if err != nil {
		return nil, err
	}
	return Parse(task, own)
}

func fetchTask(ctx context.Context, client *http.Client, uri string) (*Task, error) {
	task, err := get(ctx, client, uri+"/task")
	if err != nil {
		return nil, err
	}
	return parseTask(task)
}

// persist gets what is at a URI, in several tries.
func persist(ctx context.Context, client *http.Client, uri string) ([]byte, error) {
	for n := 1; ; n++ {
		body, err := get(ctx, client, uri)
		if err == nil || n == tries || ctx.Err() != nil {
			return body, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(tryPause):
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

// Parse reads the answers of the path /task, and of the own container.
func Parse(task, own []byte) (*Task, error) {
	t, err := parseTask(task)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(own, &t.Own); err != nil {
		return nil, fmt.Errorf("what it says of the own container is not what ECS gives: %w", err)
	}
	return t, nil
}

func parseTask(task []byte) (*Task, error) {
	var t Task
	if err := json.Unmarshal(task, &t); err != nil {
		return nil, fmt.Errorf("what it says of the task is not what ECS gives: %w", err)
	}
	if t.Cluster == "" || !isTaskARN(t.TaskARN) {
		return nil, fmt.Errorf("it says that the task is %.120q of the ECS cluster %.120q; want a task's ARN, and an ECS cluster",
			t.TaskARN, t.Cluster)
	}
	return &t, nil
}

// isTaskARN tells whether a text has the parts of a task's ARN that are used here.
func isTaskARN(text string) bool {
	parts := strings.Split(text, ":")
	return len(parts) == 6 && parts[0] == "arn" && strings.HasPrefix(parts[5], "task/")
}

// Region is the Region of the task's ARN, "" where it has none.
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

// NetworkMode is awsvpc, host or, for anything else, bridge; "" where no container tells a network. All containers of a
// task share one mode; the own one exists for sure, so it is asked first.
func (t *Task) NetworkMode() string {
	for _, c := range append([]Container{t.Own}, t.Containers...) {
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

// IPv6Only tells whether the task has IPv6 addresses and no other, as in an IPv6-only subnet.
func (t *Task) IPv6Only() bool {
	has6 := false
	for _, c := range append([]Container{t.Own}, t.Containers...) {
		for _, n := range c.Networks {
			if len(n.IPv4Addresses) > 0 {
				return false
			}
			has6 = has6 || len(n.IPv6Addresses) > 0
		}
	}
	return has6
}

// Container is the container of that name; false where it isn't created, or there is none.
func (t *Task) Container(name string) (Container, bool) {
	i := slices.IndexFunc(t.Containers, func(c Container) bool { return c.Name == name })
	if i < 0 {
		return Container{}, false
	}
	return t.Containers[i], true
}
