package cli

import (
	"context"
	"log/slog"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/admin"
	"github.com/groboclown/nightjar-mesh/internal/awsapi"
	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// readPatience bounds reading everything once. The call budget may stretch it.
const readPatience = 5 * time.Minute

// readOnce reads every service and every own container once: a reading each, whole or an error.
func readOnce(ctx context.Context, c *call, settings *config.Config, log *slog.Logger) ([]mesh.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	budget := awsapi.NewBudget(settings.Rate, settings.Burst)
	client, err := newClient(ctx, settings, budget, admin.NewMetrics(), log)
	if err != nil {
		return nil, err
	}
	readings := ecs.NewInventory(client, nil).Read(ctx, settings.Refs())
	if own := settings.OwnRefs(); len(own) > 0 {
		readings = append(readings, readOwnOnce(ctx, newOwnReader(c, settings, client), own)...)
	}
	return readings, nil
}
