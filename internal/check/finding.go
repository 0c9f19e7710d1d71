// Package check tries everything that a run needs, and says what to mend. It gathers through the interfaces of Source and
// ecs.API, within bounds, and judges what it gathered in pure functions.
package check

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Result is how a finding came out.
type Result string

// The results, as text and JSON have them.
const (
	// OK: as it should be.
	OK Result = "ok"
	// Note: nothing is wrong, and somebody may want to know.
	Note Result = "note"
	// Warning: it works, or couldn't be tried, and somebody should look.
	Warning Result = "warning"
	// Fail: it doesn't work.
	Fail Result = "FAIL"
)

// Finding is what one check found.
type Finding struct {
	// Check is the kind of check: setting, metadata, permission, service, container, route, pace, envoy, nightjar or reach.
	Check string `json:"check"`
	// Subject is what was checked: a variable, a permission, a service, a path.
	Subject string `json:"subject"`
	Result  Result `json:"result"`
	// Found is what was found, and Do what to change or to look at; "" where there is nothing to do.
	Found string `json:"found"`
	Do    string `json:"do"`
}

// Report is what all checks found.
type Report struct {
	// OK tells that nothing failed.
	OK       bool      `json:"ok"`
	Findings []Finding `json:"findings"`
}

// maxText bounds what a finding says, in bytes: some of it are the words of others.
const maxText = 2000

// newReport makes findings fit to print: each on its line, without what a terminal would act on, and bounded.
func newReport(findings []Finding) Report {
	r := Report{OK: true, Findings: []Finding{}}
	for _, f := range findings {
		for _, text := range []*string{&f.Subject, &f.Found, &f.Do} {
			*text = clean(*text)
		}
		r.OK = r.OK && f.Result != Fail
		r.Findings = append(r.Findings, f)
	}
	return r
}

// clean keeps a text on its line, and a terminal from acting on it.
func clean(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// Text is the report for people: a line a finding, and below it what to do.
func (r Report) Text() string {
	width := 0
	for _, f := range r.Findings {
		width = max(width, utf8.RuneCountInString(f.head()))
	}
	const result, most = 9, 48
	width = min(width, most)
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-*s%-*s  %s\n", result, f.Result, width, f.head(), f.Found)
		if f.Do != "" {
			fmt.Fprintf(&b, "%s→ %s\n", strings.Repeat(" ", result+width+2), f.Do)
		}
	}
	return b.String() + "\n" + r.summary() + "\n"
}

func (f Finding) head() string { return strings.TrimSpace(f.Check + " " + f.Subject) }

// summary counts the results.
func (r Report) summary() string {
	count := map[Result]int{}
	for _, f := range r.Findings {
		count[f.Result]++
	}
	line := "Nothing failed"
	if count[Fail] > 0 {
		line = fmt.Sprintf("%d failed", count[Fail])
	}
	var rest []string
	for _, result := range []Result{Warning, Note, OK} {
		if n := count[result]; n > 0 {
			word := string(result)
			if n > 1 && result != OK {
				word += "s"
			}
			rest = append(rest, fmt.Sprintf("%d %s", n, word))
		}
	}
	if len(rest) > 0 {
		line += " (" + strings.Join(rest, ", ") + ")"
	}
	return line + "."
}

// advice splits a text that ends in what to do: "the task has two containers: set SERVICE_CONTAINER_1".
func advice(text string) (found, do string) {
	best := len(text)
	for _, mark := range []string{": ", "; "} {
		for _, verb := range []string{"set", "unset", "change", "check", "publish", "give"} {
			if i := strings.Index(text, mark+verb+" "); i > 0 {
				best = min(best, i)
			}
		}
	}
	if best == len(text) {
		return text, ""
	}
	return text[:best], text[best+2:]
}

// several joins at most so many texts, and says how many more there are.
func several(texts []string, most int, between string) string {
	if len(texts) <= most {
		return strings.Join(texts, between)
	}
	return strings.Join(slices.Concat(texts[:most], []string{fmt.Sprintf("%d more", len(texts)-most)}), between)
}

// plural is a count with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
