package ecssim

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestATaskStopsInTheOrderOfItsContainers(t *testing.T) {
	w, s, pass := load(t, strings.Replace(dockerWorld, "clusters:", "timing: {exit: 2s}\nclusters:", 1))
	task := w.Tasks("c1", "web")[0]
	shown := func() string {
		m := metadataOf(t, s, "/v4/"+task+"/task")
		return fmt.Sprint(m["DesiredStatus"], " ", m["KnownStatus"], " ", containersOf(t, s, task))
	}
	phase := func(container string) string {
		for _, a := range w.Apps() {
			if a.Task == task && a.Container == container {
				return []string{"starting", "serving", "terminating", "dead"}[a.Phase]
			}
		}
		return "gone"
	}
	for _, step := range []struct {
		do   func() error
		pass time.Duration
		want string
	}{
		{func() error { return w.StopInOrder("c1", "web", task) }, time.Hour, "STOPPED DEACTIVATING [app RUNNING [127.3.2.2] side RUNNING [127.3.2.3]] serving serving"},
		{func() error { return w.StopContainer("c1", "web", task, "app") }, time.Second, "STOPPED STOPPING [app RUNNING [127.3.2.2] side RUNNING [127.3.2.3]] terminating serving"},
		{nil, time.Second, "STOPPED STOPPING [app STOPPED [127.3.2.2] side RUNNING [127.3.2.3]] gone serving"},
		{func() error { return w.StopContainer("c1", "web", task, "side") }, 3 * time.Second, "STOPPED STOPPED [app STOPPED side STOPPED] gone gone"},
	} {
		if step.do != nil {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
		}
		pass(step.pass)
		if got := shown() + " " + phase("app") + " " + phase("side"); got != step.want {
			t.Errorf("%s\nwant\n%s", got, step.want)
		}
	}
	if left := w.Tasks("c1", "web"); len(left) != 1 {
		t.Errorf("the service wants one task less: %v", left)
	}
	for _, err := range []error{
		w.StopInOrder("c1", "web", task), w.StopContainer("c1", "web", task, "app"), w.StopContainer("c1", "none", task, "app"),
		w.StopContainer("c1", "web", w.Tasks("c1", "web")[0], "app"),
	} {
		if err == nil {
			t.Error("a stop of what doesn't stop is taken")
		}
	}
}
