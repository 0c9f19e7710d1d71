package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/config"
)

// listen listens on an address. Its error names the variable and what to change. A unix socket gets the mode 0666, so
// that Envoy may be another user; a stale one that nobody answers on is removed.
func listen(ctx context.Context, variable string, a config.Address) (net.Listener, error) {
	if a.Network == "unix" {
		if err := clearSocket(ctx, a.Path); err != nil {
			return nil, fmt.Errorf("%s=unix:%s: %w", variable, a.Path, err)
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, a.Network, a.String())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: the address %s is taken, by another nightjar on this host perhaps: choose another port: %w", variable, a, err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no directory %s: mount the volume that nightjar and Envoy share (volumesFrom), "+
			"or set NIGHTJAR_XDS_LISTEN to HOST:PORT", variable, filepath.Dir(a.Path))
	case err != nil:
		return nil, fmt.Errorf("%s: listening on %s: %w", variable, a, err)
	}
	if a.Network == "unix" {
		if err := os.Chmod(a.Path, 0o666); err != nil { // Envoy may be another user
			_ = l.Close()
			return nil, fmt.Errorf("%s: making %s usable for Envoy: %w", variable, a.Path, err)
		}
	}
	return l, nil
}

// clearSocket removes a unix socket that nobody answers on. Anything else in its place is an error.
func clearSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil //nolint:nilerr // nothing there, or nothing to be seen: listening tells
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return errors.New("there is something else than a socket")
	}
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return errors.New("another nightjar answers there")
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing the socket that an earlier nightjar left: %w", err)
	}
	return nil
}
