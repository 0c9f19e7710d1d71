package virtual

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// TestRandomWorlds lets nightjar read worlds made by chance, in which things happen by chance, and holds at each moment what the
// contract promises. E2E_WORLDS is how many, E2E_WORLDS_FROM the first one's seed; E2E_WORLDS_SEED tells one of them in detail.
func TestRandomWorlds(t *testing.T) {
	fakeCredentials(t)
	from, count := setting(t, "E2E_WORLDS_FROM", 1), setting(t, "E2E_WORLDS", 300)
	if raced && os.Getenv("E2E_WORLDS") == "" {
		count = 30
	}
	seed := setting(t, "E2E_WORLDS_SEED", 0)
	if seed != 0 {
		from, count = seed, 1
	}
	failed := 0
	for n := from; n < from+count && failed < 10; n++ {
		if !t.Run(fmt.Sprint(n), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { timeline(t, n, seed != 0) }) }) {
			failed++
		}
	}
	t.Logf("%d worlds from %d on, %d failed", count, from, failed)
}

func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s is %q; want a number", name, text)
	}
	return n
}

// life is a timeline as it is lived.
type life struct {
	*account
	t        *testing.T
	world    *randomWorld
	oracle   *oracle
	nightjar *nightjar
	// asked are the calls before this nightjar, which started at born.
	asked int
	born  time.Time
	ready bool
	dry   time.Time // until when others drain the account
	tell  bool
}

// timeline lives the timeline of a seed.
func timeline(t *testing.T, seed uint64, tell bool) {
	w := newRandomWorld(seed)
	l := &life{account: newAccount(t, w.file), t: t, world: w, tell: tell}
	l.oracle = newOracle(w, l.sim)
	rest := w.happenings
	const step = 100 * time.Millisecond
	for at := time.Duration(0); at < w.end+40*time.Second; at += step {
		if l.nightjar == nil && at >= w.begin {
			l.restart()
		}
		l.step()
		for len(rest) > 0 && rest[0].at <= at {
			l.happen(rest[0])
			rest = rest[1:]
		}
		if len(l.oracle.failures()) > 0 {
			break
		}
		time.Sleep(step)
	}
	if len(l.oracle.failures()) == 0 {
		l.quiet()
	}
	if tell {
		t.Logf("%+v\nrate %g, wait %s, begin %s\n%s", *w.file, w.rate, w.wait, w.begin, strings.Join(l.nightjar.log.lines(""), ""))
		for _, r := range w.routed {
			t.Logf("routed: %+v", r)
		}
	}
	if wrong := l.oracle.failures(); len(wrong) > 0 {
		t.Errorf("%s\nTo see it in detail:\n  E2E_WORLDS_SEED=%d go test ./e2e/virtual -run TestRandomWorlds -v", strings.Join(wrong, "\n"), seed)
	}
}

// restart starts a nightjar, and ends the one before.
func (l *life) restart() {
	if l.nightjar != nil {
		l.nightjar.stop()
	}
	run := l.oracle.restarted()
	random := rand.New(rand.NewPCG(l.world.seed, uint64(run)))
	refs := make([]mesh.ServiceRef, 0, len(l.world.routed))
	for _, r := range l.world.routed {
		refs = append(refs, r.ref)
	}
	l.asked, l.born, l.ready = l.calls(), time.Now(), false
	l.nightjar = l.start(options{
		refs: refs, rate: l.world.rate, wait: l.world.wait, seen: &observed{oracle: l.oracle, run: run}, random: random.Float64,
		observe: func(m *mesh.Mesh) { l.oracle.published(run, m) },
	})
}

// calls counts all calls that the account had.
func (l *life) calls() int {
	n := 0
	for _, count := range l.sim.Server.Counts() {
		n += count
	}
	return n
}

// step holds what is to hold at each moment.
func (l *life) step() {
	if time.Now().Before(l.dry) {
		l.sim.Server.Drain()
	}
	l.oracle.check()
	if l.nightjar == nil {
		return
	}
	// "calls a second that this process may spend on AWS, all together, and the burst"; some were on their way as it started.
	if n, most := l.calls()-l.asked, 10+l.world.rate*time.Since(l.born).Seconds()+5; float64(n) > most {
		l.oracle.mu.Lock()
		l.oracle.fail("(e) %d calls; the budget is %.0f", n, most)
		l.oracle.mu.Unlock()
	}
	if time.Since(l.oracle.start)%time.Second != 0 {
		return
	}
	// "Once ready, ready until shutdown."
	r := l.nightjar.report()
	if l.ready && !r.Ready {
		l.oracle.mu.Lock()
		l.oracle.fail("(e) not ready any more: %s", r.NotReady)
		l.oracle.mu.Unlock()
	}
	l.ready = r.Ready
}

// happen lets something happen. What can't, such as killing a task where there is none, doesn't.
func (l *life) happen(h happening) {
	l.sim.World.Advance(time.Now())
	var err error
	switch {
	case h.step != nil:
		err = l.sim.Do(*h.step)
	case h.service != "":
		cluster, name, _ := strings.Cut(h.service, "/")
		err = l.sim.World.Recreate(cluster, name, h.to)
	case h.lasts > 0:
		l.dry = time.Now().Add(h.lasts)
	case l.nightjar != nil:
		l.restart()
	}
	l.oracle.happened(h)
	l.oracle.check()
	if l.tell {
		l.t.Log(h, err)
	}
}

// quiet heals all, and holds what is to hold after 90 s and two more rounds.
func (l *life) quiet() {
	l.sim.Server.Heal()
	l.dry = time.Time{}
	l.pass(90 * time.Second)
	l.oracle.again()
	for range 60 { // fewer where the budget is as AWS grants it: throttles take it down
		l.pass(10 * time.Second)
		if l.oracle.rounds() >= 2 {
			break
		}
	}
	if n := l.oracle.rounds(); n < 2 {
		l.t.Errorf("%d rounds in ten minutes of quiet", n)
	}
	l.oracle.settled()
}

// pass lets time pass.
func (l *life) pass(d time.Duration) {
	for range d / (100 * time.Millisecond) {
		if len(l.oracle.failures()) > 0 {
			return
		}
		l.step()
		time.Sleep(100 * time.Millisecond)
	}
}

// again counts the rounds anew.
func (o *oracle) again() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range o.services {
		w.described = 0
	}
}

// rounds are how many good readings there were of each service at least.
func (o *oracle) rounds() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	least := 1 << 30
	for _, w := range o.services {
		least = min(least, w.described)
	}
	return least
}
