package cli

import (
	"context"
	"io"
	"log/slog"

	"github.com/groboclown/nightjar-mesh/internal/awsapi"
	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// settings reads the settings of a command, with what the task metadata endpoint tells where there is one. An endpoint
// that doesn't answer is a warning: everything it tells can be set.
func (c *call) settings(ctx context.Context, purpose config.Purpose) (*config.Config, error) {
	in := config.Input{Purpose: purpose, Env: c.env}
	var warnings []string
	if uri := c.env[taskmeta.URIVariable]; uri != "" && purpose != config.ToAsk { // a health check has no time for it
		task, err := taskmeta.Fetch(ctx, uri)
		if err != nil {
			warnings = append(warnings, err.Error()+"; going on as without it: network mode awsvpc, no own ECS cluster")
		}
		in.Task = task
	}
	if purpose == config.ToServe && c.env["AWS_REGION"] == "" {
		region, err := awsapi.ProfileRegion(ctx)
		if err != nil {
			warnings = append(warnings, err.Error())
		}
		in.ProfileRegion = region
	}
	settings, err := config.Load(in)
	if err != nil {
		return nil, usageError{err}
	}
	settings.Warnings = append(warnings, settings.Warnings...)
	return settings, nil
}

// logger is the log as the settings want it.
func logger(settings *config.Config, to io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: settings.LogLevel}
	if settings.LogJSON {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}
