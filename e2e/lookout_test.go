package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// TestEnvoysContainerIsFoundThroughTheOwnTask has Envoy's admin API at the docker address of the own task's container envoy.
func TestEnvoysContainerIsFoundThroughTheOwnTask(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 1)[0]
	r := inOwnTask(t, ownWorld("bridge", fmt.Sprintf("{name: envoy, unpublished: [1]}, {name: web, unpublished: [%s]}", port)),
		append(containersOf("/", "web", port), "ENVOY_CONTAINER_NAME=envoy", "NIGHTJAR_XDS_LISTEN=unix:"+filepath.Join(shortTempDir(t), "xds.sock"))...)
	r.startNightjar()
	bootstrap := r.run("bootstrap")
	if !contains(bootstrap, "address: 0.0.0.0") {
		t.Fatalf("nobody else could ask Envoy's admin API:\n%s", bootstrap)
	}
	var at string // of the container envoy
	for _, app := range r.sim.World.Apps() {
		if app.Container == "envoy" {
			at = app.Ports[0].At.Addr().String()
		}
	}
	// Envoy stands for its container by listening on its address alone, and dials a socket where nightjar isn't.
	bootstrap = strings.ReplaceAll(bootstrap, "address: 0.0.0.0", "address: "+at)
	r.envoy = envoytest.Start(t, envoytest.Options{
		Bootstrap: []byte(strings.ReplaceAll(bootstrap, "xds.sock", "other.sock")), Allow: []string{"gRPC config", "upstream connect error", "StreamAggregatedResources"},
	})
	r.eventually("the log says what is wrong", func() bool {
		return contains(r.nightjar.output(), "Envoy 1.40.0 at "+at+":"+r.settings["ENVOY_ADMIN_PORT"]+" is up") &&
			contains(r.nightjar.output(), "other.sock, mine is unix:") && contains(r.nightjar.output(), "NIGHTJAR_XDS_LISTEN")
	})
	r.envoy.Stop()
	r.envoy = envoytest.Start(t, envoytest.Options{Bootstrap: []byte(bootstrap)})
	r.waitStatus("/", http.StatusOK)
	r.eventually("ready --envoy finds it there too", func() bool { return command(r.settings, "ready", "--envoy").Run() == nil })
}

func TestTheAbsenceOfEnvoyIsOneLineOfInfo(t *testing.T) {
	t.Parallel()
	r := newRig(t, worldOf(oneService), append(services("/web", "c1/web"), "NIGHTJAR_LOG_LEVEL=info")...)
	r.startNightjar()
	about := func() []string {
		var lines []string
		for line := range strings.Lines(r.nightjar.output()) {
			if contains(line, "ENVOY_CONTAINER_NAME and ENVOY_ADMIN_PORT") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	r.eventually("the log says that no Envoy is there", func() bool { return len(about()) > 0 })
	r.startEnvoy()
	r.waitStatus("/web", http.StatusOK)
	if lines := about(); len(lines) != 1 || !contains(lines[0], "level=INFO") {
		t.Errorf("want one line of info, have %q", lines)
	}
}
