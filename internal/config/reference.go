package config

import (
	"fmt"
	"slices"
	"strings"
)

// Reference is the tables of docs/configuration.md, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString("### The original variables\n\n")
	referenceTable(&b, original())
	b.WriteString("\n### Beyond\n\n")
	referenceTable(&b, beyond())
	b.WriteString("\n### Defaults by the own network mode\n\n" +
		"The metadata endpoint's `Networks[].NetworkMode` tells the mode (`awsvpc`; `host`; anything else is bridge); without the " +
		"endpoint it is as in awsvpc.\n" +
		"Where ECS has set `ECS_CONTAINER_METADATA_URI_V4` and the endpoint fails, it is tried again for 5 s at the start (by `check` for 2 s, " +
		"by `ready` never).\nAfter that its own error is the mistake where settings are missing because of it, and names those that can be set " +
		"instead;\nelse it is a warning, and all is as without the endpoint.\n\n" +
		"| | awsvpc | host | bridge | |\n| --- | --- | --- | --- | --- |\n")
	for _, d := range ModeDefaults() {
		fmt.Fprintf(&b, "| %s | `%s` | `%s` | `%s` | %s |\n", d.Name, d.AWSVPC, d.Host, d.Bridge, d.Note)
	}
	return b.String()
}

func referenceTable(b *strings.Builder, rows []Setting) {
	b.WriteString("| variable | value | default | meaning | when wrong |\n| --- | --- | --- | --- | --- |\n")
	for _, s := range rows {
		value := s.Default
		switch {
		case value == "":
			value = "–"
		case value != byMode:
			value = "`" + value + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", s.Name, s.Type, value, s.Meaning, s.Wrong)
	}
}

// Help is the list of variables for --help. Only names in only are listed; all where it is empty.
func Help(only ...string) string {
	var b strings.Builder
	for _, s := range Settings() {
		if len(only) > 0 && !slices.Contains(only, s.Name) {
			continue
		}
		fmt.Fprintf(&b, "  %-22s %s", s.Name, s.Type)
		switch s.Default {
		case "":
		case byMode:
			for _, d := range ModeDefaults() {
				if d.Name == s.Name {
					fmt.Fprintf(&b, ", default %s (awsvpc), %s (host), %s (bridge)", d.AWSVPC, d.Host, d.Bridge)
				}
			}
		default:
			fmt.Fprintf(&b, ", default %s", s.Default)
		}
		fmt.Fprintf(&b, "\n%s", indent(s.Meaning))
	}
	return b.String()
}

// indent wraps a text at 76 columns behind eight spaces.
func indent(text string) string {
	var b strings.Builder
	line := "       "
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > 76 {
			b.WriteString(line + "\n")
			line = "       "
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
	return b.String()
}
