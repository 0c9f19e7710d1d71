package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
)

const (
	// readyPatience is below the 5 s that ECS gives a health check by default.
	readyPatience = 4 * time.Second
	// maxReason bounds what nightjar says of its readiness, in bytes.
	maxReason = 64 << 10
)

func readyCommand() command {
	return command{
		name:    "ready",
		summary: "for container health checks: exit status 0 when ready",
		help: func() string {
			return "Asks nightjar at NIGHTJAR_ADMIN_LISTEN; with --envoy, Envoy's /ready at ENVOY_ADMIN_PORT, here or at\n" +
				"ENVOY_CONTAINER_NAME.\n\nSettings:\n" +
				config.Help("NIGHTJAR_ADMIN_LISTEN", "ENVOY_ADMIN_PORT", "ENVOY_CONTAINER_NAME") +
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
				return c.askEnvoyReady(ctx, settings)
			}
			return askReady(ctx, settings.Admin)
		},
	}
}

// askEnvoyReady asks the own Envoy: here, as in Envoy's own container or one that shares its network, else where
// ENVOY_CONTAINER_NAME says.
func (c *call) askEnvoyReady(ctx context.Context, settings *config.Config) error {
	here := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(settings.EnvoyAdmin.Port())))
	err := envoy.NewAdmin("tcp", here).Ready(ctx)
	if settings.EnvoyHost != "localhost" && errors.Is(err, syscall.ECONNREFUSED) {
		here = c.envoyAdmin(ctx, settings)
		err = envoy.NewAdmin("tcp", here).Ready(ctx)
	}
	if err != nil {
		return fmt.Errorf("asking Envoy at %s (ENVOY_ADMIN_PORT, ENVOY_CONTAINER_NAME): %w", here, err)
	}
	return nil
}

// askReady asks a running nightjar.
func askReady(ctx context.Context, at config.Address) error {
	status, reason, err := askNightjar(ctx, at, "/readyz", maxReason)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return errors.New("not ready: " + strings.TrimSpace(string(reason)))
	}
	return nil
}
