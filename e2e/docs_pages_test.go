package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// fence is a fenced block of a page.
type fence struct {
	page string
	// under is the last heading of the second level above it.
	under    string
	language string
	text     string
}

// fences are all fenced blocks of all pages.
func fences(t *testing.T) []fence {
	t.Helper()
	var all []fence
	for _, page := range docPages(t) {
		f, open := fence{page: page}, false
		for line := range strings.Lines(readDoc(t, page)) {
			switch rest, mark := strings.CutPrefix(line, "```"); {
			case mark && open:
				all = append(all, f)
				open = false
			case mark:
				f.language, f.text, open = strings.TrimSpace(rest), "", true
			case open:
				f.text += line
			case strings.HasPrefix(line, "## "):
				f.under = strings.TrimSpace(line[3:])
			}
		}
		if open {
			t.Errorf("%s: a block doesn't end", page)
		}
	}
	return all
}

// prose is a page without its fenced blocks.
func prose(text string) string {
	return regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(text, "")
}

func TestDocsBlocksParse(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for _, f := range fences(t) {
		seen[f.language]++
		var err error
		var into any
		switch f.language {
		case "json":
			err = json.Unmarshal([]byte(f.text), &into)
		case "yaml":
			err = yaml.UnmarshalWithOptions([]byte(f.text), &into, yaml.Strict())
		case "sh":
			cmd := exec.Command("bash", "-n")
			cmd.Stdin = strings.NewReader(f.text)
			var out []byte
			if out, err = cmd.CombinedOutput(); err != nil {
				t.Errorf("%s", out)
			}
		case "text":
		default:
			t.Errorf("%s: a block is %q, which no test reads", f.page, f.language)
		}
		if err != nil {
			t.Errorf("%s: %v in\n%s", f.page, err, f.text)
		}
	}
	if seen["json"] < 10 || seen["yaml"] < 3 || seen["sh"] < 5 {
		t.Errorf("only %v; is the search broken?", seen)
	}
}

// definition is what pages have of a container's definition.
type definition struct {
	Name, Image, User string
	Memory            int
	EntryPoint        []string
	Command           []string
	Links             []string

	ReadonlyRootFilesystem bool
	Environment            []struct{ Name, Value string }
	MountPoints            []struct{ SourceVolume, ContainerPath string }
	VolumesFrom            []volumesFrom
	DependsOn              []struct{ ContainerName, Condition string }
	PortMappings           []struct {
		ContainerPort int
		HostPort      *int
	}
	HealthCheck struct {
		Command               []string
		Interval, StartPeriod int
	}
	StopTimeout      int
	LogConfiguration any
}

type volumesFrom struct {
	SourceContainer string
	ReadOnly        bool
}

// taskDefinition is what pages have of one.
type taskDefinition struct {
	Family, NetworkMode, CPU, Memory, TaskRoleArn, ExecutionRoleArn string
	RequiresCompatibilities                                         []string
	Volumes                                                         []struct{ Name string }
	ContainerDefinitions                                            []definition
}

// definitions reads a block that has containers; ok is false for one that hasn't.
func (f fence) definitions(t *testing.T) (task taskDefinition, ok bool) {
	t.Helper()
	if f.language != "json" || !strings.Contains(f.text, `"image"`) {
		return task, false
	}
	decode := func(into any) error {
		decoder := json.NewDecoder(strings.NewReader(f.text))
		decoder.DisallowUnknownFields()
		return decoder.Decode(into)
	}
	task.NetworkMode = "awsvpc"
	if f.under == "host" {
		task.NetworkMode = "host"
	}
	switch {
	case strings.HasPrefix(f.text, "["):
		must(t, decode(&task.ContainerDefinitions))
	case strings.Contains(f.text, `"containerDefinitions"`):
		must(t, decode(&task))
	default:
		task.ContainerDefinitions = make([]definition, 1)
		must(t, decode(&task.ContainerDefinitions[0]))
	}
	return task, true
}

