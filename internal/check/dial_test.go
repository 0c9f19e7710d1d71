package check

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// targetsOf is a reading of so many targets at 10.0.N.1 and following.
func targetsOf(n, targets int) mesh.Reading {
	r := mesh.Reading{
		Ref:     mesh.ServiceRef{Cluster: "c", Service: fmt.Sprint("s", n), Port: 6002, PortVar: fmt.Sprint("SERVICE_PORT_", n)},
		Service: &mesh.Service{},
	}
	for i := range targets {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n), byte(i + 1)}), 6002)
		r.Service.Endpoints = append(r.Service.Endpoints, mesh.Endpoint{Addr: at, Port: 6002})
	}
	return r
}

func TestFewTargetsAreDialledAndAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var readings []mesh.Reading
		for n := range 60 {
			readings = append(readings, targetsOf(n, 30))
		}
		readings = append(readings, mesh.Reading{Err: errors.New("not read")})
		var dials atomic.Int32
		silent := func(ctx context.Context, _ netip.AddrPort) error {
			dials.Add(1)
			<-ctx.Done()
			return ctx.Err()
		}
		begin := time.Now()
		found := dialTargets(t.Context(), silent, readings)
		if took := time.Since(begin); took != time.Second || dials.Load() != 100 || len(found) != 100 {
			t.Errorf("%d dials, %d outcomes in %s", dials.Load(), len(found), took)
		}
		if one := dialTargets(t.Context(), silent, readings[:1]); len(one) != 5 {
			t.Errorf("%d of one service", len(one))
		}
		for _, r := range readings[:60] {
			if found.of(r.Service).dialled == 0 {
				t.Fatalf("none of %s was dialled", r.Ref.Service)
			}
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if found := dialTargets(over, silent, readings); len(found) != 0 {
			t.Errorf("without time there are %d outcomes", len(found))
		}
	})
}

func TestTargetsThatCantBeReachedAreTold(t *testing.T) {
	const ok = ""
	for name, test := range map[string]struct {
		outcomes  []error
		portSet   bool
		inTask    bool
		result    Result
		found, do string
	}{
		"all listen": {[]error{nil, nil}, true, true, OK, "2 tasks", ok},
		"all refuse": {
			outcomes: []error{syscall.ECONNREFUSED, syscall.ECONNREFUSED}, portSet: true, result: Fail,
			found: "2 of 2 targets refuse the connection (10.0.1.1:6002, 10.0.1.2:6002)",
			do:    "nothing listens there: is SERVICE_PORT_1 right, and is the app up?",
		},
		"the port isn't set": {
			outcomes: []error{syscall.ECONNREFUSED}, inTask: true, result: Fail,
			found: "1 of 1 target refuses the connection (10.0.1.1:6002)",
			do:    "nothing listens there: does the app listen on the container port 6002, on more than its loopback?",
		},
		"one refuses": {
			outcomes: []error{nil, syscall.ECONNREFUSED}, portSet: true, inTask: true, result: Warning,
			found: "2 tasks; 1 of 2 targets refuses the connection (10.0.1.2:6002)",
			do:    "nothing listens there: is SERVICE_PORT_1 right, and is the app up?",
		},
		"silence": {
			outcomes: []error{context.DeadlineExceeded}, portSet: true, inTask: true, result: Fail,
			found: "1 of 1 target doesn't answer within 1 s (10.0.1.1:6002)",
			do:    "does the security group of that service, or of its instances, let this task in?",
		},
		"silence outside of a task": {
			outcomes: []error{context.DeadlineExceeded}, portSet: true, result: Warning,
			found: "1 of 1 target doesn't answer within 1 s (10.0.1.1:6002)",
			do: "does the security group of that service, or of its instances, let this task in? Run this in the container of nightjar: " +
				"from elsewhere there may be no way",
		},
		"no route": {
			outcomes: []error{syscall.EHOSTUNREACH}, portSet: true, inTask: true, result: Fail,
			found: "1 of 1 target can't be reached: no route to host (10.0.1.1:6002)",
			do:    "look at the routes and security groups between this task and that service",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, outcomes := targetsOf(1, len(test.outcomes)), dialled{}
			if !test.portSet {
				r.Ref.Port = 0
			}
			for i, err := range test.outcomes {
				outcomes[r.Service.Endpoints[i].Addr] = err
			}
			f := Finding{Check: "service", Result: OK, Found: "2 tasks"}
			f.reached(r, outcomes, test.inTask)
			if f.Result != test.result || f.Found != test.found || f.Do != test.do {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestAnOwnContainerListens(t *testing.T) {
	r := targetsOf(1, 1)
	r.Ref = mesh.ServiceRef{Own: true, Container: "web", Port: 3001, PortVar: "CONTAINER_PORT_1"}
	for status, test := range map[string]struct {
		err    error
		result Result
		found  string
		do     string
	}{
		"RUNNING":  {syscall.ECONNREFUSED, Fail, "nothing listens at 10.0.1.1:6002", "is CONTAINER_PORT_1 right, and is the app up?"},
		"CREATED":  {syscall.ECONNREFUSED, Warning, "it is CREATED, and nothing listens at 10.0.1.1:6002 yet", "check again when it runs"},
		"STARTING": {nil, OK, "fine", ""},
	} {
		f := Finding{Result: OK, Found: "fine"}
		f.listens(r, dialled{r.Service.Endpoints[0].Addr: test.err}, &taskmeta.Task{Containers: []taskmeta.Container{{Name: "web", KnownStatus: status}}})
		if f.Result != test.result || f.Found != test.found || f.Do != test.do {
			t.Errorf("%s: %+v", status, f)
		}
	}
	f := Finding{Result: OK}
	f.listens(r, dialled{r.Service.Endpoints[0].Addr: context.DeadlineExceeded}, nil)
	if f.Result != Fail || !strings.HasPrefix(f.Found, "nothing answers at 10.0.1.1:6002: ") {
		t.Errorf("%+v", f)
	}
}
