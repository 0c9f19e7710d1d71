package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/groboclown/nightjar-mesh/internal/admin"
	"github.com/groboclown/nightjar-mesh/internal/awsapi"
	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// renderPatience bounds the one read of AWS.
const renderPatience = 5 * time.Minute

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
	settings, err := c.settings(ctx, config.ToServe)
	if err != nil {
		return err
	}
	log := logger(settings, c.stderr)
	for _, w := range settings.Warnings {
		log.Warn(w)
	}
	m, err := readOnce(ctx, c, settings, log)
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

// readOnce reads every service once. One that can't be read is an error: half a picture would be a lie.
func readOnce(ctx context.Context, c *call, settings *config.Config, log *slog.Logger) (*mesh.Mesh, error) {
	ctx, cancel := context.WithTimeout(ctx, renderPatience)
	defer cancel()
	budget := awsapi.NewBudget(settings.Rate, settings.Burst)
	client, err := newClient(ctx, settings, budget, admin.NewMetrics(), log)
	if err != nil {
		return nil, err
	}
	readings := ecs.NewInventory(client).Read(ctx, settings.Refs())
	if own := settings.OwnRefs(); len(own) > 0 {
		readings = append(readings, readOwnOnce(ctx, newOwnReader(c, settings, client), own)...)
	}
	var services []*mesh.Service
	for _, r := range readings {
		if r.Err != nil {
			return nil, fmt.Errorf("reading %s: %w", r.Ref.Name(), r.Err)
		}
		if r.Service.Problem != "" {
			log.Warn("it would answer 503", "service", r.Service.Name, "problem", r.Service.Problem)
		}
		services = append(services, r.Service)
	}
	return mesh.New(services, []mesh.Proxy{settings.Proxy()})
}
