package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

func renderCommand() command {
	return command{
		name:    "render",
		summary: "the Envoy resources as they would be served now",
		help: func() string {
			return "Reads AWS once, with the same settings as serve, and prints an object with the arrays listeners, routes, clusters and\n" +
				"endpoints, proto3 JSON.\n\nExample:\n  nightjar render --yaml"
		},
		flags: func(f *flag.FlagSet) { f.Bool("yaml", false, "print YAML rather than JSON") },
		run:   render,
	}
}

func render(ctx context.Context, c *call) error {
	settings, log, err := c.begin(ctx)
	if err != nil {
		return err
	}
	m, err := meshOnce(ctx, c, settings, log)
	if err != nil {
		return err
	}
	document, err := xds.Render(m, settings.Proxy().ID)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(document, "", "  ")
	if err == nil && c.flags.Lookup("yaml").Value.String() == "true" {
		text, err = yaml.JSONToYAML(text)
	}
	if err != nil {
		return fmt.Errorf("printing the resources: %w", err)
	}
	_, err = fmt.Fprintln(c.stdout, strings.TrimRight(string(text), "\n"))
	return err
}

// meshOnce reads every service once. One that can't be read is an error: half a picture would be a lie.
func meshOnce(ctx context.Context, c *call, settings *config.Config, log *slog.Logger) (*mesh.Mesh, error) {
	readings, err := readOnce(ctx, c, settings, log)
	if err != nil {
		return nil, err
	}
	var services []*mesh.Service
	for _, r := range readings {
		if r.Err != nil {
			return nil, fmt.Errorf("reading %s: %w", r.Ref.Name(), r.Err)
		}
		switch {
		case r.Service.Problem == "":
		case len(r.Service.Endpoints) == 0:
			log.Warn("it would answer 503", "service", r.Service.Name, "problem", r.Service.Problem)
		default:
			log.Warn("some of its tasks can't serve", "service", r.Service.Name, "problem", r.Service.Problem)
		}
		services = append(services, r.Service)
	}
	return mesh.New(mesh.Owned(services), []mesh.Proxy{settings.Proxy()})
}
