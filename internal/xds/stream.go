package xds

import (
	"slices"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
)

// stream is one connected Envoy: what it asked for, holds and refused. What it gets next is in order.go.
type stream struct {
	mu      sync.Mutex
	node    *corev3.Node
	since   time.Time
	observe observer

	// target is what the Envoy is to have.
	target Resources
	types  map[string]*typeState

	routes   gate // waits for endpoints and Envoy clusters
	removals gate // waits for routes

	// pendingSince is when the first change was published that isn't acknowledged; zero when all is.
	pendingSince time.Time

	// repeat is when what is refused is sent again, nil while nothing is.
	repeat *time.Timer
}

// typeState is a stream's state of one type.
type typeState struct {
	// asked tells whether the Envoy has asked for this type on this stream.
	asked bool
	// watch is the Envoy's open question, nil once it is answered.
	watch *watch
	// flights are the responses without an answer yet.
	flights []*flight
	// held is what the Envoy has accepted, by name. The resource is nil where only its name is known, as with what an
	// Envoy brought along from an earlier stream.
	held map[string]*Resource
	// refused are the versions that the Envoy holds back on, by name.
	refused map[string]Refusal
	// again are the names to send though they were sent: the Envoy asked for them anew.
	again map[string]bool
	// touch are the load assignments to send once more, as their live Envoy cluster was changed: Envoy warms such a
	// cluster again and waits for its assignment, but doesn't ask for it.
	touch map[string]bool
}

// observer is told what happens on a stream. Its methods are called with the stream locked, and must not block.
type observer interface {
	// refusedBy is told of each refusal, with what of it is news: nothing where a resource that was sent again is refused again.
	refusedBy(node *corev3.Node, typeURL string, news []Refusal)
	overdue(node *corev3.Node, what string)
	acked(took time.Duration)
	accepted()
}

// watch is an open question of an Envoy for one type; it takes one response.
type watch struct {
	req *discovery.DeltaDiscoveryRequest
	sub cache.Subscription
	out chan cache.DeltaResponse
}

// flight is a response that was handed over and not answered yet.
type flight struct {
	message *discovery.DeltaDiscoveryResponse
	// nonce is "" until the response is written.
	nonce   string
	sent    []*Resource
	removed []string
	// again tells that it has what was refused before.
	again bool
}

func newStream(node *corev3.Node, observe observer) *stream {
	now := time.Now()
	s := &stream{
		node: node, since: now, observe: observe, pendingSince: now,
		types: map[string]*typeState{},
	}
	for _, t := range types() {
		s.types[t] = &typeState{
			held: map[string]*Resource{}, refused: map[string]Refusal{},
			again: map[string]bool{}, touch: map[string]bool{},
		}
	}
	return s
}

// open takes an Envoy's question in place of its last one of that type, and returns what takes it back.
func (s *stream) open(w *watch) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.types[w.req.GetTypeUrl()]
	if t.asked {
		for _, name := range w.req.GetResourceNamesSubscribe() {
			t.again[name] = true
		}
	}
	for name, version := range w.req.GetInitialResourceVersions() {
		if !t.asked {
			t.held[name] = s.published(w.req.GetTypeUrl(), name, version)
		}
	}
	for _, name := range w.req.GetResourceNamesUnsubscribe() {
		delete(t.held, name)
		delete(t.again, name)
	}
	t.asked = true
	t.watch = w
	s.advance()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.watch == w {
			t.watch = nil
		}
	}
}

// published is the published resource of that name where it has that version, else nil.
func (s *stream) published(typeURL, name, version string) *Resource {
	if r := s.target[typeURL][name]; r != nil && r.Version() == version {
		return r
	}
	return nil
}

// publish makes what target returns what the Envoy is to have. It is asked with the stream locked, so that of two
// publishers the later can't be undone by the earlier.
func (s *stream) publish(target func() Resources) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target = target()
	if s.pendingSince.IsZero() {
		s.pendingSince = time.Now()
	}
	s.advance()
}

// close ends the timers. No question is open any more.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes.reset()
	s.removals.reset()
	if s.repeat != nil {
		s.repeat.Stop()
		s.repeat = nil
	}
}

// written notes the nonce under which a response goes out.
func (s *stream) written(message *discovery.DeltaDiscoveryResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.types[message.GetTypeUrl()].flights {
		if f.message == message {
			f.nonce = message.GetNonce()
		}
	}
}

// answered takes an Envoy's ACK or NACK of the response whose nonce it carries. The question that follows in the same
// request advances the stream.
func (s *stream) answered(req *discovery.DeltaDiscoveryRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.types[req.GetTypeUrl()]
	i := slices.IndexFunc(t.flights, func(f *flight) bool { return f.nonce == req.GetResponseNonce() })
	if i < 0 {
		return
	}
	f := t.flights[i]
	t.flights = slices.Delete(t.flights, i, i+1)
	names := refusedNames(f, req)
	for _, r := range f.sent {
		if name := r.Wire.GetName(); !slices.Contains(names, name) {
			t.held[name] = r
			delete(t.refused, name)
		}
	}
	for _, name := range f.removed {
		if !slices.Contains(names, name) {
			delete(t.held, name)
			delete(t.refused, name)
		}
	}
	if req.GetErrorDetail() != nil {
		s.observe.refusedBy(s.node, req.GetTypeUrl(), t.refuse(f, req, names))
		s.repeatLater()
	}
}
