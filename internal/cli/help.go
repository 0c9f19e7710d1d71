package cli

import (
	"flag"
	"fmt"
	"strings"
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
		fmt.Fprintf(&b, "  --%-18s %s\n", strings.TrimSpace(f.Name+" "+value), help)
	})
	b.WriteString("\n" + strings.TrimRight(c.help(), "\n") + "\n")
	return b.String()
}
