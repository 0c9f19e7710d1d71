package admin

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// clip cuts a text to so many bytes, at the end of a rune, and shows that it did.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const mark = "…"
	end := most - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}

// plain makes a text safe for a terminal and fit for one line: control characters are shown as such.
func plain(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// length says a duration in one unit, as exactly as people need it.
func length(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(math.Floor(d.Seconds()*10)/10, 'f', -1, 64) + " s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d d", int(d.Hours()/24))
	}
}

// seconds is a length given in seconds, as JSON has it.
func seconds(s float64) string { return length(time.Duration(s * float64(time.Second))) }

// clock is a time in UTC, with the date unless that is today's.
func clock(now, t time.Time) string {
	t = t.UTC()
	if t.Format(time.DateOnly) == now.UTC().Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// since says when something began and how long ago that is; "" for the zero time.
func since(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s (%s)", clock(now, t), length(now.Sub(t)))
}

// number is a number with at most two digits behind the point.
func number(n float64) string {
	return strconv.FormatFloat(math.Round(n*100)/100, 'f', -1, 64)
}

// percent is a part from 0 to 1.
func percent(part float64) string {
	switch p := math.Round(part*1000) / 10; {
	case p == 0 && part > 0:
		return "under 0.1 %"
	default:
		return strconv.FormatFloat(p, 'f', -1, 64) + " %"
	}
}

// count is a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// words turns a word for programs into one for people.
func words(word string) string { return strings.ReplaceAll(word, "_", " ") }

// tone is how a word is meant: good, warn, bad or "" for neither. Colours follow it, beside the word.
func tone(word string) string {
	switch word {
	case mesh.Healthy.String(), mesh.Active.String(), "current", "ready":
		return "good"
	case levelWarning, mesh.Unread.String(), "pending", "excluded":
		return "warn"
	case levelError, mesh.Unhealthy.String(), mesh.Closed.String(), mesh.Inactive.String(), mesh.Missing.String(), mesh.Denied.String(),
		stateAnswers503, "refused", "not ready":
		return "bad"
	default:
		return ""
	}
}

// tally counts the endpoints of some services by health.
type tally struct{ Healthy, Unknown, Unhealthy, Closed, Excluded int }

func (t *tally) add(s *Service) {
	for _, e := range s.Endpoints {
		switch e.Health {
		case mesh.Healthy.String():
			t.Healthy++
		case mesh.Unhealthy.String():
			t.Unhealthy++
		case mesh.Closed.String():
			t.Closed++
		default:
			t.Unknown++
		}
	}
	t.Excluded += len(s.Excluded)
}

func tallyOf(services ...Service) tally {
	var t tally
	for i := range services {
		t.add(&services[i])
	}
	return t
}

// Endpoints are all that are counted.
func (t tally) Endpoints() int { return t.Healthy + t.Unknown + t.Unhealthy + t.Closed }

// String is such as "3 healthy, 1 without a health check", or "none".
func (t tally) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{
		{t.Healthy, mesh.Healthy.String()},
		{t.Unknown, "without a health check"},
		{t.Unhealthy, mesh.Unhealthy.String()},
		{t.Closed, mesh.Closed.String()},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// healthWords say the health of an endpoint.
func healthWords(word string) string {
	if word == mesh.HealthUnknown.String() {
		return "no health check"
	}
	return word
}

// stateAnswers503 is how people read the state of a service that is active and serves nothing.
const stateAnswers503 = "active, answers 503"

// stateWords say the state of a service that has these routes.
func stateWords(s *Service, routes []Route) string {
	unserved := func(r Route) bool { return r.Service == s.Name && r.Answers503 }
	if s.State == mesh.Active.String() && slices.ContainsFunc(routes, unserved) {
		return stateAnswers503
	}
	return s.State
}

// levels counts findings: "2 errors, 1 warning"; "nothing needs attention" for none.
func levels(found []Finding) string {
	counts := map[string]int{}
	for _, f := range found {
		counts[f.Level]++
	}
	var parts []string
	for _, level := range []string{levelError, levelWarning, levelNote} {
		if n := counts[level]; n > 0 {
			parts = append(parts, count(n, level, level+"s"))
		}
	}
	if len(parts) == 0 {
		return "nothing needs attention"
	}
	return strings.Join(parts, ", ")
}

// source says what a service is read from.
func source(word string) string {
	if word == sourceOwn {
		return "own task"
	}
	return "AWS"
}

// timeout says a time-out in seconds, "off" for none.
func timeout(s float64) string {
	if s == 0 {
		return "off"
	}
	return number(s) + " s"
}

// rates are the calls a second by AWS bucket.
func rates(p Pace) string {
	parts := make([]string, 0, len(p.Rates))
	for _, bucket := range slices.Sorted(maps.Keys(p.Rates)) {
		parts = append(parts, bucket+" "+number(p.Rates[bucket]))
	}
	return strings.Join(parts, ", ")
}

// where is a listener with its direction and address.
func where(l Listener) string {
	text := l.Name
	if l.Name != l.Direction {
		text += " (" + l.Direction + ")"
	}
	text += " " + l.Address
	if l.HealthPath != "" {
		text += ", health at " + l.HealthPath
	}
	return text
}

// inside is what an endpoint is within its task: CONTAINER:PORT, or the port where it alone decides.
func inside(e Endpoint) string {
	port := strconv.Itoa(int(e.Port))
	switch {
	case e.Port == 0: // nobody told
		return e.Container
	case e.Container == "":
		return "port " + port
	default:
		return e.Container + ":" + port
	}
}

// nodeWord is the state of a connected Envoy in a word.
func nodeWord(current bool, refused int) string {
	switch {
	case refused > 0:
		return "refused"
	case current:
		return "current"
	default:
		return "pending"
	}
}
