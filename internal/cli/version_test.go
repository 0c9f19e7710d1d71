package cli

import (
	"os"
	"regexp"
	"runtime/debug"
	"testing"
)

func TestVersionSaysWhatItWasBuiltFrom(t *testing.T) {
	t.Parallel()
	info := func(main string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: main}, Settings: settings}
	}
	const commit = "843b4851d07cfedd6d4504d2fb4d6a2f18d66cdd"
	revision, date := debug.BuildSetting{Key: "vcs.revision", Value: commit}, debug.BuildSetting{Key: "vcs.time", Value: "2026-11-25T02:04:50Z"}
	for name, c := range map[string]struct {
		stamp       string
		info        *debug.BuildInfo
		long, short string
	}{
		"a release":                 {"1.2.3 " + commit + " 2026-11-25T02:04:50Z", info("(devel)"), "1.2.3, commit " + commit + " of 2026-11-25T02:04:50Z", "1.2.3"},
		"bin/build.sh":              {"devel " + commit + " 2026-11-25T02:04:50Z", nil, "devel, commit " + commit + " of 2026-11-25T02:04:50Z", "devel-843b4851d07c"},
		"docker build alone":        {"devel unknown unknown", nil, "devel", "devel"},
		"go build":                  {"", info("v0.0.0-x", revision, date), "devel, commit " + commit + " of 2026-11-25T02:04:50Z", "devel-843b4851d07c"},
		"go build with changes":     {"", info("", revision, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "devel, commit " + commit + "-modified", "devel-843b4851d07c"},
		"go install of a release":   {"", info("v1.2.3"), "1.2.3", "1.2.3"},
		"go build without a commit": {"", info("(devel)"), "devel", "devel"},
		"no information":            {"", nil, "devel", "devel"},
	} {
		b := buildOf(c.stamp, c.info)
		if b.String() != c.long || b.short() != c.short {
			t.Errorf("%s: %q, in short %q; want %q, %q", name, b, b.short(), c.long, c.short)
		}
	}
}

// TestOneGoBuildsReleases holds the Go of the Dockerfile against go.mod's: another one makes other bytes.
func TestOneGoBuildsReleases(t *testing.T) {
	t.Parallel()
	find := func(path, pattern string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(pattern).FindSubmatch(text)
		if m == nil {
			t.Fatalf("%s has no %s", path, pattern)
		}
		return string(m[1])
	}
	inModule, inImage := find("../../go.mod", `(?m)^toolchain go(\S+)$`), find("../../Dockerfile", `(?m)^FROM .*golang:(\S+) AS build$`)
	if inModule != inImage {
		t.Errorf("go.mod has the toolchain %s, the Dockerfile %s", inModule, inImage)
	}
}
