package virtual

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

// TestAFleetLeavesTheAccountToItsOwners runs 60 sidecars beside somebody else for ten minutes: a start of all at once, quiet
// minutes, and changes.
func TestAFleetLeavesTheAccountToItsOwners(t *testing.T) {
	fakeCredentials(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, population{services: 3, tasks: 20, sidecar: "nightjar"})
		others := f.bystanders()
		f.beside(f.watch)
		f.join(60)
		took := within(t, time.Minute, "60 ready sidecars", func() bool { return f.ready() == 60 })
		t.Logf("crowd start: ready after %s, throttled %s; bystanders %s and %s", took, f.calls.now(), others.tasks.now(), others.services.now())

		time.Sleep(time.Minute)
		before := f.calls.now()
		time.Sleep(3 * time.Minute)
		quiet := f.calls.now().since(before)
		t.Logf("quiet: %.1f calls/s, throttled %s", float64(quiet.all)/180, quiet)
		if quiet.percent() >= 1 {
			t.Errorf("while nothing changes %s calls are throttled", quiet)
		}

		changes, before := time.Now(), f.calls.now()
		f.happens(
			ecssim.FileStep{Do: "scale", Service: "c1/s00", To: new(21)}, ecssim.FileStep{Do: "kill", Service: "c1/s01"},
			ecssim.FileStep{Do: "deploy", Service: "c1/s02"}, ecssim.FileStep{Do: "scale", Service: "c1/s00", To: new(15)},
			ecssim.FileStep{Do: "stop", Service: "c1/s00"}, ecssim.FileStep{Do: "scale", Service: "c1/s00", To: new(25)},
		)
		routed := f.routed(changes)
		at := func(percent int) time.Duration { return routed[min(len(routed)-1, len(routed)*percent/100)] }
		t.Logf("%d changes routed: half within %s, 99 %% within %s, all within %s; throttled %s",
			len(routed), at(50), at(99), at(100), f.calls.now().since(before))
		if at(99) > 20*time.Second {
			t.Errorf("1 %% of the changes were routed after %s only", at(99))
		}
		others.unharmed(t)
	})
}

// happens lets things happen, one every 45 s.
func (f *fleet) happens(steps ...ecssim.FileStep) {
	f.t.Helper()
	for _, step := range steps {
		if err := f.sim.Do(step); err != nil {
			f.t.Fatal(err)
		}
		time.Sleep(45 * time.Second)
	}
}

// unharmed fails where bystanders were throttled.
func (b *bystanders) unharmed(t *testing.T) {
	t.Helper()
	for bucket, who := range map[string]*bystander{"tasks": &b.tasks, "services": &b.services} {
		got := who.now()
		t.Logf("a bystander on the bucket of %s: throttled %s", bucket, got)
		if got.percent() >= 2 {
			t.Errorf("of the calls of a bystander on the bucket of %s %s are throttled", bucket, got)
		}
	}
}

// TestAHundredSidecarsStartAtOnce is a deployment, or the return of a zone.
func TestAHundredSidecarsStartAtOnce(t *testing.T) {
	fakeCredentials(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, population{services: 5, tasks: 20, sidecar: "nightjar"})
		others := f.bystanders()
		f.join(100)
		took := within(t, 2*time.Minute, "100 ready sidecars", func() bool { return f.ready() == 100 })
		t.Logf("ready after %s, throttled %s", took, f.calls.now())
		if took > time.Minute {
			t.Errorf("ready after %s", took)
		}
		time.Sleep(time.Minute)
		others.unharmed(t)
	})
}

// TestSidecarsThatSeeNothingOfEachOther measures what docs/scale.md says of them: they have but the budget that halves when AWS throttles.
func TestSidecarsThatSeeNothingOfEachOther(t *testing.T) {
	fakeCredentials(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, population{services: 3, tasks: 20, sidecar: "mesh"})
		others := f.bystanders()
		f.join(60)
		took := within(t, 2*time.Minute, "60 ready sidecars", func() bool { return f.ready() == 60 })
		t.Logf("ready after %s, throttled %s", took, f.calls.now())
		for range 2 {
			before, tasks, services := f.calls.now(), others.tasks.now(), others.services.now()
			time.Sleep(time.Minute)
			spent := f.calls.now().since(before)
			t.Logf("a minute: %.1f calls/s, throttled %s; bystanders: tasks %s, services %s",
				float64(spent.all)/60, spent, others.tasks.now().since(tasks), others.services.now().since(services))
			if spent.percent() > 10 || f.ready() != 60 {
				t.Errorf("throttled %s; %d serve all", spent, f.ready())
			}
		}
	})
}

// TestReadersWithoutABudgetStarveOthers shows that the simulated account is no kinder than AWS.
func TestReadersWithoutABudgetStarveOthers(t *testing.T) {
	fakeCredentials(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, population{services: 3, tasks: 20, sidecar: "nightjar"})
		others := f.bystanders()
		var calls callers
		for range 60 {
			f.beside(func(ctx context.Context) { f.naive(ctx, &calls) })
		}
		time.Sleep(45 * time.Second)
		got := others.tasks.now()
		t.Logf("naive readers: throttled %s; the bystander %s", calls.now(), got)
		if got.percent() <= 20 {
			t.Errorf("beside 60 readers without a budget only %s calls of a bystander are throttled", got)
		}
	})
}
