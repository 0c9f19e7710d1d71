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
		"The task metadata endpoint tells the network mode; without it awsvpc is taken.\n\n" +
		"| | awsvpc | host | bridge |\n| --- | --- | --- | --- |\n")
	for _, d := range ModeDefaults() {
		fmt.Fprintf(&b, "| %s | `%s` | `%s` | `%s` |\n", d.Name, d.AWSVPC, d.Host, d.Bridge)
	}
	return b.String()
}

func referenceTable(b *strings.Builder, rows []Setting) {
	b.WriteString("| variable | value | default | meaning | when wrong |\n| --- | --- | --- | --- | --- |\n")
	for _, s := range rows {
		value, wrong := s.Default, s.Wrong
		switch {
		case value == "":
			value = "–"
		case value != byMode:
			value = "`" + value + "`"
		}
		if s.Part > ThisPart {
			wrong = fmt.Sprintf("*comes with part %d; an error until then*", s.Part)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", s.Name, s.Type, value, s.Meaning, wrong)
	}
}

// Help is the list of variables for --help. Only names in only are listed; all of this version where it is empty.
func Help(only ...string) string {
	var b strings.Builder
	for _, s := range Settings() {
		if s.Part > ThisPart || len(only) > 0 && !slices.Contains(only, s.Name) {
			continue
		}
		fmt.Fprintf(&b, "  %-22s %s", s.Name, s.Type)
		if s.Default != "" {
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
