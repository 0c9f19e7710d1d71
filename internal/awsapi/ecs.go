package awsapi

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"golang.org/x/sync/errgroup"

	"github.com/groboclown/nightjar-mesh/internal/ecs"
)

// The limits of single calls. Source: Amazon ECS API reference.
const (
	servicesACall  = 10
	tasksACall     = 100
	instancesACall = 100
	// tasksAPage is how many tasks a page of a list names at most.
	tasksAPage = 100
	// maxPages bounds a list, so that an endless chain of tokens ends: 200 pages are 20,000 tasks. A service has at most 5,000.
	maxPages = 200
	// batchesAtOnce bounds the calls that one question makes at a time.
	batchesAtOnce = 8
)

// Services implements ecs.API.
func (c *Client) Services(ctx context.Context, cluster string, names []string) (map[string]ecs.Service, error) {
	const permission = "ecs:DescribeServices"
	return inBatches(ctx, names, servicesACall, func(ctx context.Context, batch []string) (map[string]ecs.Service, error) {
		what := "the services of the ECS cluster " + cluster
		out, err := c.describeServices(ctx, &sdkecs.DescribeServicesInput{Cluster: &cluster, Services: batch})
		if err != nil {
			return nil, explain(permission, what, err)
		}
		named := slices.DeleteFunc(out.Services, func(s types.Service) bool { return aws.ToString(s.ServiceName) == "" })
		if err := complete(permission, what, len(batch), len(named), out.Failures); err != nil {
			return nil, err
		}
		found := make(map[string]ecs.Service, len(named))
		for _, s := range named {
			found[*s.ServiceName] = service(s)
		}
		return found, nil
	})
}

// listPermission is what listing needs.
const listPermission = "ecs:ListTasks"

// ServiceTasks implements ecs.API.
func (c *Client) ServiceTasks(ctx context.Context, cluster, service string) ([]string, error) {
	what := fmt.Sprintf("the tasks of the service %s/%s", cluster, service)
	arns, whole, err := c.list(ctx, what, &sdkecs.ListTasksInput{Cluster: &cluster, ServiceName: &service}, maxPages)
	if err == nil && !whole {
		err = explain(listPermission, what, fmt.Errorf("the list has more than %d pages", maxPages))
	}
	if err != nil {
		return nil, err
	}
	return arns, nil
}

// ClusterTasks implements ecs.API.
func (c *Client) ClusterTasks(ctx context.Context, cluster string, pages int) (arns []string, whole bool, err error) {
	return c.list(ctx, "the tasks of the ECS cluster "+cluster, &sdkecs.ListTasksInput{Cluster: &cluster}, pages)
}

// list lists tasks, up to so many pages, and tells whether that is all.
func (c *Client) list(ctx context.Context, what string, in *sdkecs.ListTasksInput, pages int) (arns []string, whole bool, err error) {
	for range pages {
		out, err := c.listTasks(ctx, in)
		if err != nil {
			return nil, false, explain(listPermission, what, err)
		}
		last := aws.ToString(out.NextToken) == ""
		if last && out.TaskArns == nil || slices.Contains(out.TaskArns, "") { // AWS's empty list is []
			return nil, false, explain(listPermission, what, stranger("the answer is not a list of tasks"))
		}
		if len(out.TaskArns) > tasksAPage {
			return nil, false, explain(listPermission, what, stranger(fmt.Sprintf("a page names %d tasks", len(out.TaskArns))))
		}
		arns = append(arns, out.TaskArns...)
		if last { // a page may be short or empty, and yet have a token
			slices.Sort(arns)
			return slices.Compact(arns), true, nil
		}
		in.NextToken = out.NextToken
	}
	return nil, false, nil
}

// Tasks implements ecs.API.
func (c *Client) Tasks(ctx context.Context, cluster string, arns []string) (map[string]ecs.Task, error) {
	const permission = "ecs:DescribeTasks"
	return inBatches(ctx, arns, tasksACall, func(ctx context.Context, batch []string) (map[string]ecs.Task, error) {
		what := "tasks of the ECS cluster " + cluster
		out, err := c.describeTasks(ctx, &sdkecs.DescribeTasksInput{Cluster: &cluster, Tasks: batch})
		if err != nil {
			return nil, explain(permission, what, err)
		}
		if err := complete(permission, what, len(batch), len(out.Tasks), out.Failures); err != nil {
			return nil, err
		}
		found := make(map[string]ecs.Task, len(out.Tasks))
		for _, t := range out.Tasks {
			found[aws.ToString(t.TaskArn)] = task(t)
		}
		return found, nil
	})
}

// ContainerInstances implements ecs.API.
func (c *Client) ContainerInstances(ctx context.Context, cluster string, arns []string) (map[string]ecs.ContainerInstance, error) {
	const permission = "ecs:DescribeContainerInstances"
	return inBatches(ctx, arns, instancesACall, func(ctx context.Context, batch []string) (map[string]ecs.ContainerInstance, error) {
		what := "container instances of the ECS cluster " + cluster
		out, err := c.describeContainerInstances(ctx, &sdkecs.DescribeContainerInstancesInput{Cluster: &cluster, ContainerInstances: batch})
		if err != nil {
			return nil, explain(permission, what, err)
		}
		named := slices.DeleteFunc(out.ContainerInstances, func(i types.ContainerInstance) bool {
			return aws.ToString(i.ContainerInstanceArn) == ""
		})
		if err := complete(permission, what, len(batch), len(named), out.Failures); err != nil {
			return nil, err
		}
		found := make(map[string]ecs.ContainerInstance, len(named))
		for _, i := range named {
			found[*i.ContainerInstanceArn] = containerInstance(i)
		}
		return found, nil
	})
}

// complete tells whether an answer is whole: each of what was asked for is described, or AWS says that it does not know
// it. Any other failure, and an answer that passes something over or tells more, is an error.
func complete(permission, what string, asked, described int, failures []types.Failure) error {
	for _, f := range failures {
		if aws.ToString(f.Reason) != "MISSING" {
			return explain(permission, what, fmt.Errorf("%s: %s %.200s",
				aws.ToString(f.Arn), aws.ToString(f.Reason), aws.ToString(f.Detail)))
		}
	}
	if described+len(failures) > asked {
		return explain(permission, what, stranger(fmt.Sprintf("the answer is about %d where %d were asked for", described+len(failures), asked)))
	}
	if described+len(failures) < asked {
		return explain(permission, what, fmt.Errorf("the answer passes over %d of the %d that were asked for",
			asked-described-len(failures), asked))
	}
	return nil
}

// inBatches asks for many in calls of a size that AWS takes, some at a time, and puts their answers together. One error
// is the error of all.
func inBatches[T any](
	ctx context.Context, all []string, size int, ask func(context.Context, []string) (map[string]T, error),
) (map[string]T, error) {
	var mu sync.Mutex
	found := make(map[string]T, len(all))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(batchesAtOnce)
	for batch := range slices.Chunk(all, size) {
		group.Go(func() error {
			answer, err := ask(ctx, batch)
			mu.Lock()
			defer mu.Unlock()
			for key, value := range answer {
				found[key] = value
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return found, nil
}
