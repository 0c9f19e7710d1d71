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
)

// faultKinds are all kinds, for the world file.
func faultKinds() []FaultKind {
	return []FaultKind{
		Throttle, ServerError, Unavailable, AccessDenied, ExpiredToken, Truncated, WrongType, Reset, Hang, Huge, Empty,
		MissingDescribe, LateList,
	}
}

// Fault makes calls fail.
type Fault struct {
	Kind FaultKind
	// Action is the one that fails; "" for all.
	Action string
	// Calls is how many fail, 0 for all while For lasts.
	Calls int
	// For is how long it lasts from its beginning; 0 for ever.
	For time.Duration
}

// Inject lets a fault begin now.
func (s *Server) Inject(f Fault) error {
	if !slices.Contains(faultKinds(), f.Kind) {
		return fmt.Errorf("there is no fault %q; there are %v", f.Kind, faultKinds())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &activeFault{Fault: f, begun: s.clock(), left: f.Calls})
	return nil
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

// fault is the fault that strikes a call of an action, "" for none.
func (s *Server) fault(action string) FaultKind {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	s.faults = slices.DeleteFunc(s.faults, func(f *activeFault) bool {
		return f.For > 0 && now.Sub(f.begun) >= f.For || f.Calls > 0 && f.left == 0
	})
	for _, f := range s.faults {
		if f.Action == "" || f.Action == action {
			f.left--
			return f.Kind
		}
	}
	if s.options.Polite {
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
