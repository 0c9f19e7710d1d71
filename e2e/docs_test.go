package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

func readDoc(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

// docPages are the pages for people.
func docPages(t *testing.T) []string {
	t.Helper()
	var pages []string
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../docs/adr/*.md", "../examples/*.md"} {
		found, err := filepath.Glob(pattern)
		must(t, err)
		pages = append(pages, found...)
	}
	if len(pages) < 5 {
		t.Fatalf("only %v", pages)
	}
	return pages
}

func TestDocsLinksResolve(t *testing.T) {
	t.Parallel()
	for _, page := range docPages(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#]*)(?:#([^)]+))?\)`).FindAllStringSubmatch(prose(readDoc(t, page)), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target := page
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(page), m[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			} else if m[2] != "" && !slices.Contains(anchors(readDoc(t, target)), m[2]) {
				t.Errorf("%s links to %s#%s, and there is no such heading", page, m[1], m[2])
			}
		}
	}
}

// anchors are those of a page's headings, as GitHub makes them.
func anchors(text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(prose(text), -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}

func TestDocsReadmeSaysWhatIsTrue(t *testing.T) {
	t.Parallel()
	readme := readDoc(t, "../README.md")
	for _, command := range []string{"    go run ./cmd/nightjar demo\n", "    go test ./...\n"} {
		if !strings.Contains(readme, command) {
			t.Errorf("the README lacks %q", command)
		}
	}
	var document struct {
		Version   string
		Statement []struct {
			Effect   string
			Action   []string
			Resource string
		}
	}
	readmeJSON(t, 1, &document)
	want := []string{"ec2:DescribeInstances", "ecs:DescribeContainerInstances", "ecs:DescribeServices", "ecs:DescribeTasks", "ecs:ListTasks"}
	if got := document.Statement[0]; !slices.Equal(got.Action, want) || got.Effect != "Allow" || len(document.Statement) != 1 {
		t.Errorf("the policy is %+v, want the five permissions", document)
	}
}

// readmeJSON reads one of the README's pieces of JSON, counted from 0.
func readmeJSON(t *testing.T, number int, into any) {
	t.Helper()
	blocks := strings.Split(readDoc(t, "../README.md"), "```json\n")
	if len(blocks) != 3 {
		t.Fatalf("the README has %d pieces of JSON", len(blocks)-1)
	}
	text, _, _ := strings.Cut(blocks[number+1], "```")
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	must(t, decoder.Decode(into))
}

// TestDocsTheReadmesContainersStart runs what the README's container definitions run, without an image.
func TestDocsTheReadmesContainersStart(t *testing.T) {
	t.Parallel()
	var task taskDefinition
	readmeJSON(t, 0, &task)
	containers := task.ContainerDefinitions
	env := map[string]string{}
	for _, e := range containers[0].Environment {
		env[e.Name] = e.Value
	}
	if _, err := config.Load(config.Input{Purpose: config.ToServe, Env: env}); err != nil {
		t.Error(err)
	}
	if got := containers[0].EntryPoint; len(got) > 0 {
		t.Errorf("nightjar is started as %s, not as its image does", got)
	}
	if got, want := containers[1].VolumesFrom, []volumesFrom{{SourceContainer: "nightjar", ReadOnly: true}}; !slices.Equal(got, want) {
		t.Errorf("Envoy's container has the volumes of %v, want %v", got, want)
	}
	if got, want := containers[1].Image, "envoyproxy/envoy:distroless-v"+envoy.Version; got != want {
		t.Errorf("Envoy's image is %s, want %s, which bin/image-test.sh runs", got, want)
	}
	bin := binaries(t)
	inVolume := func(path string) string {
		name, found := strings.CutPrefix(path, "/shared/bin/")
		if !found {
			t.Errorf("%s is not in the volume", path)
		}
		return filepath.Join(bin, name)
	}
	for _, c := range containers[:2] {
		// Without a nightjar the health check says no, in the words of the command that it names.
		check := exec.Command(inVolume(c.HealthCheck.Command[1]), c.HealthCheck.Command[2:]...)
		check.Env = []string{"NIGHTJAR_ADMIN_LISTEN=127.0.0.1:1", "ENVOY_ADMIN_PORT=1"}
		if out, _ := check.CombinedOutput(); check.ProcessState.ExitCode() != 1 || !strings.HasPrefix(string(out), "nightjar ready: ") {
			t.Errorf("%s's health check: %s: %s", c.Name, check.ProcessState, out)
		}
	}
	start := containers[1].EntryPoint
	validate := exec.Command(inVolume(start[0]), append(start[1:], "--", "--mode", "validate")...)
	validate.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "AWS_REGION=eu-west-1"}
	if out, err := validate.CombinedOutput(); err != nil || !contains(string(out), "OK") {
		t.Errorf("Envoy: %v\n%s", err, out)
	}
}

// binaries is a folder with nightjar and envoy, for a PATH.
func binaries(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	must(t, os.WriteFile(filepath.Join(bin, "nightjar"), []byte("#!/bin/sh\n"+asNightjar+"=1 exec "+os.Args[0]+" \"$@\"\n"), 0o755))
	must(t, os.Symlink(envoytest.Path(t), filepath.Join(bin, "envoy")))
	return bin
}

func TestDocsNameOnlyVariablesThatExist(t *testing.T) {
	t.Parallel()
	// The SDK's, the ECS agent's, and the compose example's.
	known := map[string]bool{
		"AWS_DEFAULT_REGION": true, "AWS_ENDPOINT_URL": true, "AWS_ENDPOINT_URL_ECS": true, "AWS_ENDPOINT_URL_EC2": true,
		"ECS_INSTANCE_ATTRIBUTES": true, "ECS_CONTAINER_METADATA_URI_V4": true, "ECS_AWSVPC_BLOCK_IMDS": true,
		"ECS_DYNAMIC_HOST_PORT_RANGE": true, "ECS_ENABLE_TASK_IAM_ROLE": true, "ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST": true,
		"NIGHTJAR_IMAGE": true,
	}
	for _, s := range config.Settings() {
		known[s.Name] = true
	}
	number := regexp.MustCompile(`_[0-9]+$`)
	for _, page := range docPages(t) {
		// Names in code, or with the beginning of ours.
		for _, m := range regexp.MustCompile("`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`|\\b((?:SERVICE|CONTAINER|EGRESS|INGRESS|NIGHTJAR)_[A-Z_0-9]+)").
			FindAllStringSubmatch(readDoc(t, page), -1) {
			if name := m[1] + m[2]; !known[number.ReplaceAllString(name, "_X")] {
				t.Errorf("%s names %s, which is no setting", page, name)
			}
		}
	}
}

// commandLines finds calls of nightjar in a document, as code or in a line that is indented so, with their arguments.
func commandLines(text string, indent int) [][]string {
	var calls [][]string
	pattern := fmt.Sprintf("(?m)(?:`|^ {%d}|go run \\./cmd/|\\$\\(|/shared/bin/)nightjar((?: +[^ `\"\n)]+)+)", indent)
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		calls = append(calls, strings.Fields(m[1]))
	}
	return calls
}

func TestDocsShowOnlyCommandsAndFlagsThatExist(t *testing.T) {
	t.Parallel()
	r := &trial{T: t, rig: &rig{t: t}}
	help := map[string]string{}
	overview, _, _ := r.try([]string{"--help"})
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+) `).FindAllStringSubmatch(overview, -1) {
		help[m[1]], _, _ = r.try([]string{m[1], "--help"})
	}
	calls := map[string][][]string{"--help": commandLines(overview, 2)}
	for name, text := range help {
		calls[name+" --help"] = commandLines(text, 2)
	}
	for _, page := range docPages(t) {
		calls[page] = commandLines(readDoc(t, page), 4)
	}
	seen := map[string]bool{}
	for where := range calls {
		for _, call := range calls[where] {
			of := help[call[0]]
			if call[0] == "--help" || call[0] == "COMMAND" { // nightjar COMMAND --help
				of = overview
			}
			seen[call[0]] = true
			if of == "" {
				t.Errorf("%s: there is no command nightjar %s", where, call[0])
			}
			for _, flag := range call[1:] {
				if flag == "--" { // the rest is Envoy's
					break
				}
				if strings.HasPrefix(flag, "--") && flag != "--help" && !strings.Contains(of, "\n  "+flag+" ") {
					t.Errorf("%s: nightjar %s has no flag %s", where, call[0], flag)
				}
			}
		}
	}
	for _, name := range []string{"demo", "sim", "render", "bootstrap", "envoy", "ready", "--help"} {
		if !seen[name] {
			t.Errorf("nothing shows nightjar %s; is the search broken?", name)
		}
	}
}

func TestDocsHelpHasAnExampleForEveryCommand(t *testing.T) {
	t.Parallel()
	r := &trial{T: t, rig: &rig{t: t}}
	overview, _, status := r.try([]string{"--help"})
	if status != 0 {
		t.Fatalf("status %d", status)
	}
	commands := regexp.MustCompile(`(?m)^  ([a-z]+) `).FindAllStringSubmatch(overview, -1)
	if len(commands) != 11 {
		t.Fatalf("%d commands in\n%s", len(commands), overview)
	}
	for _, m := range commands {
		help, stderr, status := r.try([]string{m[1], "--help"})
		if status != 0 || stderr != "" || !strings.Contains(help, "\nExample") {
			t.Errorf("%s --help: status %d\n%s%s", m[1], status, help, stderr)
		}
	}
	for _, wrong := range [][]string{{"srve"}, {"serve", "--wrong"}, {"render", "more"}, {"sim"}} {
		if stdout, stderr, status := r.try(wrong); status != 2 || stdout != "" || stderr == "" {
			t.Errorf("nightjar %v: status %d, stdout %q, stderr %q", wrong, status, stdout, stderr)
		}
	}
	if version, _, status := r.try([]string{"version"}); status != 0 || !strings.HasPrefix(version, "nightjar ") {
		t.Errorf("version: %d %q", status, version)
	}
}

func TestDocsTheExampleWorldRuns(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 1)[0]
	r := &rig{t: t, settings: map[string]string{
		"AWS_ENDPOINT_URL": "http://127.0.0.1:" + port, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIexample",
		"AWS_EC2_METADATA_DISABLED": "true", "NIGHTJAR_AWS_RATE": "100", "EGRESS_LISTEN_PORT": "18080",
		"SERVICE_PATH_1": "/orders", "SERVICE_ARN_1": "orders", "SERVICE_PATH_2": "/basket", "SERVICE_ARN_2": "basket", "CLUSTER": "shop",
	}}
	r.start("sim", "--world", "../examples/world.yaml", "--listen", "127.0.0.1:"+port)
	tr := &trial{T: t, rig: r}
	r.eventually("render shows the running tasks of both services", func() bool {
		out, _, status := tr.try([]string{"render", "--yaml"})
		return status == 0 && strings.Contains(out, "127.90.1.1") && strings.Contains(out, "127.90.2.1") && strings.HasPrefix(out, "listeners:")
	})
}
