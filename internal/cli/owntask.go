package cli

import (
	"context"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/owntask"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// ownWait is the pause between two readings of the own task. The endpoint allows 40 requests a second, and a reading makes two.
const ownWait = time.Second

// newOwnReader reads the containers of the own task. What target groups name is asked of AWS where nothing else tells a port.
func newOwnReader(c *call, settings *config.Config, api ecs.API) *owntask.Reader {
	reader := &owntask.Reader{Closed: owntask.PortClosed, Taken: settings.Taken, Fetch: func(ctx context.Context) (*taskmeta.Task, error) {
		return taskmeta.Fetch(ctx, c.env[taskmeta.URIVariable])
	}}
	if settings.OwnService == "" || settings.OwnCluster == "" {
		return reader
	}
	reader.Targets = &owntask.Targets{Ask: func(ctx context.Context) ([]owntask.Target, error) {
		found, err := api.Services(ctx, settings.OwnCluster, []string{settings.OwnService})
		if err != nil {
			return nil, err
		}
		var targets []owntask.Target
		for _, t := range found[settings.OwnService].Targets {
			targets = append(targets, owntask.Target(t))
		}
		return targets, nil
	}}
	return reader
}

// readOwnOnce reads the own containers for a command that reads once: where a port is asked of AWS, until that has answered.
func readOwnOnce(ctx context.Context, reader *owntask.Reader, refs []mesh.ServiceRef) []mesh.Reading {
	readings := reader.Read(ctx, refs)
	if reader.Targets.Settle(ctx) {
		readings = reader.Read(ctx, refs)
	}
	return readings
}
