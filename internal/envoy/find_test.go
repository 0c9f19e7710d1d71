package envoy

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// put writes an executable script, and returns its path.
func put(t *testing.T, script string, path ...string) string {
	t.Helper()
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// fakeEnvoy is a script that says of itself what Envoy says.
func fakeEnvoy(version string) string {
	return fmt.Sprintf("echo; echo \"$0  version: 9e5580933739775e8bce696a57a2e1bc99368f23/%s/Clean/RELEASE/BoringSSL\"; echo", version)
}

// machine makes everything that Find looks at lie below one folder, which it returns.
func machine(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("PATH", filepath.Join(dir, "bin"))
	t.Setenv("FUNC_E_HOME", "")
	t.Setenv("FUNC_E_DATA_HOME", "")
	return dir
}

func TestInstalledNeedsNoFolderAndFetchesNothing(t *testing.T) {
	dir := machine(t)
	t.Chdir(dir)
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	if _, err := find(t.Context(), FindOptions{Installed: true}, onPath()); err == nil || !strings.Contains(err.Error(), pathVariable) {
		t.Errorf("without an Envoy: %v", err)
	}
	want := put(t, fakeEnvoy("1.40.0"), dir, "bin", "envoy")
	if got, err := find(t.Context(), FindOptions{Installed: true}, onPath()); err != nil || got != want {
		t.Errorf("%s %v", got, err)
	}
}

func TestFindTakesTheFirstOfThePlacesInOrder(t *testing.T) {
	dir := machine(t)
	tools := filepath.Join(dir, "tools")
	// In the order of preference; each is removed once it was found.
	places := []string{
		put(t, fakeEnvoy("1.40.0"), tools, "envoy-1.40.0", "envoy"),
		put(t, fakeEnvoy("1.40.3"), dir, "bin", "envoy"),
		put(t, fakeEnvoy("1.40.2"), dir, ".local/share/func-e/envoy-versions/1.40.2/bin/envoy"),
		put(t, fakeEnvoy("1.40.1"), dir, ".local/share/func-e/envoy-versions/1.40.1/bin/envoy"),
		put(t, fakeEnvoy("1.40.1"), dir, ".func-e/versions/1.40.1/bin/envoy"),
	}
	for _, want := range places {
		// Without the images' places: the machine of the test may have an Envoy there.
		got, err := find(t.Context(), FindOptions{ToolsDir: tools}, append(onPath(), funcE()...))
		if err != nil || got != want {
			t.Errorf("Find is %s (%v), want %s", got, err, want)
		}
		if err := os.Remove(want); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindTakesTheVariableWhateverTheVersion(t *testing.T) {
	dir := machine(t)
	put(t, fakeEnvoy("1.40.0"), dir, "bin", "envoy")
	mine := put(t, fakeEnvoy("1.31.5"), dir, "mine")
	got, err := Find(t.Context(), FindOptions{Path: mine})
	if err != nil || got != mine {
		t.Errorf("Find is %s (%v), want %s", got, err, mine)
	}
}

func TestAWrongVariableIsAnErrorThatNamesIt(t *testing.T) {
	dir := machine(t)
	put(t, fakeEnvoy("1.40.0"), dir, "bin", "envoy")
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "nowhere"):      "no such file",
		dir:                                "does not run here",
		plain:                              "does not run here",
		put(t, "echo hello", dir, "hello"): "is not an Envoy",
		put(t, "echo no such library; exit 3", dir, "sick"): "exit status 3 no such library",
	} {
		_, err := Find(t.Context(), FindOptions{Path: path})
		if err == nil || !strings.Contains(err.Error(), "NIGHTJAR_ENVOY_PATH: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, want one with NIGHTJAR_ENVOY_PATH and %q", path, err, want)
		}
	}
}

func TestFindPassesOverWhatDoesNotFitAndSaysSo(t *testing.T) {
	dir := machine(t)
	put(t, fakeEnvoy("1.31.5"), dir, "bin", "envoy")
	sick := put(t, "exit 3", dir, ".local/share/func-e/envoy-versions/1.40.2/bin/envoy")
	want := put(t, fakeEnvoy("1.40.1"), dir, ".func-e/versions/1.40.1/bin/envoy")
	var said bytes.Buffer
	got, err := find(t.Context(), FindOptions{ToolsDir: dir, Progress: &said}, append(onPath(), funcE()...))
	if err != nil || got != want {
		t.Errorf("Find is %s (%v), want %s", got, err, want)
	}
	for _, want := range []string{"it is Envoy 1.31.5, not 1.40.x", sick + " does not run here"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it says %q, want it to say %q", said.String(), want)
		}
	}
}

func TestFuncEFoldersFollowTheirVariables(t *testing.T) {
	dir := machine(t)
	t.Setenv("FUNC_E_HOME", filepath.Join(dir, "old"))
	t.Setenv("FUNC_E_DATA_HOME", filepath.Join(dir, "new"))
	want := []string{
		put(t, "", dir, "new/envoy-versions/1.40.0/bin/envoy"),
		put(t, "", dir, "old/versions/1.40.0/bin/envoy"),
	}
	if got := funcE(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("func-e's folders hold %q, want %q", got, want)
	}
}

func TestToolsAreKeptInTheSourceTreeOrTheCache(t *testing.T) {
	dir, err := toolsDir("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "go.mod")); err != nil || filepath.Base(dir) != ".tools" {
		t.Errorf("inside the source tree tools are kept in %s, want .tools beside go.mod", dir)
	}
	elsewhere := t.TempDir()
	t.Setenv("HOME", elsewhere)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(elsewhere, "cache"))
	if err := os.WriteFile(filepath.Join(elsewhere, "go.mod"), []byte("module example.com/other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(elsewhere)
	dir, err = toolsDir("")
	if err != nil || !strings.HasPrefix(dir, elsewhere) || filepath.Base(dir) != "nightjar" {
		t.Errorf("elsewhere tools are kept in %s (%v), want nightjar in the cache folder", dir, err)
	}
}