// TestDocsContainersAreOnesThatNightjarStartsWith reads every container definition in the pages.
func TestDocsContainersAreOnesThatNightjarStartsWith(t *testing.T) {
	t.Parallel()
	r := &trial{T: t, rig: &rig{t: t}}
	count := 0
	for _, f := range fences(t) {
		task, ok := f.definitions(t)
		if !ok {
			continue
		}
		where := f.page + ", " + f.under
		for _, d := range task.ContainerDefinitions {
			if len(d.Environment) > 0 {
				count++
				startsWith(t, where, task.NetworkMode, d)
			}
			fitsTogether(t, where, task, d)
			if d.Name == "nightjar" && len(d.Command) > 0 {
				runsNightjar(t, append([]string{"/shared/bin/nightjar"}, d.Command...))
			}
			check := d.HealthCheck.Command
			if len(check) == 0 {
				continue
			}
			if check[0] != "CMD" || filepath.Base(check[1]) != "nightjar" {
				t.Errorf("%s: the health check of %s is %q", where, d.Name, check)
				continue
			}
			_, said, status := r.try(check[2:], "NIGHTJAR_ADMIN_LISTEN=127.0.0.1:1", "ENVOY_ADMIN_PORT=1")
			if status != 1 || !strings.HasPrefix(said, "nightjar ready: ") || (d.Name == "envoy") != slices.Contains(check, "--envoy") {
				t.Errorf("%s: the health check of %s: status %d: %s", where, d.Name, status, said)
			}
		}
	}
	if count < 6 {
		t.Errorf("only %d of nightjar's containers; is the search broken?", count)
	}
}

// startsWith gives a container's environment to nightjar's settings, as they are in a task of that network mode.
func startsWith(t *testing.T, where, mode string, d definition) {
	t.Helper()
	env := map[string]string{}
	for _, e := range d.Environment {
		env[e.Name] = e.Value
	}
	own := taskmeta.Container{Name: d.Name, Networks: []taskmeta.Network{{NetworkMode: mode}}}
	settings, err := config.Load(config.Input{Purpose: config.ToServe, Env: env, Task: &taskmeta.Task{
		Cluster: "shop", ServiceName: "portal", TaskARN: "arn:aws:ecs:eu-west-1:111122223333:task/shop/0123456789abcdef",
		AvailabilityZone: "eu-west-1a", Containers: []taskmeta.Container{own}, Own: own,
	}})
	if err != nil {
		t.Errorf("%s: %v", where, err)
	} else if len(settings.Warnings) > 0 {
		t.Errorf("%s: %v", where, settings.Warnings)
	}
}

// fitsTogether looks at what containers of one task are to each other.
func fitsTogether(t *testing.T, where string, task taskDefinition, d definition) {
	t.Helper()
	there := func(name string) bool {
		return len(task.ContainerDefinitions) == 1 || slices.ContainsFunc(task.ContainerDefinitions, func(o definition) bool { return o.Name == name })
	}
	startsInOrder(t, where, d)
	mountsShared(t, where, task, d)
	for _, o := range d.VolumesFrom {
		if !there(o.SourceContainer) || !o.ReadOnly {
			t.Errorf("%s: %s has the volume of %s, read-only %v", where, d.Name, o.SourceContainer, o.ReadOnly)
		}
	}
	for _, link := range d.Links {
		if !there(link) || task.NetworkMode != "bridge" {
			t.Errorf("%s: %s links to %s", where, d.Name, link)
		}
	}
	if strings.HasPrefix(strings.Join(d.EntryPoint, " "), "/shared/bin/nightjar") && len(d.VolumesFrom) == 0 {
		t.Errorf("%s: %s runs nightjar, and hasn't its volume", where, d.Name)
	}
	if task.NetworkMode != "awsvpc" && d.Memory == 0 && len(task.ContainerDefinitions) > 1 {
		t.Errorf("%s: %s has no memory, which ECS wants on instances", where, d.Name)
	}
	for _, p := range d.PortMappings {
		if task.NetworkMode == "awsvpc" && p.HostPort != nil && *p.HostPort != p.ContainerPort {
			t.Errorf("%s: %s has the host port %d in awsvpc mode", where, d.Name, *p.HostPort)
		}
	}
}

