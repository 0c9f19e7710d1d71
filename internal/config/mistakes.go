package config

import (
	"fmt"
	"strings"
	"unicode"
)

// Mistakes are all mistakes of the settings at once.
type Mistakes []Mistake

// Mistake is one wrong setting.
type Mistake struct {
	// Variable is the one to change.
	Variable string
	// Value is what it has, cut to a sane length; "" where it isn't set.
	Value string
	// Problem says what is wrong and what would be right.
	Problem string
}

// Error lists the mistakes, a line each.
func (m Mistakes) Error() string {
	lines := []string{fmt.Sprintf("%d of the settings is wrong:", len(m))}
	if len(m) > 1 {
		lines[0] = fmt.Sprintf("%d of the settings are wrong:", len(m))
	}
	for _, mistake := range m {
		lines = append(lines, "  "+mistake.String())
	}
	return strings.Join(lines, "\n")
}

// String is the mistake in one line: the variable, its value cut to a sane length, and what would be right.
func (m Mistake) String() string {
	if m.Value == "" {
		return m.Variable + ": " + m.Problem
	}
	return fmt.Sprintf("%s=%q: %s", m.Variable, m.Value, m.Problem)
}

// clip cuts a value to a length that a line can show.
func clip(value string) string {
	const most = 60
	value = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, value)
	if runes := []rune(value); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return value
}
