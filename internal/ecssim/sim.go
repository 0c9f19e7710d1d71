package ecssim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Sim is a world with its server and its timeline, running in real time (or in a test's virtual one).
type Sim struct {
	World  *World
	Server *Server
	// Timeline are the file's steps.
	Timeline []FileStep
	start    time.Time
	known    map[string][]string
}

// New makes a Sim of a file. Its time begins now.
func New(f *File) (*Sim, error) { return NewAt(f, time.Now()) }

// NewAt makes a Sim of a file whose time began at start, so that its tasks may have run for a while.
func NewAt(f *File, start time.Time) (*Sim, error) {
	w, err := f.World(start)
	if err != nil {
		return nil, err
	}
	o := Options{Polite: f.Polite, Unthrottled: f.Unlimited, Latency: f.Latency, Seed: f.Seed, AccessKeys: f.AccessKeys}
	server := NewServer(w, o)
	for _, action := range f.Denied {
		server.Deny(action, true)
	}
	return &Sim{World: w, Server: server, Timeline: f.Timeline, start: start, known: f.known()}, nil
}

// Run lets time pass and the timeline happen until the context ends. Said is told each step as it happens; nil for nobody.
func (s *Sim) Run(ctx context.Context, said func(FileStep)) error {
	steps := slices.Clone(s.Timeline)
	slices.SortStableFunc(steps, func(a, b FileStep) int { return cmp.Compare(a.At, b.At) })
	for {
		now := time.Now()
		s.World.Advance(now)
		for len(steps) > 0 && !s.start.Add(steps[0].At).After(now) {
			if err := s.Do(steps[0]); err != nil {
				return fmt.Errorf("the timeline at %s: %w", steps[0].At, err)
			}
			if said != nil {
				said(steps[0])
			}
			steps = steps[1:]
		}
		next := now.Add(time.Second)
		if at, something := s.World.Next(); something && at.Before(next) {
			next = at
		}
		if len(steps) > 0 && s.start.Add(steps[0].At).Before(next) {
			next = s.start.Add(steps[0].At)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(next)):
		}
	}
}
