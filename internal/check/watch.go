package check

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecs"
)

// probePatience bounds one call to AWS with its tries, and any other question.
const probePatience = 15 * time.Second

// The permissions that nightjar needs, in the order in which a reading uses them.
const (
	describeServices   = "ecs:DescribeServices"
	listTasks          = "ecs:ListTasks"
	describeTasks      = "ecs:DescribeTasks"
	describeContainers = "ecs:DescribeContainerInstances"
	describeInstances  = "ec2:DescribeInstances"
)

// watched is an ecs.API that keeps what became of the calls, by permission, and what was seen on the way. So a reading of
// the services tries most permissions by the way, and only the rest costs calls of its own.
type watched struct {
	ecs.API

	mu       sync.Mutex
	outcomes map[string]*outcome
	seen     seen
}

// outcome is what became of all calls that take one permission.
type outcome struct {
	// allowed tells that AWS has answered one, denied is the first denial, failed the first other error.
	allowed        bool
	denied, failed error
}

// seen is what the calls showed.
type seen struct {
	// account is the start of ARNs of the account, "arn:PARTITION:ecs:REGION:ACCOUNT:"; "" where none was seen.
	account string
	// task, machine and instance are one each: a task's ARN, a container instance's ARN, an EC2 instance's ID.
	task, machine, instance string
	// tasks are how many tasks were described.
	tasks int
}

func newWatched(api ecs.API) *watched { return &watched{API: api, outcomes: map[string]*outcome{}} }

// of is what became of a permission's calls; the zero outcome where there was none.
func (w *watched) of(permission string) outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.outcomes[permission]; o != nil {
		return *o
	}
	return outcome{}
}

// tried tells whether a permission's call was made.
func (w *watched) tried(permission string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.outcomes[permission] != nil
}

// known is what was seen so far.
func (w *watched) known() seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

// watch makes a call in bounded time and keeps what became of it.
func watch[T any](
	ctx context.Context, w *watched, permission string, call func(context.Context) (T, error), see func(*seen, T),
) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	answer, err := call(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.outcomes[permission]
	if o == nil {
		o = &outcome{}
		w.outcomes[permission] = o
	}
	switch {
	case err == nil:
		o.allowed = true
		see(&w.seen, answer)
	case errors.Is(err, ecs.ErrNotFound): // IAM is asked before it is looked up
		o.allowed = true
	case errors.Is(err, ecs.ErrDenied):
		o.denied = first(o.denied, err)
	default:
		o.failed = first(o.failed, err)
	}
	return answer, err
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// Services implements ecs.API.
func (w *watched) Services(ctx context.Context, cluster string, names []string) (map[string]ecs.Service, error) {
	return watch(ctx, w, describeServices, func(ctx context.Context) (map[string]ecs.Service, error) {
		return w.API.Services(ctx, cluster, names)
	}, func(s *seen, found map[string]ecs.Service) {
		for _, service := range found {
			s.of(service.ARN)
		}
	})
}

// ServiceTasks implements ecs.API.
func (w *watched) ServiceTasks(ctx context.Context, cluster, service string) ([]string, error) {
	return watch(ctx, w, listTasks, func(ctx context.Context) ([]string, error) {
		return w.API.ServiceTasks(ctx, cluster, service)
	}, func(s *seen, arns []string) {
		for _, arn := range arns {
			s.of(arn)
			s.task = arn
		}
	})
}

// Tasks implements ecs.API.
func (w *watched) Tasks(ctx context.Context, cluster string, arns []string) (map[string]ecs.Task, error) {
	return watch(ctx, w, describeTasks, func(ctx context.Context) (map[string]ecs.Task, error) {
		return w.API.Tasks(ctx, cluster, arns)
	}, func(s *seen, found map[string]ecs.Task) {
		for _, task := range found {
			s.tasks++
			if task.ContainerInstance != "" {
				s.machine = task.ContainerInstance
			}
		}
	})
}

// ContainerInstances implements ecs.API.
func (w *watched) ContainerInstances(ctx context.Context, cluster string, arns []string) (map[string]ecs.ContainerInstance, error) {
	return watch(ctx, w, describeContainers, func(ctx context.Context) (map[string]ecs.ContainerInstance, error) {
		return w.API.ContainerInstances(ctx, cluster, arns)
	}, func(s *seen, found map[string]ecs.ContainerInstance) {
		for _, machine := range found {
			if strings.HasPrefix(machine.InstanceID, "i-") {
				s.instance = machine.InstanceID
			}
		}
	})
}

// InstanceAddrs implements ecs.API.
func (w *watched) InstanceAddrs(ctx context.Context, ids []string) (map[string]ecs.InstanceAddr, error) {
	return watch(ctx, w, describeInstances, func(ctx context.Context) (map[string]ecs.InstanceAddr, error) {
		return w.API.InstanceAddrs(ctx, ids)
	}, func(*seen, map[string]ecs.InstanceAddr) {})
}

// of takes the account from an ARN.
func (s *seen) of(arn string) {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		s.account = strings.Join(parts[:5], ":") + ":"
	}
}
