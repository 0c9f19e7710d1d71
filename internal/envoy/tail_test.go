package envoy

import (
	"bytes"
	"strings"
	"testing"
)

func TestTailKeepsTheEnd(t *testing.T) {
	var all bytes.Buffer
	kept := &tail{}
	for i := range 40_000 {
		piece := []byte(strings.Repeat(string(rune('a'+i%26)), i%17))
		all.Write(piece)
		if n, err := kept.Write(piece); n != len(piece) || err != nil {
			t.Fatalf("Write of %d bytes: %d, %v", len(piece), n, err)
		}
	}
	if kept.String() != all.String()[all.Len()-tailSize:] {
		t.Error("after many small writes it is not the end of all")
	}
	large := strings.Repeat("0123456789", tailSize)
	if _, err := kept.Write([]byte(large)); err != nil {
		t.Fatal(err)
	}
	if kept.String() != large[len(large)-tailSize:] {
		t.Error("after one large write it is not its end")
	}
}
