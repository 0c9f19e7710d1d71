package envoy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

const patience = 30 * time.Second

// within fails the test where the condition doesn't come true.
func within(t *testing.T, what string, condition func() bool) {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-late:
			t.Fatalf("%s: not within %s", what, patience)
		case <-tick.C:
		}
	}
}

// state is a process's state as the kernel names it: Z is one that ended and that nobody asked for its status, T one that
// is suspended. It is 0 where there is none.
func state(pid int) byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, found := bytes.Cut(stat, []byte(") "))
	if err != nil || !found || len(after) == 0 {
		return 0
	}
	return after[0]
}

func lives(pid int) bool {
	s := state(pid)
	return s != 0 && s != 'Z' && s != 'X'
}

// waitServing waits until Envoy has started and minds signals.
func waitServing(t *testing.T, p *envoy.Process) {
	t.Helper()
	within(t, "Envoy serves", func() bool { return strings.Contains(p.Log(), "starting main dispatch loop") })
}

func start(t *testing.T, o envoy.ProcessOptions) *envoy.Process {
	t.Helper()
	o.Path = envoytest.Path(t)
	p, err := envoy.Start(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Kill()
		<-p.Done()
	})
	return p
}

func TestStopEndsEnvoyWithSIGTERM(t *testing.T) {
	var stderr bytes.Buffer
	p := start(t, envoy.ProcessOptions{Bootstrap: []byte(standalone), Concurrency: 1, Stderr: &stderr})
	if !lives(p.PID()) {
		t.Fatalf("after Start the process %d doesn't live", p.PID())
	}
	waitServing(t, p)
	for range 2 {
		if err := p.Stop(t.Context()); err != nil {
			t.Errorf("Stop: %v", err)
		}
	}
	if err := p.Wait(); err != nil {
		t.Errorf("Wait after Stop: %v", err)
	}
	if lives(p.PID()) {
		t.Errorf("after Stop the process %d lives", p.PID())
	}
	if !strings.Contains(stderr.String(), "caught ENVOY_SIGTERM") || stderr.String() != p.Log() {
		t.Errorf("Envoy's log should tell of SIGTERM and be in Log too:\n%s\nLog:\n%s", stderr.String(), p.Log())
	}
}

func TestStopKillsAnEnvoyThatDoesNotEnd(t *testing.T) {
	p := start(t, envoy.ProcessOptions{Bootstrap: []byte(standalone), Concurrency: 1})
	waitServing(t, p)
	suspend(t, p.PID())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := p.Stop(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("Stop says %v, want that Envoy was killed", err)
	}
	if lives(p.PID()) {
		t.Errorf("after Stop the process %d lives", p.PID())
	}
}

func TestTheEndOfTheContextEndsEnvoy(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, err := envoy.Start(ctx, envoy.ProcessOptions{Path: envoytest.Path(t), Bootstrap: []byte(standalone), Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	waitServing(t, p)
	cancel()
	if err := p.Wait(); err != nil {
		t.Errorf("Wait: %v", err)
	}
}

func TestAnEnvoyThatEndsByItselfSaysWhy(t *testing.T) {
	p := start(t, envoy.ProcessOptions{Bootstrap: []byte("nonsense: true")})
	err := p.Wait()
	if err == nil || !strings.Contains(err.Error(), "ended by itself (exit status 1)") || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("Wait says %v, want Envoy's status and complaint", err)
	}
	if err := p.Stop(t.Context()); err == nil {
		t.Error("Stop of an Envoy that failed says nothing of that")
	}
}

func TestStartNamesTheBinary(t *testing.T) {
	_, err := envoy.Start(t.Context(), envoy.ProcessOptions{Path: "/nowhere/envoy"})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/envoy") {
		t.Errorf("Start says %v, want the path", err)
	}
}

func TestOptionsReachEnvoy(t *testing.T) {
	p := start(t, envoy.ProcessOptions{
		Bootstrap: []byte(standalone), Concurrency: 3, LogLevel: "debug", Args: []string{"--log-format", "MARK %l %v"},
	})
	within(t, "three workers in a debug log of a format of our own", func() bool {
		return strings.Contains(p.Log(), "MARK debug starting worker 2\n")
	})
	if strings.Contains(p.Log(), "starting worker 3") {
		t.Error("there are more than three workers")
	}
}

func TestStdoutAndStderrAreKeptApart(t *testing.T) {
	script := filepath.Join(t.TempDir(), "envoy")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho out; echo err >&2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	p, err := envoy.Start(t.Context(), envoy.ProcessOptions{Path: script, Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err == nil || err.Error() != "Envoy ended by itself (with status 0): err" {
		t.Errorf("Wait says %v, want an end that nobody asked for, with the log's last line", err)
	}
	if stdout.String() != "out\n" || stderr.String() != "err\n" {
		t.Errorf("stdout is %q and stderr %q, want out and err", stdout.String(), stderr.String())
	}
}

func TestEnvoyDiesWithItsParent(t *testing.T) {
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"="+envoytest.Path(t))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the parent says %q", line)
	}
	if !lives(child) {
		t.Fatalf("the Envoy %d doesn't live", child)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	within(t, "Envoy is gone with its parent", func() bool { return !lives(child) })
	_ = parent.Wait()
}

// The kernel's death signal comes with the end of the thread that started the child, not of the process.
func TestEnvoyOutlivesTheThreadThatStartedIt(t *testing.T) {
	path := envoytest.Path(t)
	var p *envoy.Process
	var err error
	thread := onAThreadThatEnds(func() {
		p, err = envoy.Start(context.WithoutCancel(t.Context()),
			envoy.ProcessOptions{Path: path, Bootstrap: []byte(standalone), Concurrency: 1})
	})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the thread has ended", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
		return err != nil
	})
	waitServing(t, p)
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// onAThreadThatEnds runs f on a thread that ends with it, and returns the thread's ID.
func onAThreadThatEnds(f func()) int {
	id := make(chan int)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if syscall.Gettid() == syscall.Getpid() {
			id <- onAThreadThatEnds(f) // the process's first thread never ends; with it taken, the next one is another
			return
		}
		f()
		id <- syscall.Gettid()
	}()
	return <-id
}

// suspend makes a process deaf: it does nothing more, not even on SIGTERM.
func suspend(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	within(t, "Envoy is suspended", func() bool { return state(pid) == 'T' })
}
