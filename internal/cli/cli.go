// Package cli is the command line: a file a command, each with its flags and its wiring. It imports all other packages,
// and nothing but main imports it.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// The exit statuses, as the contract has them.
const (
	exitDone  = 0 // done
	exitWorld = 1 // something is wrong in the world: AWS, Envoy, a check that failed
	exitUsage = 2 // the command line or the settings are wrong
)

// call is one call of a command.
type call struct {
	args []string
	// passed are the arguments after --.
	passed         []string
	env            map[string]string
	stdout, stderr io.Writer
	flags          *flag.FlagSet
}

// command is a command of nightjar.
type command struct {
	name, summary string
	// help is the text of --help below the summary; it ends with an example.
	help func() string
	// flags declares the command's flags; nil for none.
	flags func(*flag.FlagSet)
	// passes tells that arguments after -- are for the program that it runs.
	passes bool
	run    func(context.Context, *call) error
}

// usageError is a wrong command line or wrong settings.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// silentError ends a command whose output has said it all, with an exit status.
type silentError struct{ exit int }

func (silentError) Error() string { return "failed" }

// Main runs nightjar with the arguments after its name and an environment of NAME=VALUE, and returns the exit status. It
// ends early, cleanly, on SIGINT and SIGTERM.
func Main(args, environ []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, args, environ, stdout, stderr)
}

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	name := "serve"
	switch {
	case len(args) == 0:
	case args[0] == "help" && len(args) > 1 && !strings.HasPrefix(args[1], "-"):
		name, args = args[1], []string{"--help"}
	case args[0] == "help" || args[0] == "-h" || args[0] == "--help":
		_, _ = fmt.Fprint(stdout, overview())
		return exitDone
	case args[0] == "--version":
		name, args = "version", args[1:]
	case !strings.HasPrefix(args[0], "-"):
		name, args = args[0], args[1:]
	}
	for _, c := range commands() {
		if c.name == name {
			return c.call(ctx, args, environ, stdout, stderr)
		}
	}
	meant := didYouMean(name, "", commandNames())
	_, _ = fmt.Fprintf(stderr, "nightjar: there is no command %q; %s`nightjar --help` lists them\n", name, meant)
	return exitUsage
}

func (c command) call(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("nightjar "+c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if c.flags != nil {
		c.flags(flags)
	}
	var passed []string
	if i := slices.Index(args, "--"); c.passes && i >= 0 {
		args, passed = args[:i], args[i+1:]
	}
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprint(stdout, c.usage(flags))
		return exitDone
	}
	var wrong string
	switch {
	case err != nil:
		wrong = wrongFlag(flags, err)
	case flags.NArg() > 0:
		wrong = fmt.Sprintf("unexpected argument %q; ", flags.Arg(0))
	}
	if wrong != "" {
		_, _ = fmt.Fprintf(stderr, "nightjar %s: %ssee `nightjar %s --help`\n", c.name, wrong, c.name)
		return exitUsage
	}
	called := &call{args: args, passed: passed, env: environment(environ), stdout: stdout, stderr: stderr, flags: flags}
	return c.status(c.run(ctx, called), stderr)
}

// status prints an error and turns it into the exit status.
func (c command) status(err error, stderr io.Writer) int {
	var usage usageError
	var silent silentError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &silent):
		return silent.exit
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(stderr, "nightjar %s: %v\n", c.name, err)
		return exitUsage
	default:
		_, _ = fmt.Fprintf(stderr, "nightjar %s: %v\n", c.name, err)
		return exitWorld
	}
}

// environment reads NAME=VALUE lines; of several with one name the last counts, as in execve.
func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok {
			env[name] = value
		}
	}
	return env
}