// startsInOrder looks at what a container waits for, and how soon that is noticed.
func startsInOrder(t *testing.T, where string, d definition) {
	t.Helper()
	want := "nightjar HEALTHY, envoy HEALTHY, "
	switch d.Name {
	case "nightjar":
		want = ""
	case "envoy":
		want = "nightjar START, " // with HEALTHY each would wait for the other
	}
	got := ""
	for _, o := range d.DependsOn {
		got += o.ContainerName + " " + o.Condition + ", "
	}
	if got != want {
		t.Errorf("%s: %s depends on %q, want %q", where, d.Name, got, want)
	}
	if len(d.HealthCheck.Command) > 0 && d.HealthCheck.Interval != 5 {
		t.Errorf("%s: the health of %s is asked every %d s", where, d.Name, d.HealthCheck.Interval)
	}
}

// mountsShared looks at the volume that nightjar's container has for Envoy's.
func mountsShared(t *testing.T, where string, task taskDefinition, d definition) {
	t.Helper()
	for _, m := range d.MountPoints {
		if m.ContainerPath != "/shared" || len(task.Volumes) != 1 || m.SourceVolume != task.Volumes[0].Name {
			t.Errorf("%s: %s mounts %+v of %v", where, d.Name, m, task.Volumes)
		}
	}
	// On Fargate Envoy's container has nightjar's volume only where it is one of the task.
	if task.NetworkMode == "awsvpc" && d.Name == "nightjar" && len(task.ContainerDefinitions) > 1 && len(d.MountPoints) != 1 {
		t.Errorf("%s: %s mounts %v", where, d.Name, d.MountPoints)
	}
}

// TestDocsNameFilesThatTheImageHas looks for the examples, which are in the image's volume.
func TestDocsNameFilesThatTheImageHas(t *testing.T) {
	t.Parallel()
	count := 0
	for _, page := range docPages(t) {
		for _, m := range regexp.MustCompile(`/shared/(examples/[^"\s`+"`"+`)]+)`).FindAllStringSubmatch(readDoc(t, page), -1) {
			count++
			if _, err := os.Stat("../" + m[1]); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
	if count == 0 {
		t.Error("none is named; is the search broken?")
	}
}

// TestDocsQuoteWhatIsSaid looks for each line that docs/troubleshooting.md quotes in the scripts that say it.
func TestDocsQuoteWhatIsSaid(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	for _, pattern := range []string{"testdata/symptoms/*.txtar", "testdata/diagnose/*.txtar"} {
		files, err := filepath.Glob(pattern)
		must(t, err)
		for _, file := range files {
			for _, line := range quotable(readDoc(t, file)) {
				said[line] = true
			}
		}
	}
	count := 0
	for _, f := range fences(t) {
		if f.page != "../docs/troubleshooting.md" || f.language != "text" {
			continue
		}
		for _, line := range quotable(f.text) {
			count++
			if !said[line] {
				t.Errorf("no script of testdata says %q", line)
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d lines are quoted; is the search broken?", count)
	}
}

// TestDocsNameLogLinesThatAreWritten looks for each line of the log that docs/operating.md names in the program.
func TestDocsNameLogLinesThatAreWritten(t *testing.T) {
	t.Parallel()
	var program strings.Builder
	files, err := filepath.Glob("../internal/*/*.go")
	must(t, err)
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			program.WriteString(readDoc(t, file))
		}
	}
	_, section, _ := strings.Cut(readDoc(t, "../docs/operating.md"), "\n## The log\n")
	section, _, _ = strings.Cut(section, "\n## ")
	count := 0
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+) \\| [A-Z, ]+ \\|").FindAllStringSubmatch(section, -1) {
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			count++
			// One is put together of parts.
			for part := range strings.SplitSeq(m[1], "what is served stays as it was; ") {
				if !strings.Contains(program.String(), part) && m[1] != "shop/orders: +2 −1 endpoints, 4 serving" {
					t.Errorf("the program doesn't write %q", part)
				}
			}
		}
	}
	if count < 8 {
		t.Errorf("only %d lines; is the search broken?", count)
	}
}

