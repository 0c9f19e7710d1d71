package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
)

// readyPatience is below the 5 s that ECS gives a health check by default.
const readyPatience = 4 * time.Second

func readyCommand() command {
	return command{
		name:    "ready",
		summary: "for container health checks: exit status 0 when ready",
		help: func() string {
			return "Asks nightjar at NIGHTJAR_ADMIN_LISTEN; with --envoy, Envoy's /ready at ENVOY_ADMIN_PORT.\n\nSettings:\n" +
				config.Help("NIGHTJAR_ADMIN_LISTEN", "ENVOY_ADMIN_PORT") +
				"\nExample, in a task definition:\n  \"healthCheck\": {\"command\": [\"CMD\", \"/shared/bin/nightjar\", \"ready\"]}"
		},
		flags: func(f *flag.FlagSet) { f.Bool("envoy", false, "ask Envoy rather than nightjar") },
		run: func(ctx context.Context, c *call) error {
			settings, err := c.settings(ctx, config.ToAsk)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, readyPatience)
			defer cancel()
			if c.flags.Lookup("envoy").Value.String() == "true" {
				if err := envoy.NewAdmin("tcp", settings.EnvoyAdmin.String()).Ready(ctx); err != nil {
					return fmt.Errorf("asking Envoy at %s (ENVOY_ADMIN_PORT): %w", settings.EnvoyAdmin, err)
				}
				return nil
			}
			return askReady(ctx, settings.Admin)
		},
	}
}

// askReady asks a running nightjar.
func askReady(ctx context.Context, at config.Address) error {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, at.Network, at.String())
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://nightjar/readyz", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking nightjar at %s (NIGHTJAR_ADMIN_LISTEN): %w", at, err)
	}
	defer func() { _ = resp.Body.Close() }()
	reason, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("asking nightjar at %s (NIGHTJAR_ADMIN_LISTEN): %w", at, err)
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New("not ready: " + strings.TrimSpace(string(reason)))
	}
	return nil
}
