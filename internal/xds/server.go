package xds

import (
	"context"
	"fmt"
	"net"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Serve answers Envoys on the listener until the context ends, and then closes it. Envoys keep their last configuration.
// It must not be called before the first Publish: a control plane with nothing to say empties an Envoy that connects.
func (c *Cache) Serve(ctx context.Context, l net.Listener) error {
	c.mu.Lock()
	published := c.current != nil
	c.mu.Unlock()
	if !published {
		return fmt.Errorf("serving xDS on %s: nothing is published yet", l.Addr())
	}
	s := grpc.NewServer(
		// Envoy pings every 10 s (our bootstrap), which grpc-go's default policy answers by closing the stream.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.MaxConcurrentStreams(100),
	)
	discovery.RegisterAggregatedDiscoveryServiceServer(s, server.NewServer(ctx, c, c.callbacks()))
	stop := context.AfterFunc(ctx, s.Stop)
	defer stop()
	if err := s.Serve(l); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serving xDS on %s: %w", l.Addr(), err)
	}
	return nil
}
