package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

// show runs the load and the timeline, and draws what becomes of them.
func (d *demo) show(ctx context.Context) error {
	load, stopLoad := context.WithCancel(ctx)
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		l := &Load{Base: d.egress, Every: loadEvery, Seen: d.seen}
		for _, p := range paths() {
			l.Paths = append(l.Paths, p[0])
		}
		l.Run(load)
	}()
	err := d.timeline(ctx)
	stopLoad()
	<-loaded
	return err
}

// seen scores a result of the load.
func (d *demo) seen(r Result) {
	since, known := d.backends.Since(r.Answer.Task)
	d.score.add(r, since, known)
}

// timeline lets the steps happen, once or again and again, and draws in between.
func (d *demo) timeline(ctx context.Context) error {
	for {
		start := time.Now()
		for _, step := range d.sim.Timeline {
			if err := d.watch(ctx, start.Add(step.At)); err != nil {
				return err
			}
			if err := d.sim.Do(step); err != nil {
				return err
			}
			d.say(step)
		}
		if err := d.watch(ctx, time.Now().Add(settle)); err != nil {
			return err
		}
		if d.Once {
			return errOver
		}
	}
}

func (d *demo) say(step ecssim.FileStep) {
	line := fmt.Sprintf("%s  %s", time.Now().Format(time.TimeOnly), step)
	d.score.note(line)
	if !d.Terminal {
		fmt.Fprintln(d.Out, line)
	}
}

// watch draws until a time: twice a second on a terminal, else one line in five seconds.
func (d *demo) watch(ctx context.Context, until time.Time) error {
	every := 5 * time.Second
	if d.Terminal {
		every = 500 * time.Millisecond
	}
	for time.Now().Before(until) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(every, time.Until(until))):
		}
		d.draw()
	}
	return nil
}

// draw draws the services, and on a terminal over what it drew before.
func (d *demo) draw() {
	rows := d.rows()
	if !d.Terminal {
		var parts []string
		for _, r := range rows {
			parts = append(parts, fmt.Sprintf("%s %d tasks", r.name, len(r.tasks)))
		}
		fmt.Fprintf(d.Out, "%s  %s; %s\n", time.Now().Format(time.TimeOnly), strings.Join(parts, ", "), d.score.line())
		return
	}
	var b strings.Builder
	lines := 0
	put := func(format string, args ...any) {
		fmt.Fprintf(&b, "\x1b[2K"+format+"\n", args...)
		lines++
	}
	put("%-8s %-10s %s", "SERVICE", "REVISION", "TASKS THAT LISTEN")
	for _, r := range rows {
		put("%-8s %-10s %s", r.name, strings.Join(r.revisions, ","), strings.Join(r.tasks, " "))
	}
	put("")
	put("%s", d.score.line())
	for _, n := range d.score.lastNotes(5) {
		put("%s", n)
	}
	fmt.Fprintf(d.Out, "%s\x1b[%dA", b.String(), lines)
	d.score.drawn(lines)
}

type row struct {
	name             string
	revisions, tasks []string
}

// rows are the services with their listening tasks.
func (d *demo) rows() []row {
	var rows []row
	for _, app := range d.sim.World.Apps() {
		if app.Phase != ecssim.Serving {
			continue
		}
		i := slices.IndexFunc(rows, func(r row) bool { return r.name == app.Service })
		if i < 0 {
			rows, i = append(rows, row{name: app.Service}), len(rows)
		}
		revision := app.Revision[strings.LastIndex(app.Revision, ":")+1:]
		if !slices.Contains(rows[i].revisions, revision) {
			rows[i].revisions = append(rows[i].revisions, revision)
		}
		if short := app.Task[:6]; !slices.Contains(rows[i].tasks, short) {
			rows[i].tasks = append(rows[i].tasks, short)
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	return rows
}
