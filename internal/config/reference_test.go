package config

import (
	"flag"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the generated part of docs/configuration.md anew")
	flag.Parse()
	os.Exit(m.Run())
}

func TestTheConfigurationReferenceIsUpToDate(t *testing.T) {
	const path = "../../docs/configuration.md"
	const begin, end = "<!-- generated: go test ./internal/config -update -->\n", "<!-- end of the generated part -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s lacks the marks of the generated part", path)
	}
	want := head + begin + "\n" + Reference() + "\n" + end + tail
	if want == string(text) {
		return
	}
	if flag.Lookup("update").Value.String() != "true" {
		t.Fatalf("%s differs from the table in settings.go; run: go test ./internal/config -update", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestHelpListsEveryVariable(t *testing.T) {
	help := Help()
	for _, s := range Settings() {
		if !strings.Contains(help, "  "+s.Name+" ") {
			t.Errorf("%s isn't listed", s.Name)
		}
	}
	if only := Help("WAITTIME"); !strings.Contains(only, "WAITTIME") || strings.Contains(only, "AWS_REGION") {
		t.Errorf("the list of some: %s", only)
	}
}
