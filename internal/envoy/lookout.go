package envoy

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// lonely is how long nightjar waits for an xDS stream before it asks: Envoy comes back within a second.
	lonely = 10 * time.Second
	// lookEvery is the pause between two asks, and lookTimeout bounds one.
	lookEvery   = 5 * time.Second
	lookTimeout = 4 * time.Second
	// lookoutTick is how often the Lookout sees whether a stream is there.
	lookoutTick = time.Second
)

// Lookout finds out why no Envoy comes: while no xDS stream is connected, it asks Envoy's admin API. It judges, and
// changes nothing.
type Lookout struct {
	// Connected tells whether an Envoy's xDS stream is connected.
	Connected func() bool
	// Where tells the address of Envoy's admin API, HOST:PORT. It is called before each ask: a container gets its address
	// when it is created.
	Where func(context.Context) (string, error)
	// Ask looks at the Envoy at an address; nil asks its admin API over TCP.
	Ask func(ctx context.Context, address string) (Sight, error)
	// XDS is where nightjar serves xDS: HOST:PORT or unix:PATH.
	XDS string
	// Bridge tells that each container has a network of its own.
	Bridge bool
	Log    *slog.Logger

	mu   sync.Mutex
	note string
}

// Note says why no Envoy comes, "" while one is connected and before anything is known.
func (l *Lookout) Note() string {
	if l.Connected() {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.note
}

// Run looks out until the context ends.
func (l *Lookout) Run(ctx context.Context) {
	tick := time.NewTicker(lookoutTick)
	defer tick.Stop()
	next := time.Now().Add(lonely)
	told := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if l.Connected() {
			next = time.Now().Add(lonely)
			clear(told)
			l.keep("")
			continue
		}
		if time.Now().Before(next) {
			continue
		}
		found := l.look(ctx)
		next = time.Now().Add(lookEvery)
		if l.Connected() || ctx.Err() != nil {
			continue
		}
		l.keep(found.text)
		if !told[found.text] {
			told[found.text] = true
			l.Log.Log(ctx, found.level, found.text, found.attributes...)
		}
	}
}

func (l *Lookout) keep(note string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note = note
}

// finding is what an ask found. Its text doesn't vary while nothing does.
type finding struct {
	level      slog.Level
	text       string
	attributes []any
}

// look asks the Envoy once.
func (l *Lookout) look(ctx context.Context) finding {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	at, err := l.Where(ctx)
	if err != nil {
		return nobody(err.Error(), nil)
	}
	ask := l.Ask
	if ask == nil {
		ask = func(ctx context.Context, address string) (Sight, error) { return Look(ctx, NewAdmin("tcp", address)) }
	}
	sight, err := ask(ctx, at)
	if err != nil {
		return nobody(fmt.Sprintf("Envoy's admin API at %s can't be asked why", at), err)
	}
	return finding{level: slog.LevelWarn, text: lonelyText(sight, at, l.XDS, l.Bridge)}
}

// nobody is the finding where no Envoy could be asked. The error goes beside the text: it may be worded anew each time.
func nobody(why string, err error) finding {
	f := finding{level: slog.LevelInfo, text: fmt.Sprintf("no xDS stream came in %.0f s, and %s: Envoy isn't up yet, or "+
		"ENVOY_CONTAINER_NAME and ENVOY_ADMIN_PORT don't say where its admin API is", lonely.Seconds(), why)}
	if err != nil {
		f.attributes = []any{"error", err}
	}
	return f
}

// lonelyText says what was seen of an Envoy that doesn't come.
func lonelyText(s Sight, at, xds string, bridge bool) string {
	j := s.Judge(xds, bridge)
	return fmt.Sprintf("Envoy %s at %s is up (%s), and no xDS stream came in %.0f s: %s: %s",
		s.Version, at, s.State, lonely.Seconds(), j.Found, j.Do)
}
