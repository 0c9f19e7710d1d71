package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

func envoyCommand() command {
	return command{
		name:    "envoy",
		summary: "run Envoy as a child: bootstrap, readiness, drain on SIGTERM",
		help: func() string {
			return "For Envoy's container. Envoy starts with the bootstrap that `nightjar bootstrap` prints, and arguments after -- besides;\n" +
				"nothing is written. On SIGTERM, or once the task is being stopped, ingress's health path answers 503, all is served on,\n" +
				"and Envoy leaves when the apps have stopped or nothing comes any more, at the latest after NIGHTJAR_DRAIN_TIME. A second\n" +
				"SIGTERM ends it at once; other signals go to Envoy. More: docs/draining.md.\n\n" +
				"Exit status: 0 after a drain, Envoy's own where it ends by itself.\n\nSettings:\n" +
				config.Help("NIGHTJAR_DRAIN_TIME", "NIGHTJAR_ENVOY_PATH", "NIGHTJAR_XDS_LISTEN", "ENVOY_ADMIN_PORT", "ENVOY_CONTAINER_NAME",
					"NIGHTJAR_LOG_LEVEL", "NIGHTJAR_LOG_FORMAT") +
				"\nExample:\n  nightjar envoy -- --concurrency 2 --log-level warning"
		},
		passes: true,
		run:    runEnvoy,
	}
}

func runEnvoy(ctx context.Context, c *call) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	if ctx.Err() != nil {
		return nil // asked to end before anything began
	}
	ctx = context.WithoutCancel(ctx) // it ends with the first SIGTERM, which is the drain's beginning here
	settings, err := c.settings(ctx, config.ToRun)
	if err != nil {
		return err
	}
	log := logger(settings, c.stderr)
	for _, w := range settings.Warnings {
		log.Warn(w)
	}
	options, err := c.envoyOptions(ctx, settings, log)
	if err != nil {
		return err
	}
	options.Signals = signals
	status, err := envoy.Run(ctx, options)
	level := slog.LevelError
	if status == exitDone {
		level = slog.LevelWarn
	}
	if err != nil {
		log.Log(ctx, level, err.Error(), "status", status)
	}
	if status != exitDone {
		return silentError{status}
	}
	return nil
}

func (c *call) envoyOptions(ctx context.Context, settings *config.Config, log *slog.Logger) (envoy.RunOptions, error) {
	text, err := bootstrap(settings)
	if err != nil {
		return envoy.RunOptions{}, err
	}
	var passed strings.Builder
	path, err := envoy.Find(ctx, envoy.FindOptions{Path: settings.EnvoyPath, Installed: true, Progress: &passed})
	for line := range strings.Lines(passed.String()) {
		log.Warn(strings.TrimSpace(line))
	}
	if err != nil {
		return envoy.RunOptions{}, err
	}
	admin := settings.EnvoyAdmin
	// Envoy itself would say no more than that it can't bind.
	l, err := listen(ctx, "ENVOY_ADMIN_PORT", config.Address{Network: "tcp", Host: admin.Addr().String(), Port: admin.Port()})
	if err != nil {
		return envoy.RunOptions{}, err
	}
	_ = l.Close()
	o := envoy.RunOptions{
		Process:   envoy.ProcessOptions{Path: path, Bootstrap: text, Args: c.passed, Stdout: c.stdout, Stderr: c.stderr},
		Admin:     envoy.NewAdmin("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(admin.Port())))),
		DrainTime: settings.DrainTime, Log: log,
		Waits: fmt.Sprintf("is nightjar ready, and does it listen at %s (NIGHTJAR_XDS_LISTEN)?", settings.XDS.Setting()),
	}
	if uri := c.env[taskmeta.URIVariable]; uri != "" {
		o.Task = func(ctx context.Context) (envoy.Task, error) {
			task, err := taskmeta.FetchTask(ctx, uri)
			if err != nil {
				return envoy.Task{}, err
			}
			return taskOf(task, settings.Sidecar), nil
		}
	}
	return o, nil
}

// taskOf says what the own task does: own is the name of the container that this runs in. Apps are all containers but this one,
// those that AWS adds, and nightjar's, which ECS stops last: it is known by its name or its image.
func taskOf(task *taskmeta.Task, own string) envoy.Task {
	now := envoy.Task{Stopping: task.DesiredStatus == "STOPPED"}
	for _, c := range task.Containers {
		if c.Name == own || ecs.IsAdded(c.Name) || strings.Contains(strings.ToLower(c.Name+" "+c.Image), "nightjar") {
			continue
		}
		now.Apps++
		if c.KnownStatus == "STOPPED" {
			now.Gone++
		}
	}
	return now
}
