package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groboclown/nightjar-mesh/internal/admin"
	"github.com/groboclown/nightjar-mesh/internal/config"
)

const (
	// statusPatience bounds one question.
	statusPatience = 10 * time.Second
	// maxStatus bounds an answer, in bytes. A thousand services with ten tasks each are about 4 MB.
	maxStatus = 64 << 20
	// watchEvery is how often --watch asks.
	watchEvery = 2 * time.Second
	// terminalRows bounds each table on a terminal.
	terminalRows = 40
)

func statusCommand() command {
	return command{
		name:    "status",
		summary: "what a running nightjar knows",
		help: func() string {
			return "Asks nightjar at NIGHTJAR_ADMIN_LISTEN, and shows what needs attention first. On a terminal long tables are cut short; in a\n" +
				"pipe they are whole. The same is for people at http://NIGHTJAR_ADMIN_LISTEN/, and for programs at /api/status.\n\nSettings:\n" +
				config.Help("NIGHTJAR_ADMIN_LISTEN") + "\nExample:\n  nightjar status --watch"
		},
		flags: func(f *flag.FlagSet) {
			f.Bool("json", false, "print exactly what /api/status answers")
			f.Bool("watch", false, "go on until Ctrl-C: redraw on a terminal, in a pipe print again when something changed")
		},
		run: runStatus,
	}
}

func runStatus(ctx context.Context, c *call) error {
	settings, err := c.settings(ctx, config.ToAsk)
	if err != nil {
		return err
	}
	terminal := isTerminal(c.stdout) && c.env["TERM"] != "dumb"
	s := &statusShow{
		out: c.stdout, errs: c.stderr, json: c.flags.Lookup("json").Value.String() == "true",
		ask: func(ctx context.Context) ([]byte, error) { return askStatus(ctx, settings.Admin) },
	}
	size := func() (rows, columns int) { return sizeOf(c.stdout) }
	if terminal {
		_, columns := size()
		s.options = admin.TextOptions{Color: c.env["NO_COLOR"] == "", Most: terminalRows, Width: columns}
	}
	if c.flags.Lookup("watch").Value.String() != "true" {
		answer, err := s.get(ctx)
		if err != nil {
			return err
		}
		return s.print(answer)
	}
	if terminal && !s.json {
		return s.redraw(ctx, size)
	}
	return s.follow(ctx)
}

// askStatus gets /api/status of a running nightjar.
func askStatus(ctx context.Context, at config.Address) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	status, answer, err := askNightjar(ctx, at, "/api/status", maxStatus)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("asking %s (NIGHTJAR_ADMIN_LISTEN) for /api/status: it answers %d: is that nightjar's address?", at, status)
	}
	return answer, err
}

// statusShow shows what a nightjar answers.
type statusShow struct {
	ask       func(context.Context) ([]byte, error)
	out, errs io.Writer
	json      bool
	options   admin.TextOptions
}

// answer is what a nightjar answered, and what that means.
type answer struct {
	body   []byte
	report admin.Report
}

func (s *statusShow) get(ctx context.Context) (answer, error) {
	body, err := s.ask(ctx)
	if err != nil {
		return answer{}, err
	}
	a := answer{body: body}
	if err := json.Unmarshal(body, &a.report); err != nil {
		return answer{}, fmt.Errorf("reading the answer of NIGHTJAR_ADMIN_LISTEN: is that nightjar's address? %w", err)
	}
	return a, nil
}

func (s *statusShow) print(a answer) error {
	if s.json {
		_, err := s.out.Write(a.body)
		return err
	}
	_, err := io.WriteString(s.out, a.report.Text(s.options))
	return err
}

// watch calls show with each answer, or with the error in its place, until the context ends. The first answer must come.
func (s *statusShow) watch(ctx context.Context, show func(answer, error) error) error {
	for first := true; ; first = false {
		a, err := s.get(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end while it asked
		}
		if err != nil && first {
			return err
		}
		if err := show(a, err); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}

// follow prints when something changed. That nightjar doesn't answer is said once.
func (s *statusShow) follow(ctx context.Context) error {
	var last *admin.Report
	silent := false
	return s.watch(ctx, func(a answer, err error) error {
		if err != nil {
			if !silent {
				fmt.Fprintf(s.errs, "nightjar status: %v; asking again\n", err)
			}
			silent = true
			return nil
		}
		same := last != nil && last.Same(&a.report) && !silent
		last, silent = &a.report, false
		if same {
			return nil
		}
		return s.print(a)
	})
}

// redraw draws over what it drew before, on the terminal's second screen, without wrapping lines.
func (s *statusShow) redraw(ctx context.Context, size func() (rows, columns int)) error {
	begun := false
	defer func() {
		if begun {
			_, _ = io.WriteString(s.out, "\x1b[?7h\x1b[?25h\x1b[?1049l")
		}
	}()
	var last answer
	return s.watch(ctx, func(a answer, err error) error {
		frame, options := "", s.options
		if err != nil {
			frame = fmt.Sprintf("%v; asking again. It said last:\n\n", err)
		} else {
			last = a
		}
		rows, columns := size()
		options.Width = columns
		frame = draw(frame+last.report.Text(options), rows)
		if !begun {
			begun = true
			frame = "\x1b[?1049h\x1b[?25l\x1b[?7l" + frame
		}
		_, err = io.WriteString(s.out, frame)
		return err
	})
}

// draw draws the lines that fit on a terminal with so many rows, from its top.
func draw(text string, rows int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > rows {
		rows = max(rows, 2)
		left := len(lines) - rows + 1
		lines = append(lines[:rows-1:rows-1], fmt.Sprintf("… and %d lines more: `nightjar status | less` has them", left))
	}
	return "\x1b[H" + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K\x1b[J"
}

// sizeOf is the size of a terminal; 24 rows of 80 columns where it doesn't tell.
func sizeOf(w io.Writer) (rows, columns int) {
	if f, ok := w.(*os.File); ok {
		size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err == nil && size.Row > 0 && size.Col > 0 {
			return int(size.Row), int(size.Col)
		}
	}
	return 24, 80
}
