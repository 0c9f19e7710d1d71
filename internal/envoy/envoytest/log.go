package envoytest

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// maxUnexpected is how many unexpected lines are kept: the first ones tell.
const maxUnexpected = 20

// maxLine is how much of a line is looked at, in bytes.
const maxLine = 8 << 10

// logCheck reads Envoy's log as it is written, and keeps warnings and worse that nobody expected.
type logCheck struct {
	allow []string
	level *regexp.Regexp

	mu    sync.Mutex
	rest  []byte // of a line not ended yet
	found []string
}

func newLogCheck(allow []string) *logCheck {
	return &logCheck{
		// Both are Envoy's way to tell of what tests do on purpose: a control plane that goes away, and SIGTERM.
		allow: append([]string{"gRPC config stream to ", "caught ENVOY_SIGTERM"}, allow...),
		// [TIME][THREAD][LEVEL][LOGGER] [FILE:LINE] TEXT
		level: regexp.MustCompile(`^\[[^\]]*\]\[\d+\]\[(warning|error|critical)\]`),
	}
}

// Write takes any piece of the log, and never fails.
func (c *logCheck) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest = append(c.rest, b...)
	for {
		line, after, whole := bytes.Cut(c.rest, []byte("\n"))
		if !whole {
			c.rest = slices.Clone(line[:min(len(line), maxLine)])
			return len(b), nil
		}
		c.judge(string(line))
		c.rest = after
	}
}

func (c *logCheck) judge(line string) {
	expected := func(text string) bool { return strings.Contains(line, text) }
	if len(c.found) < maxUnexpected && c.level.MatchString(line) && !slices.ContainsFunc(c.allow, expected) {
		c.found = append(c.found, line)
	}
}

// unexpected are the first lines that nobody expected.
func (c *logCheck) unexpected() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.found)
}
