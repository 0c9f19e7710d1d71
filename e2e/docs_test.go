package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/config"
)

func readDoc(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

func TestDocsLinksResolve(t *testing.T) {
	t.Parallel()
	var pages []string
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../docs/adr/*.md"} {
		found, err := filepath.Glob(pattern)
		must(t, err)
		pages = append(pages, found...)
	}
	if len(pages) < 5 {
		t.Fatalf("only %v", pages)
	}
	for _, page := range pages {
		for _, m := range regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(readDoc(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
}

func TestDocsReadmeSaysWhatIsTrue(t *testing.T) {
	t.Parallel()
	readme := readDoc(t, "../README.md")
	for _, command := range []string{"    go run ./cmd/nightjar demo\n", "    go test ./...\n"} {
		if !strings.Contains(readme, command) {
			t.Errorf("the README lacks %q", command)
		}
	}
	_, rest, _ := strings.Cut(readme, "```json\n")
	policy, _, _ := strings.Cut(rest, "```")
	var document struct {
		Statement []struct {
			Effect   string
			Action   []string
			Resource string
		}
	}
	must(t, json.Unmarshal([]byte(policy), &document))
	want := []string{"ec2:DescribeInstances", "ecs:DescribeContainerInstances", "ecs:DescribeServices", "ecs:DescribeTasks", "ecs:ListTasks"}
	if got := document.Statement[0]; !slices.Equal(got.Action, want) || got.Effect != "Allow" || len(document.Statement) != 1 {
		t.Errorf("the policy is %+v, want the five permissions", document)
	}
	known := map[string]bool{}
	for _, s := range config.Settings() {
		known[s.Name] = true
	}
	number := regexp.MustCompile(`_[0-9]+$`)
	for _, name := range regexp.MustCompile(`\b(?:SERVICE|EGRESS|INGRESS|NIGHTJAR|CONTAINER)_[A-Z_0-9]+`).FindAllString(readme, -1) {
		if !known[number.ReplaceAllString(name, "_X")] {
			t.Errorf("the README names %s, which is no setting", name)
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
		later := strings.Contains(help, "not in this version yet")
		if status != 0 || stderr != "" || !later && !strings.Contains(help, "Example") {
			t.Errorf("%s --help: status %d\n%s%s", m[1], status, help, stderr)
		}
		if later {
			if _, stderr, status := r.try([]string{m[1]}); status != 2 || !strings.Contains(stderr, "this version doesn't have the command yet") {
				t.Errorf("%s: status %d %s", m[1], status, stderr)
			}
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
		"AWS_ENDPOINT_URL": "http://127.0.0.1:" + port, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
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
