package cli

import (
	"context"
	"fmt"
)

// later is a command of the contract that this version doesn't have. It says so, and what serves in the meantime.
func later(name, summary, meanwhile, example string) command {
	return command{
		name:    name,
		summary: summary + " (not in this version yet)",
		help: func() string {
			return "This version doesn't have it yet. " + meanwhile + "\n\nExample, meanwhile:\n  " + example
		},
		run: func(context.Context, *call) error {
			return usageError{fmt.Errorf("this version doesn't have the command yet. %s", meanwhile)}
		},
	}
}

// commands are all commands, in the order of --help.
func commands() []command {
	return []command{
		serveCommand(),
		checkCommand(),
		explainCommand(),
		renderCommand(),
		bootstrapCommand(),
		statusCommand(),
		later("envoy", "run Envoy as a child that drains on SIGTERM",
			"Meanwhile start Envoy with the YAML that `nightjar bootstrap` prints.", `envoy --config-yaml "$(nightjar bootstrap)"`),
		readyCommand(),
		demoCommand(),
		simCommand(),
		versionCommand(),
	}
}
