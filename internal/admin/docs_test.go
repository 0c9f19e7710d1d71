package admin

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// described are all metrics: by name, "gauge", "counter" or "histogram" and the labels, as docs/operating.md has them.
func described(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	collect := func(from prometheus.Collector, kind func(name string) string) {
		descs := make(chan *prometheus.Desc, 100)
		from.Describe(descs)
		close(descs)
		for d := range descs {
			m := regexp.MustCompile(`^Desc\{fqName: "([a-z0-9_]+)", help: .*, variableLabels: \{(.*)\}\}$`).FindStringSubmatch(d.String())
			if m == nil {
				t.Fatalf("a description is %s", d)
			}
			var labels []string
			for label := range strings.SplitSeq(m[2], ",") {
				if label != "" {
					labels = append(labels, "`"+label+"`")
				}
			}
			all[m[1]] = strings.TrimPrefix(strings.Join(labels, ", ")+" | ", " ") + kind(m[1])
		}
	}
	collect(newGauges(&Server{}), func(string) string { return "gauge" })
	collect(NewMetrics().registry, func(name string) string {
		if strings.HasSuffix(name, "_total") {
			return "counter"
		}
		return "histogram"
	})
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDocsHaveEveryMetric(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(nightjar_[a-z0-9_]+)` \\| ?(.*?\\| [a-z]+) \\|").FindAllStringSubmatch(read(t, "../../docs/operating.md"), -1) {
		got[m[1]] = m[2]
	}
	if diff := cmp.Diff(described(t), got); diff != "" {
		t.Errorf("docs/operating.md has other metrics (-served +page):\n%s", diff)
	}
}

func TestRulesAndBoardNameOnlyMetricsAndLabelsThatAreThere(t *testing.T) {
	t.Parallel()
	known := described(t)
	for _, path := range []string{"../../examples/prometheus/rules.yaml", "../../examples/grafana/nightjar.json"} {
		seen := map[string]bool{}
		for _, m := range regexp.MustCompile(`\b(nightjar_[a-z0-9_]+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(read(t, path), -1) {
			name := m[1]
			if _, served := known[name]; !served {
				name = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
				if !strings.HasSuffix(known[name], "histogram") {
					t.Errorf("%s names %s, which nightjar doesn't serve", path, m[1])
				}
			}
			seen[name] = true
			for _, label := range regexp.MustCompile(`([a-z]+)\s*[=!]`).FindAllStringSubmatch(m[2], -1) {
				// What the scrape adds.
				if !slices.Contains([]string{"instance", "job"}, label[1]) && !strings.Contains(known[name], "`"+label[1]+"`") {
					t.Errorf("%s asks %s for the label %s, which it doesn't have", path, name, label[1])
				}
			}
		}
		if len(seen) < 5 {
			t.Errorf("only %v found in %s; is the search broken?", seen, path)
		}
	}
}
