package ecssim

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sets are the statuses of a service's task sets, the oldest first, and how many tasks run.
func sets(w *World) (statuses string, running int) {
	s := w.clusters["c1"].services["web"]
	var all []string
	for _, d := range s.deployments {
		all = append(all, d.status)
	}
	return strings.Join(all, " "), len(w.Tasks("c1", "web"))
}

func TestATaskSetIsDeployedBesideThePrimaryOneUntilTheSwitch(t *testing.T) {
	spec := bridgeSpec(2)
	spec.Controller, spec.Overlap = "CODE_DEPLOY", time.Minute
	w, start := worldWith(t, spec)
	type step struct {
		Statuses string
		Running  int
	}
	var got []step
	look := func(at time.Duration) {
		w.Advance(start.Add(at))
		statuses, running := sets(w)
		got = append(got, step{statuses, running})
	}
	look(10 * time.Second)
	if err := w.Deploy("c1", "web", nil); err != nil {
		t.Fatal(err)
	}
	look(5 * time.Minute)
	if err := w.SwitchPrimary("c1", "web"); err != nil {
		t.Fatal(err)
	}
	look(5*time.Minute + 30*time.Second)
	look(7 * time.Minute)
	want := []step{{"PRIMARY", 2}, {"PRIMARY ACTIVE", 4}, {"ACTIVE PRIMARY", 4}, {"PRIMARY", 2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNoPrimaryTaskSetUntilTheSwitch(t *testing.T) {
	spec := bridgeSpec(1)
	spec.Controller, spec.NoPrimary = "EXTERNAL", true
	w, start := worldWith(t, spec)
	w.Advance(start.Add(10 * time.Second))
	if statuses, _ := sets(w); statuses != "ACTIVE" {
		t.Error(statuses)
	}
	if err := w.SwitchPrimary("c1", "web"); err != nil {
		t.Fatal(err)
	}
	w.Advance(start.Add(20 * time.Second))
	if statuses, running := sets(w); statuses != "PRIMARY" || running != 1 {
		t.Errorf("%s, %d tasks", statuses, running)
	}
}

func TestTheControllerECSHasNoTaskSetsToSwitch(t *testing.T) {
	w, _ := worldWith(t, bridgeSpec(1))
	if err := w.SwitchPrimary("c1", "web"); err == nil || !strings.Contains(err.Error(), "c1/web has no task sets: its deployment controller is ECS") {
		t.Errorf("%v", err)
	}
}
