package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/admin"
	"github.com/groboclown/nightjar-mesh/internal/config"
)

// telling is a running nightjar with a service whose problem can be set.
type telling struct {
	mu      sync.Mutex
	problem string
	err     error
	asked   int
}

// now sets what it says from now on.
func (n *telling) now(problem string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.problem, n.err = problem, err
}

func (n *telling) ask(context.Context) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	if n.err != nil {
		return nil, n.err
	}
	return json.Marshal(admin.Report{
		Version: "test", Now: time.Now(), Ready: true, Pace: admin.Pace{Quiet: float64(n.asked)},
		Services: []admin.Service{{Name: "c1/web", State: "active", ReadAt: time.Now(), ReadAge: float64(n.asked), Problem: n.problem}},
	})
}

// watching runs a watch in virtual time while during happens, and returns what it printed; it must end well.
func watching(t *testing.T, n *telling, watch func(*statusShow, context.Context) error, during func()) (out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- watch(&statusShow{ask: n.ask, out: &stdout, errs: &stderr}, ctx) }()
		synctest.Wait()
		during()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("it ends with %v", err)
		}
	})
	return stdout.String(), stderr.String()
}

// rounds lets so many questions be asked, in virtual time.
func rounds(n int) {
	time.Sleep(time.Duration(n) * watchEvery)
	synctest.Wait()
}

func TestStatusInAPipeIsPrintedAgainOnlyWhenSomethingChanged(t *testing.T) {
	t.Parallel()
	n := &telling{}
	out, errs := watching(t, n, (*statusShow).follow, func() {
		rounds(10)
		n.now("set SERVICE_PORT_1", nil)
		rounds(10)
		n.now("", errors.New("connection refused"))
		rounds(10)
		n.now("set SERVICE_PORT_1", nil)
		rounds(10)
	})
	if printed := strings.Count(out, "nightjar is ready"); printed != 3 || n.asked != 41 {
		t.Errorf("printed %d times after %d questions, want at the start, with the change, and when nightjar is back:\n%s", printed, n.asked, out)
	}
	if strings.Count(errs, "connection refused") != 1 {
		t.Errorf("want it said once that nightjar doesn't answer: %q", errs)
	}
}

func TestStatusOnATerminalIsRedrawnAndLeavesTheScreenAsItWas(t *testing.T) {
	t.Parallel()
	n := &telling{}
	out, _ := watching(t, n, func(s *statusShow, ctx context.Context) error {
		return s.redraw(ctx, func() (int, int) { return 12, 80 })
	}, func() {
		rounds(1)
		n.now("", errors.New("connection refused"))
		rounds(1)
	})
	frames := strings.Split(out, "\x1b[H")
	if len(frames) != 4 || !strings.HasPrefix(frames[0], "\x1b[?1049h") || !strings.HasSuffix(out, "\x1b[?1049l") {
		t.Fatalf("%d frames: %q", len(frames), out)
	}
	for _, f := range frames[1:] {
		if lines := strings.Count(f, "\n") + 1; lines > 12 || !strings.Contains(f, "nightjar is ready") {
			t.Errorf("%d lines: %q", lines, f)
		}
	}
	if !strings.Contains(frames[3], "connection refused") {
		t.Errorf("the last frame doesn't tell that nightjar doesn't answer: %q", frames[3])
	}
}

func TestStatusDrawsNoMoreThanFits(t *testing.T) {
	t.Parallel()
	text := ""
	for n := range 100 {
		text += fmt.Sprintf("line %d\n", n)
	}
	frame := draw(text, 24)
	if lines := strings.Split(frame, "\r\n"); len(lines) != 24 || !strings.Contains(lines[22], "line 22") || !strings.Contains(lines[23], "77 lines more") {
		t.Errorf("%d lines: %q", len(lines), frame)
	}
	if frame := draw("one\ntwo\n", 2); strings.Contains(frame, "more") {
		t.Errorf("%q", frame)
	}
}

func TestStatusToldToEndWhileItAsksEndsWell(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := &statusShow{out: &bytes.Buffer{}, errs: &bytes.Buffer{}, ask: func(ctx context.Context) ([]byte, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	if err := s.follow(ctx); err != nil {
		t.Error(err)
	}
}

func TestStatusMustAnswerAtFirst(t *testing.T) {
	t.Parallel()
	n := &telling{err: errors.New("connection refused")}
	s := &statusShow{ask: n.ask, out: &bytes.Buffer{}, errs: &bytes.Buffer{}}
	if err := s.follow(t.Context()); err == nil || n.asked != 1 {
		t.Errorf("%v after %d questions", err, n.asked)
	}
}

func TestStatusAsJSONIsExactlyWhatNightjarAnswers(t *testing.T) {
	t.Parallel()
	const answered = "{\n  \"version\": \"test\", \"a field of a later version\": 1\n}\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/api/status" {
			_, _ = io.WriteString(w, answered)
		}
	}))
	t.Cleanup(server.Close)
	var stdout, stderr bytes.Buffer
	at := strings.TrimPrefix(server.URL, "http://")
	exit := run(t.Context(), []string{"status", "--json"}, []string{"NIGHTJAR_ADMIN_LISTEN=" + at}, &stdout, &stderr)
	if exit != exitDone || stdout.String() != answered || stderr.String() != "" {
		t.Errorf("status %d, %q, %q", exit, stdout.String(), stderr.String())
	}
	port, _ := strconv.ParseUint(at[strings.LastIndex(at, ":")+1:], 10, 16)
	address := config.Address{Network: "tcp", Host: "127.0.0.1", Port: uint16(port)}
	if _, _, err := askNightjar(t.Context(), address, "/api/status", int64(len(answered))); err != nil {
		t.Error(err)
	}
	if _, _, err := askNightjar(t.Context(), address, "/api/status", int64(len(answered))-1); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("an answer that is too long: %v", err)
	}
}
