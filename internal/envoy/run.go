package envoy

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"syscall"
	"time"
)

const (
	// glance is the pause between two looks at an Envoy that isn't ready yet, or that drains.
	glance = 250 * time.Millisecond
	// glanceTimeout bounds a look.
	glanceTimeout = time.Second
	// leastLook is what a look may take at the least.
	leastLook = 20 * time.Millisecond
	// taskEvery is how often the own task is asked for. ECS allows 40 requests a second.
	taskEvery = time.Second
	// slowStart is after how long an Envoy that isn't ready yet is told of.
	slowStart = 10 * time.Second
	// leastEnd is what Envoy's end may take at the least, which is about 30 ms.
	leastEnd = 500 * time.Millisecond
)

// RunOptions say which Envoy runs as a child, and how it leaves.
type RunOptions struct {
	// Process is the Envoy; its Args come behind those of the drain.
	Process ProcessOptions
	// Admin is its admin API.
	Admin *Admin
	// DrainTime is how long its end may take from the first SIGTERM on.
	DrainTime time.Duration
	// Task asks what the own task does; nil where nothing tells.
	Task func(context.Context) (Task, error)
	// Signals are those that this process gets: SIGTERM and SIGINT ask for the end, a second one for the end at once; all others
	// are Envoy's.
	Signals <-chan os.Signal
	// Waits says what an Envoy that isn't ready for long may lack.
	Waits string
	Log   *slog.Logger
}

// runner is a run of an Envoy.
type runner struct {
	RunOptions
	drain   drain
	process *Process
	begun   time.Time
	moment  moment
	// live tells that Envoy has been ready.
	live bool
	// signals counts those that ask for the end.
	signals int
	// failed tells that the health path answers 503.
	failed bool
	// told has what was said once.
	told map[string]bool
}

// Run runs an Envoy until it ends: by itself, after a drain, or with the context (SIGTERM, and SIGKILL 5 s later). Status is
// the exit status to end with: 0 after a drain, Envoy's own where it ended by itself, with an error that has its last words.
func Run(ctx context.Context, o RunOptions) (status int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seconds := int64((o.DrainTime + time.Second - 1) / time.Second)
	// Envoy's own drains, of a listener that nightjar changes, keep to the same time.
	o.Process.Args = append([]string{"--drain-time-s", strconv.FormatInt(seconds, 10), "--drain-strategy", "immediate"}, o.Process.Args...)
	r := &runner{RunOptions: o, drain: drain{time: o.DrainTime}, begun: time.Now(), told: map[string]bool{}}
	if r.process, err = Start(ctx, o.Process); err != nil {
		return 1, err
	}
	r.Log.Info("Envoy starts", "path", o.Process.Path, "pid", r.process.PID(), "drain_time", o.DrainTime)
	tasks := r.tasks(ctx)
	for {
		changed := r.advance(ctx)
		if r.drain.step == leaving {
			return r.leave(ctx)
		}
		if changed {
			continue
		}
		select {
		case <-r.process.Done():
			return r.process.ExitStatus(), r.process.Wait()
		case s := <-o.Signals:
			r.signal(s)
		case r.moment.task = <-tasks:
		case <-r.pause():
		}
	}
}

// pause is until the next look; for ever where only an event can change anything.
func (r *runner) pause() <-chan time.Time {
	if r.live && r.drain.step == serving {
		return nil
	}
	if r.moment.asked.IsZero() {
		return time.After(glance)
	}
	return time.After(min(glance, time.Until(r.drain.alarm(r.moment))))
}

// signal takes a signal.
func (r *runner) signal(s os.Signal) {
	if s != syscall.SIGTERM && s != os.Interrupt {
		if err := r.process.Signal(s); err != nil {
			r.Log.Warn("passing a signal on to Envoy", "signal", s, "error", err)
		}
		return
	}
	r.signals++
	switch r.signals {
	case 1:
		r.moment.asked = time.Now()
		r.Log.Info("asked to end: Envoy drains; a second signal ends it at once", "signal", s, "within", r.DrainTime)
	default:
		r.Log.Warn("asked to end at once: what is in flight is cut", "signal", s)
		r.drain.step = leaving
	}
}

