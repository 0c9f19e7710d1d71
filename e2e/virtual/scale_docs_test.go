package virtual

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

// scaleDocs has the table of what is measured here.
const scaleDocs = "../../docs/scale.md"

// cell is a row of that table: what so many sidecars cost and get, that all read so many services with 20 tasks each.
type cell struct{ sidecars, services int }

// slowest is how long it is waited until all sidecars are ready.
const slowest = 5 * time.Minute

// measured is what a cell came out as.
type measured struct {
	ready, quiet, routed        time.Duration
	throttled, tasks, bystander float64 // percent: of the sidecars' calls, and of bystanders' on each bucket
}

func (c cell) prefix() string { return fmt.Sprintf("| %d | %d |", c.sidecars, c.services) }

func (m measured) row(c cell) string {
	return fmt.Sprintf("%s %.1f s | %s | %s | %.1f %% | %.1f %% / %.1f %% |",
		c.prefix(), m.quiet.Seconds(), orOver(m.routed, 45*time.Second), orOver(m.ready, slowest-time.Second), m.throttled, m.tasks, m.bystander)
}

// orOver is a time, or that it is over the longest that is waited for.
func orOver(d, most time.Duration) string {
	if d > most {
		return fmt.Sprintf("over %.0f s", most.Seconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

// cells are all rows.
func cells() []cell {
	var all []cell
	for _, sidecars := range []int{1, 10, 30, 60, 100, 200, 400} {
		for _, services := range []int{1, 3, 10, 30} {
			all = append(all, cell{sidecars, services})
		}
	}
	return all
}

// measure lets the sidecars start at once, and then things happen. They are the tasks of one more service.
func (c cell) measure(t *testing.T) measured {
	t.Helper()
	var m measured
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, population{services: c.services, tasks: 20, sidecar: "envoy", clients: c.sidecars})
		others := f.bystanders()
		f.beside(f.watch)
		f.join(c.sidecars)
		begin := time.Now()
		for f.ready() < c.sidecars && time.Since(begin) < slowest {
			time.Sleep(time.Second)
		}
		m.ready = time.Since(begin)
		time.Sleep(2 * time.Minute)
		changes, before, tasks, services := time.Now(), f.calls.now(), others.tasks.now(), others.services.now()
		f.happens(
			ecssim.FileStep{Do: "scale", Service: "c1/s00", To: new(21)}, ecssim.FileStep{Do: "kill", Service: "c1/s00"},
			ecssim.FileStep{Do: "deploy", Service: "c1/s00"},
		)
		routed := f.routed(changes)
		m.routed = routed[len(routed)*99/100]
		m.quiet = f.members[0].inventory.Pace().Every.Services
		m.throttled = f.calls.now().since(before).percent()
		m.tasks, m.bystander = others.tasks.now().since(tasks).percent(), others.services.now().since(services).percent()
	})
	return m
}

// TestTheTableOfScale prints the table anew with E2E_FLEET_TABLE=1. Else it checks that docs/scale.md has all of it, and of two
// rows that they are so.
func TestTheTableOfScale(t *testing.T) {
	fakeCredentials(t)
	if os.Getenv("E2E_FLEET_TABLE") != "" {
		for _, c := range cells() {
			t.Run(fmt.Sprintf("%dx%d", c.sidecars, c.services), func(t *testing.T) { fmt.Println(c.measure(t).row(c)) })
		}
		return
	}
	text, err := os.ReadFile(scaleDocs)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cells() {
		_, rest, found := strings.Cut(string(text), "\n"+c.prefix()+" ")
		if !found {
			t.Errorf("docs/scale.md has no row %s", c.prefix())
			continue
		}
		if c == (cell{10, 1}) || c == (cell{30, 3}) {
			row, _, _ := strings.Cut(rest, "\n")
			c.compare(t, row)
		}
	}
}

// compare checks a row of the docs.
func (c cell) compare(t *testing.T, row string) {
	t.Helper()
	var quiet, routed, ready, throttled, tasks, services float64
	if _, err := fmt.Sscanf(row, "%f s | %f s | %f s | %f %% | %f %% / %f %% |", &quiet, &routed, &ready, &throttled, &tasks, &services); err != nil {
		t.Fatalf("docs/scale.md: the row %s %s: %v", c.prefix(), row, err)
	}
	m := c.measure(t)
	t.Log(m.row(c))
	for what, is := range map[string]struct{ said, measured, give float64 }{
		"a quiet service is described every": {quiet, m.quiet.Seconds(), 0.1},
		"changes are routed within":          {routed, m.routed.Seconds(), 4},
		"all are ready after":                {ready, m.ready.Seconds(), 8},
		"throttled":                          {throttled, m.throttled, 0.5},
		"throttled of bystanders":            {max(tasks, services), max(m.tasks, m.bystander), 1},
	} {
		if off := is.said - is.measured; off > is.give || off < -is.give {
			t.Errorf("docs/scale.md: %s %s: says %.1f, measured %.1f", c.prefix(), what, is.said, is.measured)
		}
	}
}
