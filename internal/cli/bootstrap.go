package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
)

func bootstrapCommand() command {
	return command{
		name:    "bootstrap",
		summary: "the Envoy bootstrap that fits these settings, YAML",
		help: func() string {
			return "Here NIGHTJAR_XDS_LISTEN is the address that Envoy dials; names are allowed.\n\nSettings:\n" +
				config.Help("NIGHTJAR_XDS_LISTEN", "ENVOY_ADMIN_PORT", "ENVOY_CONTAINER_NAME") +
				"\nExample:\n  envoy --config-yaml \"$(nightjar bootstrap)\""
		},
		run: func(ctx context.Context, c *call) error {
			settings, err := c.settings(ctx, config.ToDial)
			if err != nil {
				return err
			}
			for _, w := range settings.Warnings {
				_, _ = fmt.Fprintln(c.stderr, "nightjar bootstrap: "+w)
			}
			text, err := bootstrap(settings)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.stdout, strings.TrimRight(string(text), "\n"))
			return err
		},
	}
}

// bootstrap makes the bootstrap of the own Envoy.
func bootstrap(settings *config.Config) ([]byte, error) {
	return envoy.Bootstrap(envoy.BootstrapOptions{
		NodeID: settings.NodeID, NodeService: settings.NodeService, Region: settings.Region, Zone: settings.Zone,
		XDSNetwork: settings.XDS.Network, XDSAddress: settings.XDS.String(),
		AdminHost: settings.EnvoyAdmin.Addr().String(), AdminPort: settings.EnvoyAdmin.Port(),
	})
}
