package cli

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds each wait for a condition.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"nightjar": func() { os.Exit(Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs nightjar as a process, a script a feature. Each has $PORT1 to $PORT3, on which nobody listens, and
// $TAKEN, on which somebody does.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"waits":  waits,
			"keys":   keys,
			"socket": socket,
		},
	})
}

func setUp(env *testscript.Env) error {
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else the race detector sleeps for a second at the end of each process
	for i := range 4 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return err
		}
		name := "PORT" + strconv.Itoa(i)
		if i == 0 {
			name = "TAKEN"
			env.Defer(func() { _ = l.Close() })
		} else {
			defer l.Close() // all at the end, so that they differ
		}
		env.Setenv(name, port)
	}
	return nil
}

// exits STATUS PROGRAM ARGUMENT...: the exit status, and an error told on stderr where it isn't 0.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARGUMENT...")
	}
	if got := strconv.Itoa(status(ts.Exec(args[1], args[2:]...))); got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
	if args[0] != "0" && ts.ReadFile("stdout") != "" {
		ts.Fatalf("it failed, and yet stdout has something")
	}
}

// status is the exit status of a command that ended so; -1 if it could not run.
func status(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		return -1
	}
}

// waits PATTERN PROGRAM ARGUMENT...: runs it until its stdout or stderr has the pattern.
func waits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waits PATTERN PROGRAM ARGUMENT...")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	for late := time.Now().Add(patience); ; {
		_ = ts.Exec(args[1], args[2:]...)
		if pattern.MatchString(ts.ReadFile("stdout")) || pattern.MatchString(ts.ReadFile("stderr")) {
			return
		}
		if time.Now().After(late) {
			ts.Fatalf("waited %s in vain for %q", patience, args[0])
		}
	}
}

// keys FILE KEY...: the file is one YAML (or JSON) object with exactly these keys, none of them empty.
func keys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: keys FILE KEY...")
	}
	var document map[string]any
	ts.Check(yaml.UnmarshalWithOptions([]byte(ts.ReadFile(args[0])), &document, yaml.Strict()))
	for _, key := range args[1:] {
		value, known := document[key]
		list, isList := value.([]any)
		if !known || value == nil || isList && len(list) == 0 {
			ts.Fatalf("%s: %v", key, value)
		}
		delete(document, key)
	}
	for key := range document {
		ts.Fatalf("there is %s too", key)
	}
}

// socket PATH: leaves a unix socket that nobody answers on.
func socket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: socket PATH")
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: ts.MkAbs(args[0]), Net: "unix"})
	ts.Check(err)
	l.SetUnlinkOnClose(false)
	ts.Check(l.Close())
}

// try runs a command line in this process.
func try(t *testing.T, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	var out, errs bytes.Buffer
	exit = run(t.Context(), args, nil, &out, &errs)
	return out.String(), errs.String(), exit
}

func TestEachCommandHelpsWithAnExample(t *testing.T) {
	t.Parallel()
	overview, _, _ := try(t, "--help")
	for _, c := range commands() {
		if !strings.Contains(overview, "\n  "+c.name+" ") {
			t.Errorf("the overview lacks %s", c.name)
		}
		for _, flag := range []string{"--help", "-h"} {
			out, stderr, exit := try(t, c.name, flag)
			_, example, found := strings.Cut(out, "\nExample")
			if exit != exitDone || stderr != "" || !found || !strings.Contains(example, "nightjar") && !strings.Contains(example, "curl") {
				t.Errorf("%s %s: status %d\n%s%s", c.name, flag, exit, out, stderr)
			}
			if !strings.HasPrefix(out, "nightjar "+c.name+": "+c.summary) {
				t.Errorf("%s %s begins with %q", c.name, flag, out[:min(len(out), 60)])
			}
		}
	}
}

func TestEachCommandRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, c := range commands() {
		for _, wrong := range []string{"--no-such-flag", "no-such-argument"} {
			stdout, stderr, exit := try(t, c.name, wrong)
			if exit != exitUsage || stdout != "" || !strings.Contains(stderr, strings.TrimLeft(wrong, "-")) ||
				!strings.Contains(stderr, "nightjar "+c.name+" --help") {
				t.Errorf("%s %s: status %d, stdout %q, stderr %q", c.name, wrong, exit, stdout, stderr)
			}
		}
	}
}

func TestOfEqualVariablesTheLastCounts(t *testing.T) {
	t.Parallel()
	env := environment([]string{"A=1", "A=2", "B=x=y", "C"})
	if env["A"] != "2" || env["B"] != "x=y" || len(env) != 2 {
		t.Errorf("%v", env)
	}
}
