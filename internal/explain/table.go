package explain

import (
	"cmp"
	"strings"
	"unicode/utf8"
)

// table writes rows in columns below the first row, the head. A column with nothing in it is left out; an empty cell is "-".
func table(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows[1:] {
		for c := range row {
			row[c] = clean(row[c])
			widths[c] = max(widths[c], utf8.RuneCountInString(row[c]))
		}
	}
	for _, row := range rows {
		line := ""
		for c, text := range row {
			if widths[c] == 0 {
				continue
			}
			width := max(widths[c], len(rows[0][c]))
			text = cmp.Or(text, "-")
			line += "  " + text + strings.Repeat(" ", width-utf8.RuneCountInString(text))
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}
