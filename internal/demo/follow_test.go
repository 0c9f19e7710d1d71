package demo

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

// startWorld runs a world and its backends until the test ends.
func startWorld(t *testing.T, text string) *ecssim.World {
	t.Helper()
	file, err := ecssim.Load([]byte("timing: {provision: 10ms, pull: 10ms, sigterm: 10ms, exit: 10ms, report: 10ms}\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := ecssim.New(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewBackends(sim.World, func(err error) { t.Error(err) }).Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return sim.World
}

// answers waits until exactly the wanted ones of these addresses answer, each as the container that is named.
func answers(t *testing.T, container string, want map[string]bool) {
	t.Helper()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var wrong []string
	for late := time.Now().Add(10 * time.Second); time.Now().Before(late); time.Sleep(10 * time.Millisecond) {
		wrong = nil
		for at, answers := range want {
			got := Get(client, "http://"+at, "/")
			if (got.Err == nil && got.Answer.Container == container) != answers {
				wrong = append(wrong, fmt.Sprintf("%s, want %v: %+v", at, answers, got))
			}
		}
		if wrong == nil {
			return
		}
	}
	t.Fatal(strings.Join(wrong, "\n"))
}

func TestBackendsListenAtBothAddressesWhileTheirContainerRuns(t *testing.T) {
	t.Parallel()
	w := startWorld(t, `
clusters:
- name: c1
  instances: [{id: i-1, address: 127.4.1.1, docker: 127.4.2.0/24}]
  services:
  - {name: web, desired: 1, network: bridge, containers: [{name: app, ports: [8080], unpublished: [9000]}, {name: side, ports: [7000]}]}
`)
	app := []string{"127.4.1.1:32768", "127.4.2.2:8080", "127.4.2.2:9000"}
	all := func(answer bool) map[string]bool {
		want := map[string]bool{}
		for _, at := range app {
			want[at] = answer
		}
		return want
	}
	answers(t, "app", all(true))
	for _, step := range []struct {
		status  string
		answers bool
	}{{"STOPPED", false}, {"RUNNING", true}, {"CREATED", false}, {"RUNNING", true}} {
		if err := w.SetContainer("c1", "web", "", "app", step.status); err != nil {
			t.Fatal(err)
		}
		answers(t, "app", all(step.answers))
		answers(t, "side", map[string]bool{"127.4.1.1:32769": true, "127.4.2.3:7000": true})
	}
	if err := w.RestartContainers("c1", "web", ""); err != nil {
		t.Fatal(err)
	}
	answers(t, "app", map[string]bool{"127.4.1.1:32768": false, "127.4.2.2:8080": false, "127.4.1.1:32770": true, "127.4.2.4:8080": true})
}
