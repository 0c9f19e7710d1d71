package envoy

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteExecutableIsBounded(t *testing.T) {
	dir := t.TempDir()
	if err := writeExecutable(filepath.Join(dir, "fits"), strings.NewReader("1234"), 4); err != nil {
		t.Error(err)
	}
	err := writeExecutable(filepath.Join(dir, "big"), strings.NewReader("12345"), 4)
	if err == nil || !strings.Contains(err.Error(), "more than 4 bytes") {
		t.Errorf("the error is %v, want that it is too big", err)
	}
}
