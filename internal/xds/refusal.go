package xds

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// repeatAfter is how long after a refusal the resource is sent again: what it was refused for may be over, as where another
// process had the port of a listener.
const repeatAfter = 10 * time.Second

// Refusal is an Envoy's NACK of a resource.
type Refusal struct {
	// Type is a word: cluster, endpoint, route or listener.
	Type string `json:"type"`
	Name string `json:"name"`
	// Setting is the variable that it comes from, "" where no single one is.
	Setting string `json:"setting,omitempty"`
	// Message is Envoy's.
	Message string `json:"message"`
	// At is when it was refused first, in this version and for this reason.
	At time.Time `json:"at"`
}

// Remedy says what to do about it. It is sent again by itself.
func (r Refusal) Remedy() string {
	setting := cmp.Or(r.Setting, "the variable of its port")
	switch message := strings.ToLower(r.Message); {
	case r.Type == "listener" && strings.Contains(message, "address already in use"):
		return fmt.Sprintf("Another process has its port: end that, or change %s. It is tried again every 10 s.", setting)
	case r.Type == "listener" && strings.Contains(message, "permission denied"):
		return fmt.Sprintf("Envoy's user may not use that port: change %s to one from 1024 on.", setting)
	default:
		return "Please report this, with what `nightjar render` prints."
	}
}

// refusedNames are the resources of a response that an Envoy refuses: those that its message names, or all of them where
// it names none. Envoy applies the others.
func refusedNames(f *flight, answer *discovery.DeltaDiscoveryRequest) []string {
	if answer.GetErrorDetail() == nil {
		return nil
	}
	all := slices.Clone(f.removed)
	for _, r := range f.sent {
		all = append(all, r.Wire.GetName())
	}
	named := slices.DeleteFunc(slices.Clone(all), func(name string) bool {
		return !strings.Contains(answer.GetErrorDetail().GetMessage(), name)
	})
	if len(named) == 0 {
		return all
	}
	return named
}

// refuse notes what of a response is refused, and returns what of that is news.
func (t *typeState) refuse(f *flight, answer *discovery.DeltaDiscoveryRequest, names []string) []Refusal {
	var news []Refusal
	add := func(name, setting string) Refusal {
		r := Refusal{
			Type: shortType(answer.GetTypeUrl()), Name: name, Setting: setting, Message: answer.GetErrorDetail().GetMessage(), At: time.Now(),
		}
		news = append(news, r)
		return r
	}
	for _, r := range f.sent {
		name := r.Wire.GetName()
		before, known := t.refused[name]
		same := f.again && known && before.Message == answer.GetErrorDetail().GetMessage()
		if slices.Contains(names, name) && !same {
			t.refused[name] = add(name, r.Origin)
		}
	}
	for _, name := range f.removed {
		if slices.Contains(names, name) {
			add(name, "")
		}
	}
	return news
}

// repeatLater has what the Envoy refuses sent again after a while, and again for as long as it is refused.
func (s *stream) repeatLater() {
	if s.repeat != nil || !s.refuses() {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(repeatAfter, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.repeat == timer {
			s.repeat = nil
			s.repeatRefused()
			s.repeatLater()
		}
	})
	s.repeat = timer
}

// refuses tells whether the Envoy refuses anything.
func (s *stream) refuses() bool {
	for _, t := range s.types {
		if len(t.refused) > 0 {
			return true
		}
	}
	return false
}

// repeatRefused sends again what the Envoy refuses, by itself: nothing else is refused with it. A type that has something else
// to send, or owes an answer, is left to the next time.
func (s *stream) repeatRefused() {
	for _, typeURL := range types() {
		if !s.settled(typeURL) {
			continue
		}
		t := s.types[typeURL]
		var again []*Resource
		for name := range t.refused {
			r := s.target[typeURL][name]
			if _, sent := t.watch.sub.ReturnedResources()[name]; r != nil && sent && (typeURL != RouteType || !s.lacksClusters(r)) {
				again = append(again, r)
			}
		}
		slices.SortFunc(again, func(a, b *Resource) int { return strings.Compare(a.Wire.GetName(), b.Wire.GetName()) })
		if s.send(typeURL, again, nil); len(again) > 0 {
			t.flights[len(t.flights)-1].again = true
		}
	}
	s.advance()
}
