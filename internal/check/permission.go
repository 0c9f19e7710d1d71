package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// permissions are all that nightjar needs.
func permissions() []string {
	return []string{describeServices, listTasks, describeTasks, describeContainers, describeInstances}
}

// try makes the calls of the permissions that no call was made for, about a service. What they name need not exist: IAM is
// asked before it is looked up.
func try(ctx context.Context, w *watched, ref mesh.ServiceRef) {
	known, id := w.known(), strings.Repeat("0", 32)
	madeUp := func(kind string) string {
		if known.account == "" {
			return id // AWS takes an ID for the ARN of the caller's account
		}
		return known.account + kind + "/" + ref.Cluster + "/" + id
	}
	calls := map[string]func(){
		describeServices: func() { _, _ = w.Services(ctx, ref.Cluster, []string{ref.Service}) },
		listTasks:        func() { _, _ = w.ServiceTasks(ctx, ref.Cluster, ref.Service) },
		describeTasks:    func() { _, _ = w.Tasks(ctx, ref.Cluster, []string{cmp.Or(known.task, madeUp("task"))}) },
		describeContainers: func() {
			_, _ = w.ContainerInstances(ctx, ref.Cluster, []string{cmp.Or(known.machine, madeUp("container-instance"))})
		},
		describeInstances: func() { _, _ = w.InstanceAddrs(ctx, []string{cmp.Or(known.instance, "i-00000000000000000")}) },
	}
	var all sync.WaitGroup
	for permission, call := range calls {
		if !w.tried(permission) {
			all.Go(call)
		}
	}
	all.Wait()
}

// need is whether the services' tasks need the reads of instances.
type need int

const (
	unknownNeed need = iota // no task was seen
	needed                  // a task runs on an instance and has no network interface of its own
	notNeeded               // all tasks that were seen have one, as on Fargate
	ofMachines              // all machines told their addresses themselves, as with ECS Anywhere
)

// causes are the causes that were told, each with what told it, so that each is told once.
type causes map[string]string

// tell says what is wrong and what to do, or where that was said already.
func (c causes) tell(subject string, err error) (found, do string) {
	var f *ecs.Fault
	if !errors.As(err, &f) {
		return err.Error(), ""
	}
	key := f.Wrong + "\n" + f.Do
	if at, told := c[key]; told {
		return fmt.Sprintf("the same as %s: %s", at, f.Wrong), ""
	}
	c[key] = subject
	if f.Said != "" {
		return f.Wrong + ": " + f.Said, f.Do
	}
	return f.Wrong, f.Do
}

// judgePermission says what became of a permission's calls.
func judgePermission(permission string, o outcome, n need, c causes) Finding {
	f := Finding{Check: "permission", Subject: permission, Result: OK, Found: "allowed"}
	switch {
	case o.denied != nil:
		f.Result = Fail
		f.Found, _ = c.tell("the permission "+permission, o.denied)
		f.Do = fmt.Sprintf("add the line %q, to the policy of the task role (not the execution role)", permission)
		if permission == describeContainers || permission == describeInstances {
			forInstances(&f, n, permission)
		}
	case o.allowed:
	case o.failed == nil:
		f.Result, f.Found = Warning, "not tried: there was no time for it"
	case errors.Is(o.failed, ecs.ErrUnpaid):
		f.Result = Warning
		f.Found, f.Do = c.tell("the permission "+permission, o.failed)
		f.Found = "not tried: " + f.Found
	default:
		f.Result = Fail
		f.Found, f.Do = c.tell("the permission "+permission, o.failed)
	}
	return f
}

// forInstances weighs the denial of a read of instances by whether it is needed.
func forInstances(f *Finding, n need, permission string) {
	const when = "only tasks on instances in bridge and host mode need it"
	switch n {
	case needed:
	case notNeeded:
		f.Result = Note
		f.Found = "denied, and not needed now: all tasks have a network interface of their own, as on Fargate"
		f.Do = "nothing now; " + when + ": then " + f.Do
	case ofMachines:
		if permission == describeInstances {
			f.Result = Note
			f.Found = "denied, and not needed now: no task is on an EC2 instance whose address it would tell"
			f.Do = "nothing now; " + when + " on EC2: then " + f.Do
		}
	default:
		f.Result = Warning
		f.Do += "; " + when
	}
}