// advance looks, decides and takes one step at most; it tells whether it did.
func (r *runner) advance(ctx context.Context) bool {
	if r.drain.step == leaving {
		return false
	}
	r.look(ctx)
	due, why := r.drain.next(r.moment)
	if due == r.drain.step {
		return false
	}
	r.drain.step = due
	switch due {
	case draining:
		r.drain.since = r.moment.now
		r.Log.Info("drain: the health path answers 503, and ingress serves on while its clients are asked to go elsewhere", "why", why)
		r.failHealth(ctx)
	case closing:
		r.Log.Info("drain: ingress takes no new connection", "why", why, "in_flight", r.inFlight())
		r.try(ctx, r.Admin.CloseIngress)
	case serving, leaving:
	}
	return true
}

// look gathers what next needs to know.
func (r *runner) look(ctx context.Context) {
	r.moment.now = time.Now()
	if !r.live {
		r.lookReady(ctx)
	}
	if r.drain.step == draining && !r.failed {
		r.failHealth(ctx)
	}
	if r.drain.step == serving || r.moment.asked.IsZero() {
		return
	}
	r.moment.load = nil
	r.try(ctx, func(ctx context.Context) error {
		load, err := r.Admin.Load(ctx)
		if err == nil {
			r.moment.load = &load
		}
		return err
	})
}

func (r *runner) lookReady(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.patience())
	defer cancel()
	info, err := r.Admin.ServerInfo(ctx)
	took := r.moment.now.Sub(r.begun)
	switch {
	case err == nil && info.State == "LIVE":
		r.live = true
		r.Log.Info("Envoy is ready", "version", info.Version, "after", took.Round(time.Millisecond))
	case took > slowStart && !r.told["slow"]:
		r.told["slow"] = true
		r.Log.Warn("Envoy is not ready yet: "+r.Waits, "state", info.State, "error", err)
	}
}

func (r *runner) failHealth(ctx context.Context) { r.failed = r.try(ctx, r.Admin.FailHealth) }

// patience bounds a look, so that the next step isn't late.
func (r *runner) patience() time.Duration {
	if r.moment.asked.IsZero() {
		return glanceTimeout
	}
	return min(glanceTimeout, max(time.Until(r.drain.alarm(r.moment)), leastLook))
}

// try asks Envoy's admin API. That it can't be asked is told once.
func (r *runner) try(ctx context.Context, ask func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, r.patience())
	defer cancel()
	err := ask(ctx)
	if err != nil && !r.told["admin"] && !r.ended() {
		r.told["admin"] = true
		r.Log.Warn("Envoy's admin API (ENVOY_ADMIN_PORT) can't be asked to drain: Envoy gets SIGTERM when the drain time is over",
			"error", err, "drain_time", r.DrainTime)
	}
	return err == nil
}

// ended tells whether Envoy has.
func (r *runner) ended() bool {
	select {
	case <-r.process.Done():
		return true
	default:
		return false
	}
}

// inFlight is the number of requests in flight, for the log.
func (r *runner) inFlight() string {
	if r.moment.load == nil {
		return "unknown"
	}
	return strconv.FormatUint(r.moment.load.Ingress.Active+r.moment.load.Egress.Active, 10)
}

// leave ends Envoy: SIGTERM, and SIGKILL when the drain time is over.
func (r *runner) leave(ctx context.Context) (int, error) {
	end := r.drain.end(r.moment)
	if least := time.Now().Add(leastEnd); end.Before(least) || r.signals > 1 {
		end = least
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	if r.ended() {
		return r.process.ExitStatus(), r.process.Wait()
	}
	inFlight := r.inFlight()
	if err := r.process.Stop(ctx); err != nil {
		return 1, err
	}
	r.Log.Info("Envoy has ended", "cut_in_flight", inFlight, "after", time.Since(r.moment.asked).Round(time.Millisecond))
	return 0, nil
}

// tasks tells what the own task does whenever that has changed. A fault of whoever tells is told once, until it is over.
func (r *runner) tasks(ctx context.Context) <-chan Task {
	if r.Task == nil {
		return nil
	}
	tasks := make(chan Task)
	go func() {
		tick := time.NewTicker(taskEvery)
		defer tick.Stop()
		var last Task
		faulty := false
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now, err := r.Task(ctx)
			if err != nil && !faulty && ctx.Err() == nil {
				r.Log.Warn(fmt.Sprintf("what the own task does isn't known, so only a signal begins the drain: %v", err))
			}
			if faulty = err != nil; faulty || now == last {
				continue
			}
			last = now
			select {
			case <-ctx.Done():
				return
			case tasks <- now:
			}
		}
	}()
	return tasks
}
