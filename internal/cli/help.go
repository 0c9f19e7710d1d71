package cli

import (
	"flag"
	"fmt"
	"strings"

	"github.com/groboclown/nightjar-mesh/internal/config"
)

// overview is the text of `nightjar --help`.
func overview() string {
	var b strings.Builder
	b.WriteString("nightjar keeps Envoy's routes pointed at the running containers of Amazon ECS services.\n\n" +
		"Usage: nightjar [COMMAND] [FLAGS]     (no command: serve)\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.summary)
	}
	b.WriteString("\n`nightjar COMMAND --help` tells more of each, with an example.\n" +
		"Settings are environment variables: `nightjar serve --help` lists them.\n" +
		"Exit status: 0 done; 1 something is wrong in the world; 2 the command line or the settings are wrong.\n")
	return b.String()
}

// usage is the text of a command's --help.
func (c command) usage(flags *flag.FlagSet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "nightjar %s: %s\n", c.name, c.summary)
	first := true
	flags.VisitAll(func(f *flag.Flag) {
		if first {
			b.WriteString("\nFlags:\n")
			first = false
		}
		value, help := flag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" { // a switch is off unless it is given
			help += ", default " + f.DefValue
		}
		fmt.Fprintf(&b, "  --%-18s %s\n", strings.TrimSpace(f.Name+" "+value), help)
	})
	b.WriteString("\n" + strings.TrimRight(c.help(), "\n") + "\n")
	return b.String()
}

// wrongFlag says in our words, which write flags with two dashes, what the flag package finds wrong.
func wrongFlag(flags *flag.FlagSet, err error) string {
	var known []string
	flags.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
	text := err.Error()
	if name, found := strings.CutPrefix(text, "flag provided but not defined: -"); found {
		return fmt.Sprintf("there is no flag --%s; %s", name, didYouMean(name, "--", known))
	}
	if name, found := strings.CutPrefix(text, "flag needs an argument: -"); found {
		return fmt.Sprintf("--%s needs a value; ", name)
	}
	if value, rest, found := strings.Cut(strings.TrimPrefix(text, "invalid boolean value "), " for -"); found {
		name, _, _ := strings.Cut(rest, ":")
		return fmt.Sprintf("--%s is a switch and takes no value such as %s; ", name, value)
	}
	return text + "; "
}

// didYouMean asks for the known name that is most like a wrong one: what it abbreviates, or what differs by two letters at
// most. It says nothing where none is.
func didYouMean(wrong, dashes string, known []string) string {
	best, distance := "", min(3, len(wrong))
	for _, name := range known {
		if strings.HasPrefix(name, wrong) && len(wrong) > 1 {
			best = name
			break
		}
		if d := config.EditDistance(wrong, name, distance); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s%s? ", dashes, best)
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
		envoyCommand(),
		readyCommand(),
		demoCommand(),
		simCommand(),
		versionCommand(),
	}
}

// commandNames are the names of all commands, in the order of --help.
func commandNames() []string {
	var all []string
	for _, c := range commands() {
		all = append(all, c.name)
	}
	return all
}
