package cli

import (
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// endWithGoRun makes a demo that `go run` started end when that is killed: else it would go on unseen.
func endWithGoRun() {
	name, err := os.ReadFile("/proc/" + strconv.Itoa(os.Getppid()) + "/comm")
	if err != nil || strings.TrimSpace(string(name)) != "go" {
		return
	}
	runtime.LockOSThread() // the request is the thread's, so the thread must stay
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0)
}
