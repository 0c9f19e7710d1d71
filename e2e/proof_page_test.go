package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// The marks between which a page has the results.
const resultsBegin, resultsEnd = "<!-- results: make proof writes them -->\n", "<!-- results end -->\n"

// write puts the results into a page, between its marks.
func (p *proof) write(t *testing.T, page string) {
	t.Helper()
	text, err := os.ReadFile(page)
	must(t, err)
	before, rest, found := bytes.Cut(text, []byte(resultsBegin))
	_, after, ends := bytes.Cut(rest, []byte(resultsEnd))
	if !found || !ends {
		t.Fatalf("%s lacks the marks of the results", page)
	}
	must(t, os.WriteFile(page, []byte(string(before)+resultsBegin+p.tables(t)+resultsEnd+string(after)), 0o600))
}

// tables are the results as Markdown.
func (p *proof) tables(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", where(t))
	p.table(&b, "One hop, beside an Envoy with plain defaults", true, func(r result) bool { return r.plain })
	p.table(&b, "Two hops: through the ingress Envoy of each task", false, func(r result) bool { return r.twoHops })
	p.table(&b, "nightjar killed and started again in the middle", false, func(r result) bool { return r.restart })
	p.table(&b, "Apps that speak HTTP/2", false, func(r result) bool { return r.protocol == "http2" })
	p.table(&b, "How much overlap a deployment needs", false, func(r result) bool {
		return !r.plain && !r.twoHops && !r.restart && r.protocol == "http1"
	})
	stops, met := p.closing()
	fmt.Fprintf(&b, "Over all, %d POSTs met a closing connection in %d stops of apps that close their port at SIGTERM.\n\n", met, stops)
	fmt.Fprintf(&b, "**A lost host** (one of three; it answers no SYN, and open connections hang), %d requests: %d GET failed, %d POST; the slowest GET, of "+
		"those that asked for no slow answer, took %.2f s.\n\n", p.lost.Sent, p.lost.FailedGet, p.lost.FailedPost, p.lost.SlowestGet.Seconds())
	b.WriteString("**A hung app**, which has read the request and says nothing:")
	for _, h := range p.hung {
		fmt.Fprintf(&b, " %s with `SERVICE_TIMEOUT_1=%s` got %d after %.1f s;", h.method, h.timeout, h.status, h.took.Seconds())
	}
	return strings.TrimSuffix(b.String(), ";") + ".\n"
}

// where says on what the results were measured.
func where(t *testing.T) string {
	t.Helper()
	version, err := exec.Command(envoytest.Path(t), "--version").Output()
	must(t, err)
	model := "an unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, found := strings.Cut(string(info), "model name\t: "); found {
			model, _, _ = strings.Cut(after, "\n")
		}
	}
	kernel, err := exec.Command("uname", "-sr").Output()
	must(t, err)
	return fmt.Sprintf("Measured on %s, on %d cores of %s, %s, with Envoy %s and nightjar built by %s. \"Poll\" is the longest time between two reads of the service "+
		"that the run measured.", time.Now().Format("2006-01-02"), runtime.NumCPU(), model, strings.TrimSpace(string(kernel)), envoyVersion(version), runtime.Version())
}

// envoyVersion is the version in what envoy --version says.
func envoyVersion(said []byte) string {
	return regexp.MustCompile(`\d+\.\d+\.\d+`).FindString(string(said))
}

// table has a row for each result that belongs there.
func (p *proof) table(b *strings.Builder, title string, plain bool, belongs func(result) bool) {
	fmt.Fprintf(b, "### %s\n\n", title)
	heads := []string{"what happens", "poll", "D", "requests", "failed GET", "failed POST", "POST at a closing connection"}
	if plain {
		heads = append(heads, "plain: failed GET", "plain: failed POST")
	}
	row := func(cells []string) { fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | ")) }
	row(heads)
	row(strings.Split(strings.Repeat("--- ", len(heads)-1)+"---", " "))
	for _, r := range p.results {
		if !belongs(r) {
			continue
		}
		d := "–"
		if r.overlaps {
			d = fmt.Sprintf("%g s", r.overlap.Seconds())
		}
		cells := []string{r.name, fmt.Sprintf("%.2f s", r.longest.Seconds()), d, fmt.Sprint(r.ours.sent), fmt.Sprint(r.ours.failedGet), fmt.Sprint(r.ours.failedPost), fmt.Sprint(r.ours.raced)}
		if plain {
			cells = append(cells, fmt.Sprint(r.bare.failedGet), fmt.Sprint(r.bare.failedPost))
		}
		row(cells)
	}
	b.WriteString("\n")
}