// TestDocsRulesAndBoardAreWellFormed reads the rules of Prometheus and the board of Grafana. What of Envoy they name, a real one has.
func TestDocsRulesAndBoardAreWellFormed(t *testing.T) {
	t.Parallel()
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	const path = "../examples/prometheus/rules.yaml"
	must(t, yaml.UnmarshalWithOptions([]byte(readDoc(t, path)), &rules, yaml.Strict(), yaml.DisallowUnknownField()))
	page := readDoc(t, "../docs/operating.md")
	var expressions []string
	for _, g := range rules.Groups {
		for _, rule := range g.Rules {
			expressions = append(expressions, rule.Expr)
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.For == "" {
				t.Errorf("%s lacks something", rule.Alert)
			}
			if !strings.Contains(page, "\n| `"+rule.Alert+"` | ") {
				t.Errorf("docs/operating.md lacks the alert %s", rule.Alert)
			}
		}
	}
	if in := len(regexp.MustCompile("(?m)^\\| `(Nightjar|Envoy)[A-Za-z]+` \\|").FindAllString(page, -1)); in != len(expressions) {
		t.Errorf("docs/operating.md has %d alerts, the rules %d", in, len(expressions))
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	must(t, json.Unmarshal([]byte(readDoc(t, "../examples/grafana/nightjar.json")), &board))
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	if len(expressions) < 25 {
		t.Fatalf("only %d expressions", len(expressions))
	}
	stats := envoysStats(t)
	for _, e := range expressions {
		if unclosed(e) != "" {
			t.Errorf("%q lacks %s", e, unclosed(e))
		}
		for _, name := range regexp.MustCompile(`\benvoy_cluster_[a-z_]+\b`).FindAllString(e, -1) {
			if name != "envoy_cluster_name" && !strings.Contains(stats, "\n"+name+"{") {
				t.Errorf("Envoy has no metric %s", name)
			}
		}
	}
}

// envoysStats are the metrics of a real Envoy that has served a request.
func envoysStats(t *testing.T) string {
	t.Helper()
	at := "127.0.0.1:" + freePorts(t, 1)[0]
	r := startAll(t, worldOf(twoServices), append(services("/web", "c1/old"), "NIGHTJAR_ENVOY_STATS_LISTEN="+at)...)
	r.waitStatus("/web", 200)
	r.get("/web")
	out := ""
	r.eventually("Envoy counts the request", func() bool {
		var b bytes.Buffer
		cmd := exec.Command("curl", "-sS", "http://"+at+"/metrics")
		cmd.Stdout, cmd.Stderr = &b, os.Stderr
		if err := cmd.Run(); err != nil {
			return false
		}
		out = "\n" + b.String()
		return strings.Contains(out, "\nenvoy_cluster_upstream_rq_xx{") && strings.Contains(out, "\nenvoy_cluster_upstream_rq_time_bucket{")
	})
	return out
}

// unclosed says what an expression lacks, "" where its brackets and quotes are all closed.
func unclosed(expression string) string {
	var open []byte
	for _, c := range []byte(regexp.MustCompile(`"(?:[^"\\]|\\.)*"`).ReplaceAllString(expression, "")) {
		opens, closes := strings.IndexByte("([{", c), strings.IndexByte(")]}", c)
		switch {
		case c == '"':
			return "a closing quote"
		case opens >= 0:
			open = append(open, ")]}"[opens])
		case closes >= 0 && (len(open) == 0 || open[len(open)-1] != c):
			return "the opening of " + string(c)
		case closes >= 0:
			open = open[:len(open)-1]
		}
	}
	return string(open)
}
