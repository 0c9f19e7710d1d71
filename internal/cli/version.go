package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// stamp is what bin/build.sh links in: version, commit and the commit's date. A plain go build leaves it empty.
var stamp string //nolint:gochecknoglobals // only a variable can be linked in

func versionCommand() command {
	return command{
		name:    "version",
		summary: "print the version, its commit and the commit's date",
		help:    func() string { return "Example:\n  nightjar version" },
		run: func(_ context.Context, c *call) error {
			_, err := fmt.Fprintf(c.stdout, "nightjar %s (%s %s/%s)\n", builtHere(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// version is the release's number, else the commit.
func version() string { return builtHere().short() }

// build is what a program was built from; what isn't known is "".
type build struct{ version, commit, date string }

// builtHere is what this program was built from: as linked in, else as the Go toolchain recorded it.
func builtHere() build {
	info, _ := debug.ReadBuildInfo()
	return buildOf(stamp, info)
}

// noRelease is the version of what is built from a commit without a version.
const noRelease = "devel"

func buildOf(stamp string, info *debug.BuildInfo) build {
	if f := strings.Fields(stamp); len(f) == 3 {
		return build{version: f[0], commit: known(f[1]), date: known(f[2])}
	}
	b := build{version: noRelease}
	if info == nil {
		return b
	}
	modified := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.commit = s.Value
		case "vcs.time":
			b.date = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				modified = "-modified"
			}
		}
	}
	if b.commit != "" {
		b.commit += modified
	} else if v := info.Main.Version; v != "" && v != "(devel)" { // go install nightjar@v1.2.3
		b.version = strings.TrimPrefix(v, "v")
	}
	return b
}

// known is what bin/stamp.sh found out, "" for nothing.
func known(value string) string {
	if value == "unknown" {
		return ""
	}
	return value
}

func (b build) short() string {
	if b.version == noRelease && len(b.commit) >= 12 {
		return noRelease + "-" + b.commit[:12]
	}
	return b.version
}

// String names the version, and its commit where that is known.
func (b build) String() string {
	text := b.version
	if b.commit != "" {
		text += ", commit " + b.commit
	}
	if b.date != "" {
		text += " of " + b.date
	}
	return text
}
