//go:build !linux

package envoy

import "syscall"

// childAttributes are the default ones: only Linux can tie a child's life to its parent's.
func childAttributes() *syscall.SysProcAttr { return nil }
