package e2e

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// demoRun is the demo as a process.
type demoRun struct {
	*rig
	envoyAdmin, egress string
}

// startDemo starts the demo and waits until its load runs.
func startDemo(t *testing.T, args ...string) *demoRun {
	t.Helper()
	path := envoytest.Path(t)
	d := &demoRun{rig: &rig{t: t, settings: map[string]string{"NIGHTJAR_ENVOY_PATH": path, "NIGHTJAR_LOG_LEVEL": "debug"}}}
	d.start(append([]string{"demo"}, args...)...)
	d.within(2*patience, "the load runs", func() bool { return contains(d.nightjar.output(), "Load: ") })
	d.envoyAdmin = regexp.MustCompile(`http://(\S+)/clusters`).FindStringSubmatch(d.nightjar.output())[1]
	d.egress = regexp.MustCompile(`curl http://(\S+)/orders`).FindStringSubmatch(d.nightjar.output())[1]
	return d
}

// nothingLives waits until neither the demo's Envoy nor a backend is there any more.
func (d *demoRun) nothingLives() {
	d.t.Helper()
	_, port, _ := net.SplitHostPort(d.envoyAdmin)
	d.gone("its Envoy", func() bool {
		processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
		must(d.t, err)
		for _, p := range processes {
			text, _ := os.ReadFile(p)
			if strings.Contains(string(text), "envoy") && strings.Contains(string(text), "port_value: "+port) {
				return false
			}
		}
		return true
	})
	for _, address := range []string{d.envoyAdmin, d.egress, "127.91.1.1:32768", "127.91.2.1:3000"} {
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

// The demos run one after another: they share the addresses of the demo's world.

func TestDemoOnceServesEveryRequestAndKeepsSecrets(t *testing.T) {
	d := startDemo(t, "--once", "--verbose")
	<-d.done(3 * patience)
	out := d.nightjar.output()
	if d.nightjar.err != nil || !regexp.MustCompile(`Summary: [0-9]{4,} sent, 0 failed; change to traffic: median [0-9]+ ms`).MatchString(out) {
		t.Errorf("%v: %s", d.nightjar.err, tail(out, 5))
	}
	if !contains(out, "level=DEBUG") {
		t.Error("no debug log")
	}
	for _, secret := range []string{"Signature", "AWS4-HMAC", "Authorization", "Security-Token", "SECRET", "Credential="} {
		if contains(out, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	d.nothingLives()
}

// done is the end of the process, which must come in time.
func (r *rig) done(most time.Duration) <-chan struct{} {
	r.t.Helper()
	select {
	case <-r.nightjar.done:
	case <-time.After(most):
		r.t.Fatalf("it did not end in %s", most)
	}
	return r.nightjar.done
}

func TestDemoEndsCleanlyOnCtrlC(t *testing.T) {
	d := startDemo(t)
	must(t, d.nightjar.cmd.Process.Signal(os.Interrupt))
	<-d.done(patience)
	if d.nightjar.err != nil {
		t.Errorf("exit status: %v", d.nightjar.err)
	}
	if !contains(d.nightjar.output(), "Summary: ") {
		t.Error("no summary")
	}
	d.nothingLives()
}

func TestDemoKilledLeavesNothingBehind(t *testing.T) {
	d := startDemo(t)
	must(t, d.nightjar.cmd.Process.Signal(syscall.SIGKILL))
	<-d.done(patience)
	d.nothingLives()
}
