package cli

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/awsapi"
	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// settings reads the settings of a command, with what the task metadata endpoint tells where there is one. An endpoint
// that doesn't answer is a warning: everything it tells can be set.
func (c *call) settings(ctx context.Context, purpose config.Purpose) (*config.Config, error) {
	in, faults := c.input(ctx, purpose, startPatience, func() {
		early := &config.Config{LogJSON: c.env["NIGHTJAR_LOG_FORMAT"] == "json"}
		const waits = "the task metadata endpoint doesn't answer yet, and is tried again for some seconds"
		logger(early, c.stderr).Warn(waits, "variable", taskmeta.URIVariable)
	})
	settings, err := config.Load(in)
	if err != nil {
		return nil, usageError{err}
	}
	settings.Warnings = append(faults.warnings(), settings.Warnings...)
	return settings, nil
}

// inputFaults are what kept the settings' input from being whole.
type inputFaults struct {
	// metadataGiven tells whether there is a task metadata endpoint.
	metadataGiven     bool
	metadata, profile error
}

func (f inputFaults) warnings() []string {
	var all []string
	if f.metadata != nil {
		all = append(all, f.metadata.Error()+"; going on as without it: network mode awsvpc, no own ECS cluster")
	}
	if f.profile != nil {
		all = append(all, f.profile.Error())
	}
	return all
}

// startPatience is how long a command that starts waits for the task metadata endpoint, and checkPatience how long check does.
const startPatience, checkPatience = 5 * time.Second, 2 * time.Second

// input gathers what the settings are made of. The task metadata endpoint is tried for a while; late is told where it takes
// more than a second.
func (c *call) input(ctx context.Context, purpose config.Purpose, patience time.Duration, late func()) (config.Input, inputFaults) {
	in, faults := config.Input{Purpose: purpose, Env: c.env}, inputFaults{}
	if uri := c.env[taskmeta.URIVariable]; uri != "" && purpose != config.ToAsk { // a health check has no time for it
		faults.metadataGiven = true
		in.Task, faults.metadata = taskmeta.Await(ctx, uri, patience, late)
		in.TaskErr = faults.metadata
	}
	if purpose == config.ToServe && c.env["AWS_REGION"] == "" {
		in.ProfileRegion, faults.profile = awsapi.ProfileRegion(ctx)
	}
	return in, faults
}

// begin reads all settings, and starts the log with their warnings.
func (c *call) begin(ctx context.Context) (*config.Config, *slog.Logger, error) {
	settings, err := c.settings(ctx, config.ToServe)
	if err != nil {
		return nil, nil, err
	}
	log := logger(settings, c.stderr)
	for _, w := range settings.Warnings {
		log.Warn(w)
	}
	return settings, log, nil
}

// logger is the log as the settings want it.
func logger(settings *config.Config, to io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: settings.LogLevel}
	if settings.LogJSON {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}
