package check

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

const (
	// maxTargets are how many targets of a service are dialled, and maxDials how many of all.
	maxTargets, maxDials = 5, 100
	// dialPatience bounds each dial; all are dialled at once.
	dialPatience = time.Second
)

// dialled is what became of dialling addresses: nil where somebody listens.
type dialled map[netip.AddrPort]error

// toDial are the addresses to dial: the first of each service, then the second of each, until there are enough.
func toDial(readings []mesh.Reading) []netip.AddrPort {
	var all []netip.AddrPort
	seen := map[netip.AddrPort]bool{}
	for n := range maxTargets {
		for _, r := range readings {
			if r.Err != nil || n >= len(r.Service.Endpoints) || len(all) == maxDials {
				continue
			}
			if at := r.Service.Endpoints[n].Addr; !seen[at] {
				seen[at] = true
				all = append(all, at)
			}
		}
	}
	return all
}

// dialTargets tries whether somebody listens at the targets of services. What there was no time for is left out.
func dialTargets(ctx context.Context, dial func(context.Context, netip.AddrPort) error, readings []mesh.Reading) dialled {
	var mu sync.Mutex
	var all sync.WaitGroup
	found := dialled{}
	for _, at := range toDial(readings) {
		all.Go(func() {
			short, cancel := context.WithTimeout(ctx, dialPatience)
			defer cancel()
			err := dial(short, at)
			if ctx.Err() != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			found[at] = err
		})
	}
	all.Wait()
	return found
}

// tried is what became of dialling the targets of one service.
type tried struct {
	dialled                int
	refused, silent, other []string
	// cause is the first error that is neither a refusal nor silence.
	cause error
}

func (d dialled) of(s *mesh.Service) tried {
	var t tried
	for _, e := range s.Endpoints {
		err, was := d[e.Addr]
		if !was || t.dialled == maxTargets {
			continue
		}
		t.dialled++
		var late interface{ Timeout() bool }
		switch at := e.Addr.String(); {
		case err == nil:
		case errors.Is(err, syscall.ECONNREFUSED):
			t.refused = append(t.refused, at)
		case errors.Is(err, context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
			t.silent = append(t.silent, at)
		default:
			t.other = append(t.other, at)
			t.cause = first(t.cause, err)
		}
	}
	return t
}

func (t tried) failed() int { return len(t.refused) + len(t.silent) + len(t.other) }

// words say which targets can't be reached, and what to do about it.
func (t tried) words(ref mesh.ServiceRef, port uint16) (found, do string) {
	var parts, advice []string
	say := func(at []string, one, many, what string) {
		verb := many
		if len(at) == 1 {
			verb = one
		}
		if len(at) > 0 {
			parts = append(parts, fmt.Sprintf("%d of %s %s (%s)", len(at), plural(t.dialled, "target"), verb, several(at, 3, ", ")))
			advice = append(advice, what)
		}
	}
	listens := fmt.Sprintf("nothing listens there: does the app listen on the container port %d, on more than its loopback?", port)
	if ref.Port != 0 {
		listens = fmt.Sprintf("nothing listens there: is %s right, and is the app up?", ref.PortVar)
	}
	say(t.refused, "refuses the connection", "refuse the connection", listens)
	say(t.silent, "doesn't answer within 1 s", "don't answer within 1 s",
		"does the security group of that service, or of its instances, let this task in?")
	say(t.other, fmt.Sprintf("can't be reached: %v", t.cause), fmt.Sprintf("can't be reached: %v", t.cause),
		"look at the routes and security groups between this task and that service")
	return strings.Join(parts, "; "), strings.Join(advice, " ")
}

// reached adds to what was found of a service whether somebody listens at its targets. Outside of a task silence says little.
func (f *Finding) reached(r mesh.Reading, d dialled, inTask bool) {
	if r.Err != nil {
		return
	}
	t := d.of(r.Service)
	if t.failed() == 0 {
		return
	}
	found, do := t.words(r.Ref, r.Service.Endpoints[0].Port)
	if !inTask && len(t.refused) == 0 {
		do += " Run this in the container of nightjar: from elsewhere there may be no way"
	}
	all := t.failed() == t.dialled
	if !all || f.Result != OK {
		found = f.Found + "; " + found
	}
	if f.Do != "" {
		do = f.Do + "; " + do
	}
	f.Found, f.Do, f.Result = found, do, Warning
	if all && (inTask || len(t.refused) > 0) {
		f.Result = Fail
	}
}

// listens adds to what was found of an own container whether it listens. One that doesn't run yet needn't.
func (f *Finding) listens(r mesh.Reading, d dialled, task *taskmeta.Task) {
	if r.Err != nil || len(r.Service.Endpoints) == 0 {
		return
	}
	at := r.Service.Endpoints[0].Addr
	if d[at] == nil {
		return
	}
	status := ""
	if task != nil {
		c, _ := task.Container(r.Ref.Container)
		status = c.KnownStatus
	}
	if status != "" && status != "RUNNING" {
		f.Result, f.Found = Warning, fmt.Sprintf("it is %s, and nothing listens at %s yet", status, at)
		f.Do = "check again when it runs"
		return
	}
	right := "is the app up, and does it listen there?"
	if r.Ref.Port != 0 {
		right = fmt.Sprintf("is %s right, and is the app up?", r.Ref.PortVar)
	}
	f.Result, f.Found, f.Do = Fail, fmt.Sprintf("nothing listens at %s", at), right
	if !errors.Is(d[at], syscall.ECONNREFUSED) {
		f.Found = fmt.Sprintf("nothing answers at %s: %v", at, d[at])
	}
}
