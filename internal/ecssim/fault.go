package ecssim

import (
	"fmt"
	"slices"
	"time"
)

// FaultKind is a way in which AWS fails.
type FaultKind string

// The kinds of faults.
const (
	Throttle        FaultKind = "throttle"
	ServerError     FaultKind = "server-error"     // 500, modelled
	Unavailable     FaultKind = "unavailable"      // 503, unmodelled
	AccessDenied    FaultKind = "access-denied"    // the permission is missing
	ExpiredToken    FaultKind = "expired-token"    // the credentials are too old
	Truncated       FaultKind = "truncated"        // the answer breaks off
	WrongType       FaultKind = "wrong-type"       // an HTML page with status 200
	Reset           FaultKind = "reset"            // the connection breaks before an answer
	Hang            FaultKind = "hang"             // no answer comes
	Huge            FaultKind = "huge"             // an answer without end
	Empty           FaultKind = "empty"            // a well-formed answer that names nothing
	MissingDescribe FaultKind = "missing-describe" // what was listed is not known to Describe
	LateList        FaultKind = "late-list"        // the list is of some time ago
	ClockSkew       FaultKind = "clock-skew"       // AWS's clock is ten minutes ahead
)

// faultKinds are all kinds, for the world file.
func faultKinds() []FaultKind {
	return []FaultKind{
		Throttle, ServerError, Unavailable, AccessDenied, ExpiredToken, Truncated, WrongType, Reset, Hang, Huge, Empty,
		MissingDescribe, LateList, ClockSkew,
	}
}

// metadataFaults are the kinds that the task metadata endpoint has.
func metadataFaults() []FaultKind {
	return []FaultKind{ServerError, Truncated, WrongType, Reset, Hang, Huge, Empty}
}

// Fault makes calls fail.
type Fault struct {
	Kind FaultKind
	// Action is the one that fails; "" for all of AWS's, "metadata" for the task metadata endpoint.
	Action string
	// Cluster is the ECS cluster whose calls alone fail; "" for all. EC2's calls name none.
	Cluster string
	// Calls is how many fail, 0 for all while For lasts.
	Calls int
	// For is how long it lasts from its beginning; 0 for ever.
	For time.Duration
}

// Inject lets a fault begin now.
func (s *Server) Inject(f Fault) error {
	if err := f.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &activeFault{Fault: f, begun: s.clock(), left: f.Calls})
	return nil
}

// check finds a fault that strikes nothing.
func (f Fault) check() error {
	kinds, what := faultKinds(), "fault"
	if f.Action == metadataAction {
		kinds, what = metadataFaults(), "fault of the metadata endpoint"
	}
	switch {
	case !slices.Contains(kinds, f.Kind):
		return fmt.Errorf("there is no %s %q; there are %v", what, f.Kind, kinds)
	case f.Action != "" && f.Action != metadataAction && !isRead(f.Action):
		return fmt.Errorf("a fault strikes no action %q; there are %v and %s", f.Action, reads(), metadataAction)
	case f.Cluster != "" && (f.Action == metadataAction || f.Action == "DescribeInstances"):
		return fmt.Errorf("a fault of %s strikes no ECS cluster of its own: it names none", f.Action)
	case f.Calls < 0 || f.For < 0:
		return fmt.Errorf("a fault can't last for %d calls or %s; 0 is for ever", f.Calls, f.For)
	default:
		return nil
	}
}

// Struck is how many calls were struck by injected faults so far.
func (s *Server) Struck() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.struck
}

// Heal ends all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

type activeFault struct {
	Fault
	begun time.Time
	left  int
}

// strikes tells whether a fault is one of the call of an action that names an ECS cluster, "" where it names none.
func (f Fault) strikes(action, clusterName string) bool {
	if f.Cluster != "" && f.Cluster != clusterName {
		return false
	}
	return f.Action == action || f.Action == "" && action != metadataAction
}

// fault is the fault that strikes a call of an action, "" for none.
func (s *Server) fault(action, clusterName string) FaultKind {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	s.faults = slices.DeleteFunc(s.faults, func(f *activeFault) bool {
		return f.For > 0 && now.Sub(f.begun) >= f.For || f.Calls > 0 && f.left == 0
	})
	for _, f := range s.faults {
		if f.strikes(action, clusterName) {
			f.left--
			s.struck++
			return f.Kind
		}
	}
	if s.options.Polite || action == metadataAction {
		return ""
	}
	switch chance := s.rng.IntN(1000); { // rude: one call in a hundred or so fails, as in a busy account
	case chance < 8:
		return Throttle
	case chance < 11:
		return ServerError
	case chance < 13:
		return Unavailable
	default:
		return ""
	}
}
