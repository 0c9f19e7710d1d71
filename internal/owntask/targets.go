package owntask

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// targetsAge is how long what target groups name is taken for true, and targetsRetry how soon it is asked for again where
	// AWS did not answer.
	targetsAge, targetsRetry = 5 * time.Minute, 10 * time.Second
	// targetsPatience bounds one question.
	targetsPatience = time.Minute
)

// Target is a container port that a target group or service registry of the own service names.
type Target struct {
	Container string
	Port      uint16
}

// Targets asks AWS for what the target groups of the own service name, only where something needs it, and never makes the
// reading of the own task wait: what it learns serves the next one.
type Targets struct {
	// Ask asks AWS.
	Ask func(context.Context) ([]Target, error)

	mu     sync.Mutex
	asking chan struct{} // closed when the question under way is answered; nil without one
	last   chan struct{} // that of the last question, until Settle
	known  []Target
	err    error
	next   time.Time
}

// of are the ports that are named for a container, in order, each once; where there are none, without says why, for the
// middle of a sentence.
func (t *Targets) of(ctx context.Context, container string) (ports []uint16, without string) {
	if t == nil {
		return nil, ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asking == nil && !time.Now().Before(t.next) {
		t.asking = make(chan struct{})
		t.last = t.asking
		go t.ask(ctx)
	}
	for _, target := range t.known {
		if target.Container == container && target.Port != 0 && !slices.Contains(ports, target.Port) {
			ports = append(ports, target.Port)
		}
	}
	slices.Sort(ports)
	switch {
	case len(ports) > 0:
		return ports, ""
	case t.err != nil:
		return nil, ", and AWS can't be asked for its target groups (" + t.err.Error() + ")"
	case t.next.IsZero():
		return nil, ", and AWS has not told yet what its target groups name"
	default:
		return nil, ", and no target group of the own service names one"
	}
}

func (t *Targets) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), targetsPatience) // it outlives the reading that began it
	defer cancel()
	found, err := t.Ask(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.asking)
	t.asking, t.err, t.next = nil, err, time.Now().Add(targetsRetry)
	if err == nil {
		t.known, t.next = found, time.Now().Add(targetsAge)
	}
}

// Settle waits for the question under way, and tells whether one was asked since it was last called: a reading from before may
// not know the answer.
func (t *Targets) Settle(ctx context.Context) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	asking := t.last
	t.last = nil
	t.mu.Unlock()
	if asking == nil {
		return false
	}
	select {
	case <-asking:
	case <-ctx.Done():
	}
	return true
}
