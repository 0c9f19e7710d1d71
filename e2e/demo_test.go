package e2e

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// demoRun is the demo as a process.
type demoRun struct {
	*rig
	envoyAdmin, egress string
	network            string // the beginning of its containers' addresses
}

// startDemo starts the demo as a process, or what else a command is that runs it, and waits until its load runs.
func startDemo(t *testing.T, cmd func(settings map[string]string) *exec.Cmd) *demoRun {
	t.Helper()
	d := &demoRun{rig: &rig{t: t, settings: map[string]string{
		"NIGHTJAR_ENVOY_PATH": envoytest.Path(t), "NIGHTJAR_LOG_LEVEL": "debug", "TMPDIR": shortTempDir(t),
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIexample", "AWS_SESSION_TOKEN": "session-token-example",
	}}}
	d.startCommand(cmd(d.settings))
	d.within(4*patience, "the load runs", func() bool { return contains(d.nightjar.output(), "Load: ") })
	d.envoyAdmin = regexp.MustCompile(`http://(\S+)/clusters`).FindStringSubmatch(d.nightjar.output())[1]
	d.egress = regexp.MustCompile(`curl http://(\S+)/orders`).FindStringSubmatch(d.nightjar.output())[1]
	if !d.envoyLives() {
		t.Fatal("its Envoy isn't found, so its end wouldn't be either")
	}
	resp, err := http.Get("http://" + d.envoyAdmin + "/clusters")
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	d.network = regexp.MustCompile(`::(127\.9[0-9])\.1\.1:`).FindStringSubmatch(string(text))[1]
	return d
}

// demoCommand is `nightjar demo` with arguments.
func demoCommand(args ...string) func(map[string]string) *exec.Cmd {
	return func(settings map[string]string) *exec.Cmd {
		return command(settings, append([]string{"demo"}, args...)...)
	}
}

// goRunDemo is the README's first command, built as this test is, so that all but the link is there already.
func goRunDemo(settings map[string]string) *exec.Cmd {
	args := []string{"run"}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/nightjar", "demo")...)
	cmd.Dir, cmd.Env = "..", os.Environ()
	for name, value := range settings {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// envoyLives tells whether there is a process with the demo's bootstrap, which has Envoy's admin port.
func (d *demoRun) envoyLives() bool {
	d.t.Helper()
	_, port, err := net.SplitHostPort(d.envoyAdmin)
	must(d.t, err)
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(d.t, err)
	return slices.ContainsFunc(processes, func(p string) bool {
		text, _ := os.ReadFile(p) // it may have ended
		return strings.Contains(string(text), "envoy") && strings.Contains(string(text), "port_value: "+port)
	})
}

// nothingLives waits until neither the demo's Envoy nor a backend is there any more.
func (d *demoRun) nothingLives() {
	d.t.Helper()
	d.gone("its Envoy", func() bool { return !d.envoyLives() })
	for _, address := range []string{d.envoyAdmin, d.egress, d.network + ".1.1:32768", d.network + ".2.1:3000"} {
		d.gone(address, func() bool {
			conn, err := net.DialTimeout("tcp", address, time.Second)
			if err == nil {
				_ = conn.Close()
			}
			return err != nil
		})
	}
}

func (d *demoRun) gone(what string, condition func() bool) {
	d.t.Helper()
	for late := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			d.t.Fatalf("%s lives on", what)
		}
	}
}

// TestDemo runs one demo after another, as each keeps a processor busy.
func TestDemo(t *testing.T) { //nolint:tparallel // see above
	t.Parallel()
	t.Run("once serves every request", demoOnce)
	t.Run("ends cleanly on Ctrl-C", demoInterrupted)
	t.Run("killed leaves nothing behind", demoKilled)
	t.Run("its go run killed leaves nothing behind", demoGoRunKilled)
}

func demoOnce(t *testing.T) {
	d := startDemo(t, demoCommand("--once", "--verbose"))
	d.ends(3 * patience)
	out := d.nightjar.output() // the harness looks for secrets in it
	if d.nightjar.err != nil || !regexp.MustCompile(`Summary: [0-9]{4,} sent, 0 failed; change to traffic: median [0-9]+ ms`).MatchString(out) {
		t.Errorf("%v: %s", d.nightjar.err, tail(out, 5))
	}
	for _, want := range []string{"level=DEBUG", "DescribeTasks", "deploy", "scale", "kill"} {
		if !contains(out, want) {
			t.Errorf("its output and debug log lack %q", want)
		}
	}
	d.nothingLives()
}

// demoInterrupted has another demo beside it, which takes other addresses.
func demoInterrupted(t *testing.T) {
	d, other := startDemo(t, demoCommand()), startDemo(t, demoCommand())
	if d.network == other.network {
		t.Errorf("two demos have addresses in %s", d.network)
	}
	must(t, other.nightjar.cmd.Process.Signal(os.Interrupt))
	other.ends(patience)
	if out := other.nightjar.output(); !contains(out, " 0 failed;") {
		t.Errorf("beside another demo: %s", tail(out, 5))
	}
	must(t, d.nightjar.cmd.Process.Signal(os.Interrupt))
	d.ends(patience)
	if d.nightjar.err != nil {
		t.Errorf("exit status: %v", d.nightjar.err)
	}
	if !contains(d.nightjar.output(), "Summary: ") {
		t.Error("no summary")
	}
	paths := regexp.MustCompile(`(?m)^Logs: (\S+)$`).FindAllStringSubmatch(d.nightjar.output(), -1)
	if len(paths) != 2 || paths[0][1] != paths[1][1] || !strings.HasSuffix(d.nightjar.output(), paths[1][0]+"\n") {
		t.Fatalf("it names the file of its logs %d times; want at the beginning and at the end", len(paths))
	}
	log, err := os.ReadFile(paths[0][1])
	must(t, err)
	if !contains(string(log), "level=DEBUG") {
		t.Error("no debug log")
	}
	keepsSecrets(t, string(log), d.settings)
	d.nothingLives()
}

func demoKilled(t *testing.T) {
	d := startDemo(t, demoCommand())
	must(t, d.nightjar.cmd.Process.Kill())
	d.ends(patience)
	d.nothingLives()
}

// demoGoRunKilled kills the go command alone, which starts the demo and can't pass that on.
func demoGoRunKilled(t *testing.T) {
	d := startDemo(t, goRunDemo)
	must(t, d.nightjar.cmd.Process.Kill())
	d.ends(patience)
	d.nothingLives()
}

// ends waits for the end of the process, which must come in time.
func (r *rig) ends(most time.Duration) {
	r.t.Helper()
	select {
	case <-r.nightjar.done:
	case <-time.After(most):
		r.t.Fatalf("it did not end in %s", most)
	}
}
