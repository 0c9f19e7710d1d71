package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Mistakes are all mistakes of the settings at once.
type Mistakes struct {
	// List has at most one for a variable: the first.
	List []Mistake
	// Warnings are what somebody may not have meant, a line each; a slip of the pen is often why something is missing.
	Warnings []string
}

// Mistake is one wrong setting.
type Mistake struct {
	// Variable is the one to change, made fit to print.
	Variable string
	// Value is what it has, cut to a sane length; "" where it isn't set.
	Value string
	// Problem says what is wrong and what would be right.
	Problem string
}

// Error lists the mistakes, a line each.
func (m Mistakes) Error() string {
	lines := []string{fmt.Sprintf("%d of the settings is wrong:", len(m.List))}
	if len(m.List) > 1 {
		lines[0] = fmt.Sprintf("%d of the settings are wrong:", len(m.List))
	}
	for _, mistake := range m.List {
		lines = append(lines, "  "+mistake.String())
	}
	for _, warning := range m.Warnings {
		lines = append(lines, "  (warning) "+warning)
	}
	return strings.Join(lines, "\n")
}

// String is the mistake in one line: the variable, its value in quotes, and what would be right.
func (m Mistake) String() string {
	if m.Value == "" {
		return m.Variable + ": " + m.Problem
	}
	return fmt.Sprintf("%s=%q: %s", m.Variable, m.Value, m.Problem)
}

// cut shortens a text to what a line can show.
func cut(text string) string {
	const most = 60
	end := 0
	for i := range text {
		if end == most {
			return text[:i] + "…"
		}
		end++
	}
	return text
}

// printable shortens a name and escapes what a terminal would act on.
func printable(name string) string {
	quoted := strconv.Quote(cut(name))
	return quoted[1 : len(quoted)-1]
}
