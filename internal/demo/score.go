package demo

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// score counts what becomes of the load.
type score struct {
	mu     sync.Mutex
	sent   int
	lost   int         // failed requests
	failed []*failure  // and their kinds
	recent []time.Time // of the last second's results
	// delays are the times from a task's first listening to the first request that it served; the first tasks have none, as
	// the load began after them.
	delays []time.Duration
	served map[string]bool
	begun  time.Time
	notes  []fmt.Stringer
	lines  int
}

func newScore() *score { return &score{served: map[string]bool{}, begun: time.Now()} }

// add counts a result of a task that serves since then.
func (s *score) add(r Result, since time.Time, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent == 0 {
		s.begun = r.At
	}
	s.sent++
	now := time.Now()
	s.recent = append(s.recent, now)
	for len(s.recent) > 0 && now.Sub(s.recent[0]) > time.Second {
		s.recent = s.recent[1:]
	}
	if r.Err != nil {
		s.fail(r.Path, r.Err, now)
		return
	}
	if task := r.Answer.Task; known && !s.served[task] {
		s.served[task] = true
		if since.After(s.begun) {
			delay := r.At.Add(r.Took).Sub(since)
			s.delays = append(s.delays, delay)
			s.notes = append(s.notes, line(fmt.Sprintf("%s  first answer of %s task %s, %d ms after it listens",
				now.Format(time.TimeOnly), r.Answer.Service, task[:6], delay.Milliseconds())))
		}
	}
}

// line is a note that stays as it is.
type line string

// String is the note.
func (l line) String() string { return string(l) }

func (s *score) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, line(text))
}

// lastNotes are the latest n notes, with empty ones in front.
func (s *score) lastNotes(n int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.notes[max(0, len(s.notes)-n):]
	texts := make([]string, n)
	for i, note := range last {
		texts[n-len(last)+i] = note.String()
	}
	return texts
}

// drawn notes how many lines are to be left when the drawing ends.
func (s *score) drawn(lines int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = lines
}

func (s *score) failures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// line is the score in a line.
func (s *score) line() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d requests/s, %d sent, %d failed; change to traffic: %s", len(s.recent), s.sent, s.lost, s.delay())
}

// delay is the median and the longest time from a task's listening to its first request.
func (s *score) delay() string {
	if len(s.delays) == 0 {
		return "–"
	}
	sorted := slices.Sorted(slices.Values(s.delays))
	return fmt.Sprintf("median %d ms, longest %d ms, of %d new tasks",
		sorted[len(sorted)/2].Milliseconds(), sorted[len(sorted)-1].Milliseconds(), len(sorted))
}

// below leaves the drawing behind.
func (s *score) below() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Repeat("\n", s.lines)
}

// summary is what there is to say in the end.
func (s *score) summary() string {
	line := s.line()
	s.mu.Lock()
	defer s.mu.Unlock()
	_, line, _ = strings.Cut(line, ", ")
	var b strings.Builder
	fmt.Fprintf(&b, "\nSummary: %s\n", line)
	for _, f := range s.failed {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}
