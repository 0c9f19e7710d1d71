package config

import (
	"maps"
	"slices"
	"strings"
)

// checkNames looks at the names that are set: likely slips of the pen are warnings.
func (l *loader) checkNames() {
	for _, name := range slices.Sorted(maps.Keys(l.Env)) {
		if _, ours := l.table[genericName(name)]; !ours && l.Env[name] != "" {
			l.warnUnknown(name)
		}
	}
}

// warnUnknown says which setting may be meant. Docker's links set NIGHTJAR_PORT and more in Envoy's container, so only where
// all settings are read is every unknown name of ours worth a line. CONTAINER_NAME without a number is likely another program's.
func (l *loader) warnUnknown(name string) {
	near := nearest(strings.ToUpper(genericName(name)), l.table)
	switch {
	case strings.HasPrefix(near, "CONTAINER_") && genericName(name) == name && !strings.HasSuffix(name, "_X"):
	case near != "" && l.table[near].readFor(l.Purpose):
		if _, number, _ := cutLast(name, "_"); digits(number) && l.table[near].Indexed() {
			near = strings.TrimSuffix(near, "X") + number
		}
		l.warn("%s is no setting of nightjar and is ignored; did you mean %s?", printable(name), near)
	case strings.HasPrefix(name, "NIGHTJAR_") && l.Purpose == ToServe:
		l.warn("%s is no setting of nightjar and is ignored", printable(name))
	}
}

// genericName puts X for the number at the end of a name.
func genericName(name string) string {
	if head, number, found := cutLast(name, "_"); found && digits(number) {
		return head + "_X"
	}
	return name
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// nearest is the setting whose name differs by at most two letters, "" where none is that near. Short names are left
// alone, as other programs' variables could be meant.
func nearest(name string, known map[string]Setting) string {
	if len(name) < 8 || len(name) > 64 {
		return ""
	}
	best, distance := "", 3
	for _, candidate := range slices.Sorted(maps.Keys(known)) {
		if d := EditDistance(name, candidate, distance); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// EditDistance counts the insertions, deletions, replacements and swaps of neighbours between a and b; below limit it is
// exact.
func EditDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
