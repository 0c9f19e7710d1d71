package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// TextOptions say how Text looks.
type TextOptions struct {
	// Color colours words, for a terminal.
	Color bool
	// Most bounds the rows of each table, those that need attention first; 0 is no bound. It says what is left out.
	Most int
	// Width breaks sentences, and the rows of tasks, into lines of at most so many columns; 0 leaves them whole. Other tables
	// stay as wide as they are.
	Width int
}

// Text is the report for people to read in a terminal, what is wrong first.
func (r *Report) Text(o TextOptions) string {
	t := &texter{r: r, TextOptions: o}
	t.headline()
	t.attention()
	t.services()
	t.zones()
	t.routes()
	t.envoys()
	t.pace()
	t.tasks()
	t.line("\nWhether targets can be connected to is not known here: nightjar check tries it.")
	return t.b.String()
}

// texter writes the text of a report.
type texter struct {
	TextOptions
	r *Report
	b strings.Builder
}

// cell is a text in a table, with a tone.
type cell struct{ text, tone string }

// of makes cells without a tone.
func of(texts ...string) []cell {
	cells := make([]cell, 0, len(texts))
	for _, text := range texts {
		cells = append(cells, cell{text: text})
	}
	return cells
}

// word is a cell whose tone follows from its word.
func word(w string) cell { return cell{w, tone(w)} }

func (t *texter) line(format string, args ...any) { fmt.Fprintf(&t.b, format+"\n", args...) }

func (t *texter) title(format string, args ...any) {
	t.line("\n%s", t.paint(cell{fmt.Sprintf(format, args...), "title"}, 0))
}

// paint pads a text to a width and colours it.
func (t *texter) paint(c cell, width int) string {
	text := plain(c.text)
	pad := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
	code := map[string]string{"good": "32", "warn": "33", "bad": "1;31", "title": "1"}[c.tone]
	if !t.Color || code == "" {
		return text + pad
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m" + pad
}

// table writes rows in columns that are as wide as they must be.
func (t *texter) table(indent string, rows ...[]cell) {
	widths := widthsOf(rows)
	for _, row := range rows {
		t.row(indent, row, widths)
	}
}

func (t *texter) row(indent string, row []cell, widths []int) {
	parts := make([]string, 0, len(row))
	for i, c := range row {
		parts = append(parts, t.paint(c, widths[i]))
	}
	t.line("%s", strings.TrimRight(indent+strings.Join(parts, "  "), " "))
}

// widthsOf are the widths of columns.
func widthsOf(rows [][]cell) []int {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(plain(c.text)))
		}
	}
	return widths
}

func (t *texter) headline() {
	state := word("ready")
	if !t.r.Ready {
		state = word("not ready")
	}
	t.line("nightjar is %s; %s", t.paint(state, 0), levels(t.r.Attention))
	t.line("version %s, up since %s; it is %s UTC",
		plain(t.r.Version), since(t.r.Now, t.r.Started), t.r.Now.UTC().Format(time.DateTime))
}

func (t *texter) attention() {
	indent := strings.Repeat(" ", len(levelWarning)+2)
	shown := t.r.Attention[:t.bound(len(t.r.Attention))]
	for _, f := range shown {
		head := words(f.Kind)
		if about := f.about(); about != "" {
			head += ": " + about
		}
		if from := since(t.r.Now, f.Since); from != "" {
			head += ", since " + from
		}
		t.line("\n%s  %s", t.paint(word(f.Level), len(levelWarning)), t.paint(cell{plain(head), "title"}, 0))
		t.prose(indent, f.What)
		if f.Do != "" {
			t.prose(indent, "To do: "+f.Do)
		}
	}
	t.more(len(t.r.Attention) - len(shown))
}

// prose writes sentences.
func (t *texter) prose(indent, text string) {
	line, length := indent, 0
	for _, each := range strings.Fields(plain(text)) {
		size := utf8.RuneCountInString(each)
		switch {
		case length == 0:
		case t.Width > 0 && len(indent)+length+1+size > t.Width:
			t.line("%s", line)
			line, length = indent, 0
		default:
			line, length = line+" ", length+1
		}
		line, length = line+each, length+size
	}
	t.line("%s", line)
}

// bound is how many of so many rows are shown.
func (t *texter) bound(rows int) int {
	if t.Most > 0 {
		return min(rows, t.Most)
	}
	return rows
}

// more says that rows are left out.
func (t *texter) more(left int) {
	if left > 0 {
		t.line("… and %d more: `nightjar status | less` has them all", left)
	}
}

