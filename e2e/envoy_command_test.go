package e2e

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

// childOf is the process that another one has started.
func childOf(t *testing.T, parent int) int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	must(t, err)
	for _, path := range tasks {
		var child int
		text, err := os.ReadFile(path)
		must(t, err)
		if n, _ := fmt.Sscan(string(text), &child); n == 1 {
			return child
		}
	}
	t.Fatalf("the process %d has no child", parent)
	return 0
}

func TestEnvoyEndsWithItsParentAndItsParentWithEnvoy(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	child := childOf(t, p.envoy.cmd.Process.Pid)
	p.signal(syscall.SIGUSR1) // Envoy opens its log files anew
	p.signal(syscall.SIGHUP)
	p.eventually("Envoy got SIGHUP and goes on", func() bool { return contains(p.envoy.output(), "SIGHUP") && p.get("/").status == http.StatusOK })
	p.signal(syscall.SIGKILL)
	p.eventually("Envoy is gone", func() bool { return syscall.Kill(child, 0) != nil })
	<-p.envoy.done

	p.startEnvoy()
	p.waitStatus("/", http.StatusOK)
	must(t, syscall.Kill(childOf(t, p.envoy.cmd.Process.Pid), syscall.SIGKILL))
	p.leaves(5*time.Second, 128+int(syscall.SIGKILL))
	if log := p.envoy.output(); !contains(log, "Envoy ended by itself (signal: killed)") {
		t.Errorf("nothing says so:\n%s", tail(log, 5))
	}

	p.startEnvoy("--", "--no-such-flag")
	p.leaves(5*time.Second, 1)
}

func TestASecondSIGTERMEndsEnvoyAtOnce(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	ended := p.streams() // would keep it
	p.signal(syscall.SIGTERM)
	p.unhealthy(time.Second)
	begin := time.Now()
	p.signal(os.Interrupt)
	if took := p.leaves(5*time.Second, 0).Sub(begin); took > time.Second {
		t.Errorf("it takes %s", took)
	}
	ended()
}

// TestEnvoyThatCanNotBeAskedIsStoppedInTime has an Envoy that is suspended.
func TestEnvoyThatCanNotBeAskedIsStoppedInTime(t *testing.T) {
	t.Parallel()
	p := startPair(t, "NIGHTJAR_DRAIN_TIME=2s")
	must(t, syscall.Kill(childOf(t, p.envoy.cmd.Process.Pid), syscall.SIGSTOP))
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	if took := p.leaves(5*time.Second, 1).Sub(begin); took > 3500*time.Millisecond {
		t.Errorf("it takes %s", took)
	}
	for _, want := range []string{"Envoy's admin API (ENVOY_ADMIN_PORT) can't be asked to drain", "it did not end on SIGTERM in time and was killed"} {
		if log := p.envoy.output(); !contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, tail(log, 10))
		}
	}
}

// TestWithoutAMetadataEndpointEnvoyLeavesWhenNothingComes is Envoy outside of ECS.
func TestWithoutAMetadataEndpointEnvoyLeavesWhenNothingComes(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	p.settings["ECS_CONTAINER_METADATA_URI_V4"] = ""
	p.signal(syscall.SIGTERM)
	p.leaves(20*time.Second, 0)
	p.startEnvoy()
	p.waitStatus("/", http.StatusOK)
	requests, egress := p.inFlight(5), p.steadyEgress()
	p.signal(syscall.SIGTERM)
	p.unhealthy(time.Second)
	requests()
	if egress() == 0 {
		t.Error("egress doesn't work")
	}
	begin := time.Now()
	if took := p.leaves(20*time.Second, 0).Sub(begin); took > 6*time.Second {
		t.Errorf("it ends %s after the last request", took)
	}
}

// TestAMetadataEndpointThatFailsIsToldOnceAndAskedOn has a task that stops after that.
func TestAMetadataEndpointThatFailsIsToldOnceAndAskedOn(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	const told = "what the own task does isn't known"
	must(t, p.sim.Server.Inject(ecssim.Fault{Kind: ecssim.ServerError, Action: "metadata"}))
	p.eventually("the fault is told", func() bool { return contains(p.envoy.output(), told) })
	p.stop(true)
	p.eventually("the app has stopped, which takes longer than the pause between two questions", p.stopped)
	p.sim.Server.Heal()
	p.within(3*time.Second, "the drain begins", func() bool { return contains(p.envoy.output(), "the task is being stopped") })
	p.signal(syscall.SIGTERM)
	p.leaves(5*time.Second, 0)
	if log := p.envoy.output(); strings.Count(log, told) != 1 {
		t.Errorf("the log:\n%s", tail(log, 10))
	}
}

