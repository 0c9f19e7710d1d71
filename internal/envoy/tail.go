package envoy

import "sync"

// tailSize is how much of a log is kept, in bytes.
const tailSize = 64 << 10

// tail keeps the end of what is written to it. It is safe for concurrent use, and never fails.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write keeps the last tailSize bytes of all that was written.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b[max(0, len(b)-tailSize):]...)
	// Twice the size before it is cut, so that not every write moves all of it.
	if len(t.buf) > 2*tailSize {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailSize:]...)
	}
	return len(b), nil
}

// String is what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf[max(0, len(t.buf)-tailSize):])
}