// about names the services that a finding strikes, the first few of many.
func (f *Finding) about() string {
	const most = 5
	text := strings.Join(f.Services[:min(len(f.Services), most)], ", ")
	if more := len(f.Services) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func (t *texter) services() {
	all := tallyOf(t.r.Services...)
	t.title("SERVICES  %d, with %s (%s) and %s excluded", len(t.r.Services),
		count(all.Endpoints(), "endpoint", "endpoints"), all, count(all.Excluded, "task", "tasks"))
	rows := [][]cell{of("STATE", "SERVICE", "FROM", "ENDPOINTS", "EXCLUDED", "READ", "CHANGED")}
	sorted := byConcern(t.r.Services, worst(t.r.Attention))
	shown := sorted[:t.bound(len(sorted))]
	for _, s := range shown {
		each := tallyOf(s)
		rows = append(rows, append([]cell{word(stateWords(&s, t.r.Routes))}, of(
			s.Name, source(s.Source), each.String(), fmt.Sprint(each.Excluded),
			cmp.Or(since(t.r.Now, s.ReadAt), "never"), cmp.Or(since(t.r.Now, s.ChangedAt), "never"))...))
	}
	t.table("", rows...)
	t.more(len(sorted) - len(shown))
}

// zones says what the own zone gets, where that is known.
func (t *texter) zones() {
	var rows [][]cell
	for _, s := range t.r.Services {
		if s.ZoneWords != "" {
			rows = append(rows, of(s.Name, s.ZoneWords))
		}
	}
	if len(rows) == 0 {
		return
	}
	t.title("ZONES  of %s", count(len(rows), "service", "services"))
	shown := rows[:t.bound(len(rows))]
	t.table("", shown...)
	t.more(len(rows) - len(shown))
}

func (t *texter) routes() {
	t.title("ROUTES  %d, in match order", len(t.r.Routes))
	shown := t.r.Routes[:t.bound(len(t.r.Routes))]
	for _, l := range t.r.Listeners {
		t.line("%s", plain(where(l)))
		rows := [][]cell{of("PATH", "SERVICE", "SHARE NOW", "PROTOCOL", "TIME-OUT", "RETRIES", "SET BY")}
		for _, r := range shown {
			if r.Listener == l.Name {
				rows = append(rows, of(r.Path, r.Service, r.shareWords(), r.Protocol, timeout(r.Timeout), fmt.Sprint(r.Retries), r.Origin))
			}
		}
		t.table("  ", rows...)
	}
	t.more(len(t.r.Routes) - len(shown))
}

// shareWords say what part of its path a route gets, and why.
func (r *Route) shareWords() string {
	text := percent(r.Share)
	if r.Answers503 {
		text = "503"
	}
	if r.Weight != nil {
		text += fmt.Sprintf(" (weight %d)", *r.Weight)
	}
	if r.PassedOn {
		text += ", passed on"
	}
	return text
}

func (t *texter) envoys() {
	t.title("ENVOYS  %d connected", len(t.r.Envoys))
	if t.r.EnvoyNote != "" {
		t.prose("", t.r.EnvoyNote)
	}
	var rows [][]cell
	shown := t.r.Envoys[:t.bound(len(t.r.Envoys))]
	for _, n := range shown {
		text := "all acknowledged"
		if !n.Current {
			text = "changes not acknowledged since " + since(t.r.Now, n.PendingSince)
		}
		rows = append(rows, append([]cell{word(nodeWord(n.Current, len(n.Refused)))},
			of(n.ID, cmp.Or(n.Version, "unknown version"), "connected since "+since(t.r.Now, n.Since), text)...))
	}
	t.table("", rows...)
	t.more(len(t.r.Envoys) - len(shown))
	for _, n := range shown {
		for _, r := range n.Refused {
			t.line("%s by %s: %s, since %s:", t.paint(word("refused"), 0), plain(n.ID), plain(refusedName(r)), since(t.r.Now, r.At))
			t.prose("  ", r.Message)
		}
	}
	if r := t.r.LastRefusal; r != nil {
		t.line("last refusal: %s, at %s, %s:", plain(refusedName(*r)), since(t.r.Now, r.At), t.r.stillRefused())
		t.prose("  ", r.Message)
	}
}

// refusedName is what is refused, with the variable that it comes from.
func refusedName(r xds.Refusal) string {
	text := r.Type + " " + r.Name
	if r.Setting != "" {
		text += " (" + r.Setting + ")"
	}
	return text
}

// stillRefused tells whether the last refusal is in force.
func (r *Report) stillRefused() string {
	for _, n := range r.Envoys {
		for _, refused := range n.Refused {
			if refused.Type == r.LastRefusal.Type && refused.Name == r.LastRefusal.Name {
				return "in force"
			}
		}
	}
	return "no longer in force"
}

func (t *texter) pace() {
	t.title("PACE")
	p := t.r.Pace
	if p.Readers > 0 {
		const words = "A quiet service is read every %s, one in motion every %s, and running tasks every %s; sidecars seen to read: %d."
		t.prose("", fmt.Sprintf(words, seconds(p.Quiet), seconds(p.Moving), seconds(p.Tasks), p.Readers))
		t.prose("", plain(p.Words))
	}
	t.prose("", fmt.Sprintf("WAITTIME %s; calls a second that AWS may get, by bucket: %s", seconds(p.Wait), rates(p)))
}

// tasks lists endpoints and excluded tasks, a row each, and a row for a service that is empty. Where not all are shown, those
// that are well are left out first.
func (t *texter) tasks() {
	var rows, concerns [][]cell
	for _, s := range byConcern(t.r.Services, worst(t.r.Attention)) {
		for _, e := range s.Endpoints {
			row := taskRow(s.Name, healthWords(e.Health), e, t.remark("", "running", e.Since))
			rows = append(rows, row)
			if tone(e.Health) == "bad" {
				concerns = append(concerns, row)
			}
		}
		for _, e := range s.Excluded {
			row := taskRow(s.Name, "excluded", e.endpoint(), t.remark(e.Reason, "", e.Since))
			rows, concerns = append(rows, row), append(concerns, row)
		}
		if s.Empty != "" {
			row := taskRow(s.Name, "empty", Endpoint{}, s.Empty)
			rows, concerns = append(rows, row), append(concerns, row)
		}
	}
	all := tallyOf(t.r.Services...)
	t.title("TASKS  %d", all.Endpoints()+all.Excluded)
	shown := rows
	if t.Most > 0 && len(rows) > t.Most {
		shown = concerns[:min(len(concerns), t.Most)]
	}
	if len(shown) > 0 {
		head := of("SERVICE", "STATE", "ADDRESS", "CONTAINER", "TASK", "ZONE", "REVISION", "DEPLOYMENT", "")
		t.folded(5, append([][]cell{head}, shown...))
	}
	t.more(len(rows) - len(shown))
}

// folded writes a table that, where it is too wide, has so many columns, and below each row what it has of the others.
func (t *texter) folded(columns int, rows [][]cell) {
	widths, wide := widthsOf(rows), 0
	for _, width := range widths {
		wide += width + len("  ")
	}
	if t.Width == 0 || wide-len("  ") <= t.Width {
		t.table("", rows...)
		return
	}
	for _, row := range rows {
		t.row("", row[:columns], widths)
		var rest []string
		for _, c := range row[columns:] {
			if c.text != "" && c.text != "-" {
				rest = append(rest, c.text)
			}
		}
		t.prose("    ", strings.Join(rest, ", "))
	}
}

// taskRow is a row of the tasks; "-" is what is not known or doesn't apply.
func taskRow(service, state string, e Endpoint, remark string) []cell {
	row := append(of(service), word(state))
	for _, text := range []string{e.Address, inside(e), e.Task, e.Zone, e.Revision, e.Deployment} {
		row = append(row, cell{text: cmp.Or(text, "-")})
	}
	return append(row, cell{text: remark})
}

// remark is a text, and since when something is so where that is known.
func (t *texter) remark(text, what string, from time.Time) string {
	if when := since(t.r.Now, from); when != "" {
		what = strings.TrimSpace(what + " since " + when)
	} else {
		what = ""
	}
	return strings.Join(slices.DeleteFunc([]string{text, what}, func(s string) bool { return s == "" }), ", ")
}

// byConcern puts services that need attention first, the worst first, else in order of name; levels has the worst level of
// each.
func byConcern(services []Service, levels map[string]string) []Service {
	sorted := slices.Clone(services)
	slices.SortStableFunc(sorted, func(a, b Service) int {
		return cmp.Or(cmp.Compare(rank(levels[a.Name]), rank(levels[b.Name])), cmp.Compare(a.Name, b.Name))
	})
	return sorted
}

// worst is the worst level of each service that needs attention.
func worst(found []Finding) map[string]string {
	levels := map[string]string{}
	for _, f := range found { // the worst first
		for _, name := range f.Services {
			if levels[name] == "" {
				levels[name] = f.Level
			}
		}
	}
	return levels
}
