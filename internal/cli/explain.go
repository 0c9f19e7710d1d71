package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/admin"
	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/explain"
)

func explainCommand() command {
	return command{
		name:    "explain",
		summary: "every task of every service: target or not, and why",
		help: func() string {
			return "Reads AWS once, with the same settings as serve, and says of each service which part of which paths it gets, and\n" +
				"of each of its tasks whether it is a target, why, and since when. What AWS doesn't date, such as a failing health check,\n" +
				"a nightjar that runs at NIGHTJAR_ADMIN_LISTEN does. The exit status is 1 where a service could not be read, or can't\n" +
				"serve as it is set up.\n\n" +
				"Example, in the container of nightjar:\n  nightjar explain"
		},
		run: explainAll,
	}
}

func explainAll(ctx context.Context, c *call) error {
	settings, log, err := c.begin(ctx)
	if err != nil {
		return err
	}
	readings, err := readOnce(ctx, c, settings, log)
	if err != nil {
		return err
	}
	text, err := explain.Text(explain.World{
		Readings: readings, Proxy: settings.Proxy(), ZonesOff: settings.Zone != "" && !settings.ZoneAware,
		Seen: seen(ctx, settings.Admin), Now: time.Now(),
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(c.stdout, text); err != nil {
		return err
	}
	if len(explain.Trouble(readings)) > 0 {
		return silentError{exitWorld}
	}
	return nil
}

// seenPatience bounds the question to a running nightjar, which answers from memory.
const seenPatience = 2 * time.Second

// seen is since when a nightjar that runs at an address sees tasks excluded; empty where none answers.
func seen(ctx context.Context, at config.Address) map[explain.Sight]time.Time {
	ctx, cancel := context.WithTimeout(ctx, seenPatience)
	defer cancel()
	var report admin.Report
	status, answer, err := askNightjar(ctx, at, "/api/status", maxStatus)
	if err != nil || status != http.StatusOK || json.Unmarshal(answer, &report) != nil {
		return nil
	}
	since := map[explain.Sight]time.Time{}
	for _, s := range report.Services {
		for _, e := range s.Excluded {
			since[explain.Sight{Service: s.Name, Task: e.Task, Reason: e.Reason}] = e.Since
		}
	}
	return since
}
