package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/demo"
)

const (
	// proofRate is the load of the proof in requests a second.
	proofRate = 500
	// proofLimit is how long a request may take; longer is a failure.
	proofLimit = 10 * time.Second
)

// shot is one request of the load, and what became of it.
type shot struct {
	id     string
	method string
	body   int
	// chunked bodies don't tell their size.
	chunked bool
	path    string

	at, end time.Time
	status  int
	said    string // the beginning of an answer that is none of an app
	task    string
	err     error
}

// failed tells whether it is a failure.
func (s *shot) failed() bool { return s.err != nil }

// openLoad is an open-loop load: each request is sent when its time has come, whatever became of those before.
type openLoad struct {
	base string
	// service is who must answer, and served tells whether a task ever served.
	service string
	served  func(task string) bool
	shots   []*shot
	// latest is how late a request was sent at most.
	latest time.Duration
	// killed is when a task was killed, zero for never: a POST may fail then that was in flight.
	killed time.Time
	client *http.Client
}

// newOpenLoad plans a load: half GET and half POST, 2 % slow; of the POSTs 5 % have 100 KB, 1 % 900 KB, 1 % are chunked, and the
// rest is small.
func newOpenLoad(base, service string, count int, served func(string) bool) *openLoad {
	rng := rand.New(rand.NewPCG(1, 2))
	load := &openLoad{base: base, service: service, served: served}
	order := rng.Perm(count) // in turn, each endpoint would get one method alone
	for n := range count {
		s := &shot{id: fmt.Sprintf("%s-%d", base, n), method: http.MethodGet, path: "/web"}
		if order[n]%2 == 1 {
			s.method, s.body = http.MethodPost, 100
			switch p := rng.Float64(); {
			case p < 0.05:
				s.body = 100_000
			case p < 0.06:
				s.body = 900_000
			case p < 0.07:
				s.body, s.chunked = 10_000, true
			}
		}
		if rng.Float64() < 0.02 {
			s.path += "?sleep=1s"
		}
		load.shots = append(load.shots, s)
	}
	return load
}

// run sends everything, and returns when all of it has ended.
func (l *openLoad) run() {
	l.client = &http.Client{Timeout: proofLimit, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * proofRate, DisableCompression: true}}
	defer l.client.CloseIdleConnections()
	var flying sync.WaitGroup
	begin := time.Now()
	for n, s := range l.shots {
		due := begin.Add(time.Duration(n) * time.Second / proofRate)
		time.Sleep(time.Until(due)) // the load's own clock, nothing waits for it
		l.latest = max(l.latest, time.Since(due))
		flying.Go(func() { l.fire(s) })
	}
	flying.Wait()
}

// fire sends a request, once: that Go's client would send a GET again on a connection that was closed counts as a failure.
func (l *openLoad) fire(s *shot) {
	var written atomic.Int32
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		WroteHeaders: func() { written.Add(1) },
	})
	s.at = time.Now()
	s.err = l.ask(ctx, s)
	s.end = time.Now()
	if written.Load() > 1 && s.err == nil {
		s.err = fmt.Errorf("sent %d times by the client itself: Envoy closed its connection", written.Load())
	}
	if took := s.end.Sub(s.at); took > proofLimit && s.err == nil {
		s.err = fmt.Errorf("it took %s", took)
	}
}

func (l *openLoad) ask(ctx context.Context, s *shot) error {
	var body io.Reader = http.NoBody
	if s.body > 0 {
		body = bytes.NewReader(make([]byte, s.body))
	}
	if s.chunked {
		body = io.MultiReader(body) // which hides its size
	}
	req, err := http.NewRequestWithContext(ctx, s.method, l.base+s.path, body)
	if err != nil {
		return err
	}
	req.Header.Set("X-Request-Id", s.id)
	resp, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	s.status = resp.StatusCode
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		s.said = string(text[:min(len(text), 200)])
		return fmt.Errorf("status %d: %s", resp.StatusCode, s.said)
	}
	var answer demo.Answer
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	s.task = answer.Task
	switch {
	case answer.Service != l.service || !l.served(answer.Task):
		return fmt.Errorf("answered by task %q of %s", answer.Task, answer.Service)
	case answer.Received != int64(s.body):
		return fmt.Errorf("of %d bytes %d arrived", s.body, answer.Received)
	default:
		return nil
	}
}

// gone is how many of the tasks that were there at first, or answered, are not there any more.
func (l *openLoad) gone(first, now []string) int {
	tasks := map[string]bool{}
	for _, task := range first {
		tasks[task] = true
	}
	for _, s := range l.shots {
		tasks[s.task] = s.task != ""
	}
	for _, task := range now {
		delete(tasks, task)
	}
	delete(tasks, "")
	return len(tasks)
}

// tally is what became of a load.
type tally struct {
	sent                  int
	failedGet, failedPost int
	// raced are the POSTs that were already written to a connection of HTTP/1.1 which its app closed in that instant: nobody can
	// tell whether the app has seen them, so nobody may send them again. They are not among failedPost.
	raced int
	// example is one of the failures.
	example string
}

// tallyOf counts the shots. The flags are those that Envoy's access log has for a request's ID.
func (l *openLoad) tallyOf(flags map[string][]string) tally {
	t := tally{sent: len(l.shots)}
	for _, s := range l.shots {
		if !s.failed() {
			continue
		}
		switch {
		case s.method == http.MethodGet:
			t.failedGet++
		case wasRaced(s, flags[s.id]) && (l.killed.IsZero() || s.at.Before(l.killed)):
			t.raced++
			continue
		default:
			t.failedPost++
		}
		if t.example == "" {
			t.example = fmt.Sprintf("%s %s after %s: %v (flags %v)", s.method, s.path, s.end.Sub(s.at).Round(time.Millisecond), s.err, flags[s.id])
		}
	}
	return t
}

// wasRaced tells whether a POST failed as its connection ended under it, before any byte of an answer.
func wasRaced(s *shot, flags []string) bool {
	return s.method == http.MethodPost && s.status == http.StatusServiceUnavailable && strings.HasPrefix(s.said, "upstream connect error or disconnect/reset before headers") &&
		slices.ContainsFunc(flags, func(f string) bool { return f == "UC" })
}

// flagsIn are the response flags of each request in access logs, by its ID.
func flagsIn(logs ...string) (map[string][]string, error) {
	flags := map[string][]string{}
	var errs []error
	for _, log := range logs {
		for line := range strings.Lines(log) {
			var entry struct {
				Flags string `json:"flags"`
				ID    string `json:"request_id"`
			}
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				errs = append(errs, fmt.Errorf("a line of Envoy's access log: %w: %.200s", err, line))
				continue
			}
			flags[entry.ID] = append(flags[entry.ID], strings.Split(entry.Flags, ",")...)
		}
	}
	return flags, errors.Join(errs...)
}
