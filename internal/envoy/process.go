package envoy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// killDelay is how long an Envoy has between SIGTERM and SIGKILL when the context it was started with ends.
const killDelay = 5 * time.Second

// ProcessOptions say how Envoy is started.
type ProcessOptions struct {
	// Path is Envoy's binary, as Find returns it.
	Path string
	// Bootstrap is its configuration, YAML.
	Bootstrap []byte
	// Concurrency is its number of worker threads; 0 is Envoy's default, one a core.
	Concurrency int
	// LogLevel is one of Envoy's: trace, debug, info, warning, error, critical, off; "" is info.
	LogLevel string
	// Args go to Envoy as they are, after all others.
	Args []string
	// Stdout and Stderr get what Envoy writes (its log is on stderr, access logs mostly on stdout); nil throws it away.
	// Neither may block for long: Envoy would wait.
	Stdout, Stderr io.Writer
}

// Process is an Envoy that runs as a child of this process. On Linux it can't outlive its parent, however that ends.
type Process struct {
	cmd      *exec.Cmd
	log      *tail
	stopping atomic.Bool
	done     chan struct{}
	err      error // set before done is closed
}

// Start starts an Envoy. It runs until Stop, until ctx ends (SIGTERM, and SIGKILL 5 s later) or until it fails. Start
// doesn't wait for it to be ready; see Admin.Ready.
func Start(ctx context.Context, o ProcessOptions) (*Process, error) {
	p := &Process{log: &tail{}, done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, o.Path, arguments(o)...)
	p.cmd.Cancel = p.terminate
	p.cmd.WaitDelay = killDelay
	p.cmd.SysProcAttr = childAttributes()
	p.cmd.Stdout = o.Stdout
	p.cmd.Stderr = p.log
	if o.Stderr != nil {
		p.cmd.Stderr = io.MultiWriter(p.log, o.Stderr)
	}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting Envoy (%s): %w", o.Path, err)
	}
	return p, nil
}

func arguments(o ProcessOptions) []string {
	// Without hot restart Envoy needs no shared memory, and a second one in the same network may run.
	args := []string{"--disable-hot-restart", "--config-yaml", string(o.Bootstrap)}
	if o.Concurrency > 0 {
		args = append(args, "--concurrency", strconv.Itoa(o.Concurrency))
	}
	if o.LogLevel != "" {
		args = append(args, "--log-level", o.LogLevel)
	}
	return append(args, o.Args...)
}

// run is the child's life. It keeps one thread for all of it: on Linux the death signal of the parent is sent when the
// *thread* that started the child ends.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	err := p.cmd.Wait()
	if !p.stopping.Load() {
		p.err = unexpectedEnd(err, p.log.String())
	}
	close(p.done)
}

func unexpectedEnd(err error, log string) error {
	how := "with status 0"
	if err != nil {
		how = err.Error()
	}
	return fmt.Errorf("Envoy ended by itself (%s): %s", how, lastWords(log))
}

// lastWords are the lines in which Envoy says why it gives up: the critical ones, else the last.
func lastWords(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	var critical []string
	for _, line := range lines {
		if strings.Contains(line, "][critical][") || strings.Contains(line, "][error][") {
			critical = append(critical, line)
		}
	}
	if len(critical) == 0 {
		critical = lines[len(lines)-1:]
	}
	said := strings.Join(critical, "; ")
	if said == "" {
		return "it wrote no log"
	}
	return said
}

// PID is the child's process ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when Envoy has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for Envoy's end. It is nil where that was asked for, else an error with Envoy's last words.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// ExitStatus is Envoy's exit status once it has ended; 128 and the signal's number where a signal ended it, as shells have it.
func (p *Process) ExitStatus() int {
	<-p.done
	if s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Signal passes a signal on, such as SIGUSR1, on which Envoy opens its log files anew.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Log is the end of what Envoy wrote to stderr, at most 64 KiB.
func (p *Process) Log() string { return p.log.String() }

// Stop sends SIGTERM, on which Envoy ends within about 30 ms and cuts what is in flight, and SIGKILL if it still runs
// when ctx ends; that is an error. When Stop returns Envoy has ended. It may be called more than once.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.terminate(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping Envoy (process %d): %w", p.PID(), err)
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing Envoy (process %d): %w", p.PID(), err)
	}
	<-p.done
	return fmt.Errorf("stopping Envoy (process %d): it did not end on SIGTERM in time and was killed: %w", p.PID(), ctx.Err())
}

func (p *Process) terminate() error {
	p.stopping.Store(true)
	return p.cmd.Process.Signal(syscall.SIGTERM)
}

// Kill sends SIGKILL, as a test of what survives an Envoy wants it; Stop is the way for all else. The end counts as
// unexpected.
func (p *Process) Kill() error { return p.cmd.Process.Kill() }
