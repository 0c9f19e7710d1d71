package owntask

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// portPatience bounds the try of a port: it is on this machine.
const portPatience = 300 * time.Millisecond

// PortClosed tells whether a connection to the address is refused, as nothing listens there. One that nobody answers in time
// isn't: an app that is busy is slow, too.
func PortClosed(ctx context.Context, at netip.AddrPort) bool {
	ctx, cancel := context.WithTimeout(ctx, portPatience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.String())
	if err == nil {
		_ = conn.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// tryPorts marks the endpoints of running containers at whose port nothing listens, all at a time. What ECS calls UNHEALTHY
// stays that.
func (r *Reader) tryPorts(ctx context.Context, task *taskmeta.Task, readings []mesh.Reading) {
	if r.Closed == nil {
		return
	}
	var tries sync.WaitGroup
	for _, reading := range readings {
		if c, _ := task.Container(reading.Ref.Container); c.KnownStatus != "RUNNING" {
			continue
		}
		for i := range reading.Service.Endpoints {
			if e := &reading.Service.Endpoints[i]; e.Health != mesh.Unhealthy {
				tries.Go(func() {
					if r.Closed(ctx, e.Addr) {
						e.Health = mesh.Closed
					}
				})
			}
		}
	}
	tries.Wait()
}
