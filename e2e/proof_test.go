package e2e

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// proofFull is the value of E2E_PROOF with which make proof runs all of it.
const proofFull = "full"

// TestDeploymentsWithoutAFailedRequest is the proof: what happens to a service under load, and that no request fails in it but
// those that no proxy can save. docs/deployments.md has its results. By default it runs 2,000 requests a scenario, read every
// second; make proof runs all. With the race detector one scenario runs, as the load takes what that leaves.
// By default nightjar is not restarted where a plain Envoy loses nothing either.
func TestDeploymentsWithoutAFailedRequest(t *testing.T) {
	p := &proof{full: os.Getenv("E2E_PROOF") == proofFull}
	if !p.full {
		t.Log("left out but in make proof: polls of 5 s, the overlaps that are too short, nightjar restarted where tasks leave gently, and that " +
			"a hung app without SERVICE_TIMEOUT_X is given up after 300 s")
	}
	silent := p.hangWithoutTimeout(t)
	for _, c := range p.trials() {
		t.Run(c.title(), func(t *testing.T) {
			r := c.run(t)
			if r.tooKind() {
				t.Log("once more, as an Envoy with plain defaults lost nothing either: the service was read just after SIGTERM")
				r = c.run(t)
			}
			p.judge(t, r)
		})
	}
	t.Run("a host is lost", p.loseHost)
	t.Run("an app hangs", func(t *testing.T) { p.hang(t, silent) })
	p.conclude(t)
	if page := os.Getenv("E2E_PROOF_PAGE"); page != "" && !t.Failed() {
		p.write(t, page)
	}
}

// proof is a run of the whole.
type proof struct {
	full    bool
	results []result
	lost    lostHost
	hung    []hungApp
}

// trials are those of the proof, in the order of the tables.
func (p *proof) trials() []*proofRun {
	polls, requests := []time.Duration{time.Second}, 2000
	if p.full {
		polls, requests = []time.Duration{time.Second, 5 * time.Second}, 10_000
	}
	if raced {
		// Beside the race detector there is no processor left for 500 requests a second at two Envoys.
		return []*proofRun{{scenario: scenarios()[0], requests: requests, poll: time.Second, protocol: "http1", overlap: 6 * time.Second}}
	}
	var all []*proofRun
	for _, s := range scenarios() {
		for _, poll := range polls {
			all = append(all, &proofRun{scenario: s, requests: requests, poll: poll, protocol: "http1", plain: true})
		}
		if s.kills {
			continue
		}
		all = append(all, &proofRun{scenario: s, requests: requests, poll: time.Second, protocol: "http1", twoHops: true})
		if p.full || !s.harmless() {
			all = append(all, &proofRun{scenario: s, requests: requests, poll: time.Second, protocol: "http1", restart: true})
		}
	}
	for _, poll := range polls {
		all = append(all, &proofRun{scenario: scenarios()[0], requests: requests, poll: poll, protocol: "http2"})
	}
	for _, c := range all {
		c.overlap = c.safeOverlap()
	}
	if !p.full {
		return all
	}
	for _, s := range scenarios()[:2] {
		for _, d := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second} {
			all = append(all, &proofRun{scenario: s, requests: requests, poll: time.Second, protocol: "http1", overlap: d})
		}
	}
	return all
}

// safeOverlap is a D that is long enough: a poll and a second more, and another one for a busy machine. What keeps new tasks from
// serving comes on top.
func (c *proofRun) safeOverlap() time.Duration {
	d := c.poll + 2*time.Second + c.opens
	if c.restart {
		d += 2 * time.Second
	}
	return d
}

func (c *proofRun) title() string {
	title := fmt.Sprintf("%s, poll %s, D %s, %s", c.name, c.poll, c.overlap, c.protocol)
	if c.twoHops {
		title += ", two hops"
	}
	if c.restart {
		title += ", nightjar restarted"
	}
	return title
}

// promised tells whether the result is to be without a failure: where there is a D, it is at least a poll, as it was measured, and
// a second.
func (r result) promised() bool { return !r.overlaps || r.overlap >= r.longest+time.Second }

// tooKind tells that an Envoy with plain defaults lost nothing either, where it should have. By chance that is so where the service
// was read some milliseconds after SIGTERM.
func (r result) tooKind() bool {
	return r.plain && !r.harmless() && r.bare.failedGet+r.bare.failedPost == 0
}

// judge holds a result against what is promised.
func (p *proof) judge(t *testing.T, r result) {
	t.Helper()
	p.results = append(p.results, r)
	t.Logf("poll %.2f s, %d sent at most %d ms late; failed: %d GET, %d POST, and %d POST at a closing connection; plain defaults: %d GET, %d POST",
		r.longest.Seconds(), r.ours.sent, r.latest.Milliseconds(), r.ours.failedGet, r.ours.failedPost, r.ours.raced, r.bare.failedGet, r.bare.failedPost)
	if r.latest > time.Second {
		t.Errorf("a request was sent %s late: this machine is too busy for %d requests a second", r.latest, proofRate)
	}
	switch {
	case r.promised():
		if r.ours.failedGet+r.ours.failedPost > 0 {
			t.Errorf("of %d requests %d GET and %d POST failed; one: %s", r.ours.sent, r.ours.failedGet, r.ours.failedPost, r.ours.example)
		}
		if r.ours.raced > 0 && (r.harmless() || r.protocol == "http2") {
			t.Errorf("%d POST met a closing connection, where none closes", r.ours.raced)
		}
	case r.overlap >= r.safeOverlap():
		t.Errorf("the service was not read for %s, too long for D = %s: this machine is too busy to prove anything", r.longest, r.overlap)
	}
	if r.tooKind() {
		t.Error("an Envoy with plain defaults loses nothing either: the scenario is too kind")
	}
}

// closing counts the stops of apps that close their port at SIGTERM, and the POSTs that met that.
func (p *proof) closing() (stops, met int) {
	for _, r := range p.results {
		if r.harmless() || r.kills || r.protocol != "http1" || !r.promised() {
			continue
		}
		stops += r.stops
		met += r.ours.raced
	}
	return stops, met
}

// conclude judges what concerns all of it, and says it.
func (p *proof) conclude(t *testing.T) {
	t.Helper()
	stops, met := p.closing()
	t.Logf("POSTs that met a closing connection: %d in %d stops", met, stops)
	if p.full && (stops < 50 || 5*met > stops) {
		t.Errorf("%d POSTs met a closing connection in %d stops; want at most one for 5 stops, of at least 50", met, stops)
	}
}
