package demo

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// maxFailures bounds the kinds of failures that are kept apart.
const maxFailures = 50

// failure is what failed requests have in common, and when it was.
type failure struct {
	path, why   string
	count       int
	first, last time.Time
}

// String is the failure in a line.
func (f *failure) String() string {
	when, until := f.first.Format(time.TimeOnly), f.last.Format(time.TimeOnly)
	if until != when {
		when += "–" + until
	}
	if f.count > 1 {
		return fmt.Sprintf("%s  FAILED %s, %d times: %s", when, f.path, f.count, f.why)
	}
	return fmt.Sprintf("%s  FAILED %s: %s", when, f.path, f.why)
}

// fail counts a failed request: with those that failed in the same way, or as the first one of its kind.
func (s *score) fail(path string, err error, now time.Time) {
	s.lost++
	why := reason(err)
	for _, f := range s.failed {
		if f.path == path && f.why == why || len(s.failed) == maxFailures && f == s.failed[maxFailures-1] {
			f.count, f.last = f.count+1, now
			return
		}
	}
	f := &failure{path: path, why: why, count: 1, first: now, last: now}
	if len(s.failed) == maxFailures-1 {
		f.path, f.why = "otherwise", "in more ways than are told apart here"
	}
	s.failed = append(s.failed, f)
	s.notes = append(s.notes, f)
}

// reason is an error without the addresses in it, which differ from request to request.
func reason(err error) string {
	if op, isNet := errors.AsType[*net.OpError](err); isNet {
		return op.Op + ": " + op.Err.Error()
	}
	if of, isURL := errors.AsType[*url.Error](err); isURL {
		return of.Err.Error()
	}
	return err.Error()
}

// shorten keeps a text within so many bytes, and cuts it between two words.
func shorten(text string, most int) string {
	short := ""
	for _, word := range strings.Fields(text) {
		if len(short)+len(word) >= most {
			return strings.TrimSpace(short + " …")
		}
		short = strings.TrimSpace(short + " " + word)
	}
	return short
}
