package envoy

import "syscall"

// childAttributes make the kernel kill the child when its parent ends, and keep Ctrl-C in the terminal from reaching it:
// the parent decides when Envoy goes.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