// TestAnEnvoyThatNeverServedEndsAtOnce has no control plane.
func TestAnEnvoyThatNeverServedEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	p.signal(syscall.SIGTERM)
	p.leaves(20*time.Second, 0)
	p.stopNightjar(syscall.SIGTERM)
	p.startEnvoy()
	for late := time.Now().Add(patience); !contains(p.envoy.output(), "starting main dispatch loop"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("Envoy doesn't start")
		}
	}
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	if took := p.leaves(5*time.Second, 0).Sub(begin); took > time.Second {
		t.Errorf("it takes %s", took)
	}
}

// TestEnvoyRunsWhereNothingCanBeWritten also has arguments for Envoy, and the health check of Envoy's container.
func TestEnvoyRunsWhereNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings := []string{}
	for _, name := range []string{"HOME", "TMPDIR", "XDG_CACHE_HOME"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o500))
		settings = append(settings, name+"="+filepath.Join(dir, name))
	}
	listing := func() (all []string) {
		must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			all = append(all, path)
			return err
		}))
		return all
	}
	p := startPair(t)
	p.signal(syscall.SIGTERM)
	p.leaves(20*time.Second, 0)
	before := listing()
	cmd := command(p.settings, "envoy", "--", "--concurrency", "1", "--log-level", "warning")
	cmd.Dir, cmd.Env = dir, append(cmd.Env, settings...)
	p.envoy = p.spawn(cmd)
	p.waitStatus("/", http.StatusOK)
	if err := command(p.settings, "ready", "--envoy").Run(); err != nil {
		t.Errorf("Envoy's health check: %v", err)
	}
	p.signal(syscall.SIGTERM)
	p.unhealthy(time.Second)
	if err := command(p.settings, "ready", "--envoy").Run(); err == nil {
		t.Error("Envoy's health check is good while it drains")
	}
	if err := command(p.settings, "ready").Run(); err != nil {
		t.Errorf("once ready, ready: nightjar's health check, while Envoy drains: %v", err)
	}
	p.leaves(20*time.Second, 0)
	if after := listing(); !slices.Equal(before, after) {
		t.Errorf("something was written: %v", after)
	}
	log := p.envoy.output()
	if contains(log, "[info]") {
		t.Errorf("the log level didn't reach Envoy:\n%s", tail(log, 5))
	}
	for _, step := range []string{"Envoy starts", "Envoy is ready", "the health path answers 503", "ingress takes no new connection", "Envoy has ended"} {
		_, rest, found := strings.Cut(log, step)
		if log = rest; !found {
			t.Errorf("it doesn't say %q in its place:\n%s", step, p.envoy.output())
		}
	}
}

func TestASecondEnvoyInOneNetwork(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	first := p.envoy
	p.startEnvoy()
	<-p.envoy.done
	if got, log := p.envoy.cmd.ProcessState.ExitCode(), p.envoy.output(); got != 1 ||
		!contains(log, "ENVOY_ADMIN_PORT: the address 127.0.0.1:"+p.settings["ENVOY_ADMIN_PORT"]+" is taken") {
		t.Errorf("with the same admin port it ends with %d:\n%s", got, log)
	}
	p.settings["ENVOY_ADMIN_PORT"] = freePorts(t, 1)[0]
	p.startEnvoy() // in another network mode than host, listeners may be shared
	p.eventually("the second one is up", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+p.settings["ENVOY_ADMIN_PORT"])
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	must(t, first.cmd.Process.Signal(syscall.Signal(0)))
}

func TestEnvoyTakesArgumentsAfterTwoDashesAlone(t *testing.T) {
	t.Parallel()
	r := &trial{t, &rig{t: t}}
	if _, stderr, status := r.try([]string{"envoy", "--log-level", "debug"}); status != 2 || !contains(stderr, "no flag --log-level") {
		t.Errorf("status %d\n%s", status, stderr)
	}
	if _, stderr, status := r.try([]string{"envoy", "more"}); status != 2 || !contains(stderr, `unexpected argument "more"`) {
		t.Errorf("status %d\n%s", status, stderr)
	}
	if _, stderr, status := r.try([]string{"serve", "--", "more"}); status != 2 || !contains(stderr, `unexpected argument "more"`) {
		t.Errorf("status %d\n%s", status, stderr)
	}
	if _, stderr, status := r.try([]string{"envoy"}, "NIGHTJAR_ENVOY_PATH=/nowhere"); status != 1 || !contains(stderr, "NIGHTJAR_ENVOY_PATH") {
		t.Errorf("status %d\n%s", status, stderr)
	}
	// Away from the source tree, without a home folder.
	cmd := exec.Command(os.Args[0], "envoy")
	cmd.Dir, cmd.Env = t.TempDir(), []string{asNightjar + "=1", "PATH=/nowhere"}
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 1 || !contains(string(out), "found no Envoy 1.40.x on PATH") {
		t.Errorf("%s\n%s", cmd.ProcessState, out)
	}
}
