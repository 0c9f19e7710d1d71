package ecssim

import (
	"fmt"
	"time"
)

// keptEvents are how many events of a service are shown. Source: Amazon ECS API reference, Service: the newest 100.
const keptEvents = 100

// serviceEvent is an event of a service, as its scheduler writes them.
// Source: Amazon ECS developer guide, "Amazon ECS service event messages".
type serviceEvent struct {
	id      string
	at      time.Time
	message string
}

// tell writes an event of a service.
func (w *World) tell(s *service, format string, args ...any) {
	w.told++
	s.events = append(s.events, serviceEvent{
		id: fmt.Sprintf("%08x-0000-4000-8000-%012x", w.told, w.told), at: w.now,
		message: fmt.Sprintf("(service %s) ", s.name) + fmt.Sprintf(format, args...),
	})
	s.events = s.events[max(0, len(s.events)-keptEvents):]
}

type eventAnswer struct {
	ID        string `json:"id"`
	CreatedAt *epoch `json:"createdAt"`
	Message   string `json:"message"`
}

// events are a service's events as a call sees them, the newest first.
func (v *view) events(s *service) []eventAnswer {
	all := []eventAnswer{}
	for i := len(s.events) - 1; i >= 0; i-- {
		if e := s.events[i]; !e.at.After(v.at) {
			all = append(all, eventAnswer{e.id, at(e.at), e.message})
		}
	}
	return all
}
