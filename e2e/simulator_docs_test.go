package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/demo"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
)

// walk is the walk-through of docs/simulator.md, in a folder of its own and with ports that nobody else has.
type walk struct {
	t         *testing.T
	text      string
	dir       string
	terminals map[string][]string // the blocks of commands of each
	env       []string
	egress    string
	ingress   string
	ports     *strings.Replacer
}

func newWalk(t *testing.T) *walk {
	t.Helper()
	_, text, _ := strings.Cut(readDoc(t, "../docs/simulator.md"), "\n## A world of your own\n")
	text, _, _ = strings.Cut(text, "\n## ")
	ports, dir, bin := freePorts(t, 6), t.TempDir(), binaries(t)
	w := &walk{
		t: t, dir: dir, terminals: map[string][]string{}, egress: "http://127.0.0.1:" + ports[1], ingress: "http://127.0.0.1:" + ports[5],
		ports: strings.NewReplacer(":4566", ":"+ports[0], "LISTEN_PORT=8080", "LISTEN_PORT="+ports[1], "127.0.0.1:8080", "127.0.0.1:"+ports[1],
			"127.80.", fmt.Sprintf("127.%d.", 100+nets.Add(1)%120), "--world world.yaml", "--world world.yaml --listen 127.0.0.1:"+ports[0],
			"LISTEN_PORT=8081", "LISTEN_PORT="+ports[5], "127.0.0.1:8081", "127.0.0.1:"+ports[5], ":9902", ":"+ports[2], ":9903", ":"+ports[3],
			"/path/to/nightjar-mesh/.tools/envoy-"+envoy.Version+"/", bin+"/"),
		env: []string{
			"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "GORACE=atexit_sleep_ms=0",
			"NIGHTJAR_XDS_LISTEN=127.0.0.1:" + ports[2], "NIGHTJAR_ADMIN_LISTEN=127.0.0.1:" + ports[3], "ENVOY_ADMIN_PORT=" + ports[4],
		},
	}
	w.text = text
	terminal := ""
	for block := range strings.SplitSeq(text, "\n\n") {
		if m := regexp.MustCompile(`\*\*(Terminal \d)\*\*`).FindStringSubmatch(block); m != nil {
			terminal = m[1]
		}
		if strings.HasPrefix(block, "    ") {
			commands := strings.ReplaceAll("\n"+block, "\n    ", "\n")
			w.terminals[terminal] = append(w.terminals[terminal], w.ports.Replace(strings.TrimSpace(commands)))
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "world.yaml"), []byte(w.ports.Replace(w.fenced("yaml", 0))), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "settings"), []byte(w.ports.Replace(w.fenced("sh", 0))), 0o644))
	return w
}

// fenced is a block of a language, counted from 0.
func (w *walk) fenced(language string, number int) string {
	w.t.Helper()
	blocks := strings.Split(w.text, "```"+language+"\n")
	if len(blocks) < number+2 {
		w.t.Fatalf("%d blocks of %s", len(blocks)-1, language)
	}
	block, _, _ := strings.Cut(blocks[number+1], "```")
	return block
}

// shell is a terminal with commands that are typed into it.
func (w *walk) shell(commands string) *exec.Cmd {
	cmd := exec.Command("bash", "-e", "-c", commands)
	cmd.Dir, cmd.Env = w.dir, w.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// open types a block of commands into a terminal, and leaves it open until the test ends.
func (w *walk) open(terminal string, block int) *process {
	w.t.Helper()
	if len(w.terminals[terminal]) <= block {
		w.t.Fatalf("%s has %q", terminal, w.terminals[terminal])
	}
	p := &process{done: make(chan struct{}), cmd: w.shell(w.terminals[terminal][block])}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	must(w.t, p.cmd.Start())
	go func() { p.err = p.cmd.Wait(); close(p.done) }()
	w.t.Cleanup(func() {
		interrupt(p, syscall.SIGKILL)
		if w.t.Failed() {
			w.t.Logf("%s:\n%s", terminal, tail(p.output(), 40))
		}
	})
	return p
}

// do types commands into the fourth terminal, and returns what they print.
func (w *walk) do(block int) string {
	w.t.Helper()
	cmd := w.shell(w.terminals["Terminal 4"][block])
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s%s", w.terminals["Terminal 4"][block], err, out, stderr.String())
	}
	return string(out)
}

func (w *walk) eventually(what string, terminals []*process, condition func() bool) {
	w.t.Helper()
	for late := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		for _, p := range terminals {
			select {
			case <-p.done:
				w.t.Fatalf("a terminal ended while waiting for %s: %v", what, p.err)
			default:
			}
		}
		if time.Now().After(late) {
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestDocsTheSimulatorsWalkThroughRunsAsItIsWritten(t *testing.T) {
	t.Parallel()
	w := newWalk(t)
	sim := w.open("Terminal 1", 0)
	welcome := w.ports.Replace(w.fenced("text", 0))
	w.eventually("the simulator says what to copy", []*process{sim}, func() bool { return contains(sim.output(), "What happens:\n") })
	if !strings.HasPrefix(sim.output(), welcome) {
		t.Errorf("the simulator says\n%s\nthe page has\n%s", sim.output(), welcome)
	}
	all := []*process{sim, w.open("Terminal 2", 0), w.open("Terminal 3", 0)}
	client := &http.Client{Timeout: time.Second}
	for _, path := range []string{"/orders", "/users"} {
		w.eventually(path+" is served", all, func() bool { return demo.Get(client, w.egress, path).Err == nil })
	}
	answers := w.answers(w.do(0))
	if len(answers) != 2 || answers[0].Service != "shop/orders" || answers[1].Service != "shop/users" || answers[1].Target != "/users/7?full=yes" {
		t.Errorf("the first requests: %+v", answers)
	}
	out := w.do(1)
	if !strings.HasPrefix(out, "deploy shop/orders\n") || !contains(sim.output(), "  deploy shop/orders\n") {
		t.Errorf("the step: %.100s", out)
	}
	revisions := map[string]int{}
	for _, a := range w.answers(strings.TrimPrefix(out, "deploy shop/orders\n")) {
		revisions[a.Revision]++
	}
	if revisions["orders:1"] == 0 || revisions["orders:2"] == 0 || revisions["orders:1"]+revisions["orders:2"] != 100 {
		t.Errorf("while it is deployed: %v", revisions)
	}
	t.Logf("answers while it is deployed: %v", revisions)
	w.explainsItself()
	for _, p := range all[1:] {
		interrupt(p, syscall.SIGINT)
	}
	w.takesIngress(sim)
}

// interrupt ends a terminal's programs.
func interrupt(p *process, with syscall.Signal) {
	_ = syscall.Kill(-p.cmd.Process.Pid, with)
	<-p.done
}

// explainsItself goes through the section of that name.
func (w *walk) explainsItself() {
	w.t.Helper()
	out := w.do(2)
	for _, want := range []string{"nightjar is ready", "orders:2", "shop/users"} {
		if !contains(out, want) {
			w.t.Errorf("status, explain and check lack %q:\n%s", want, out)
		}
	}
	if contains(out, "FAIL") {
		w.t.Errorf("check finds:\n%s", out)
	}
	for _, at := range []string{`a page at (http://[^ ]+) `, "`curl (http://[^ ]+/api/status)`"} {
		resp, err := http.Get(w.ports.Replace(regexp.MustCompile(at).FindStringSubmatch(w.text)[1]))
		must(w.t, err)
		must(w.t, resp.Body.Close())
		if resp.StatusCode != http.StatusOK {
			w.t.Errorf("%s: %s", at, resp.Status)
		}
	}
	broken := w.shell(". ./settings\n" + w.terminals["Terminal 4"][3])
	text, err := broken.Output()
	if broken.ProcessState.ExitCode() != 1 || !regexp.MustCompile(`FAIL .*shop/ordres`).Match(text) || !contains(string(text), "SERVICE_ARN_1") {
		w.t.Errorf("check of a mistyped name: %v\n%s", err, text)
	}
}

// takesIngress goes through the section on ingress.
func (w *walk) takesIngress(sim *process) {
	w.t.Helper()
	settings, err := os.OpenFile(filepath.Join(w.dir, "settings"), os.O_APPEND|os.O_WRONLY, 0)
	must(w.t, err)
	_, err = settings.WriteString(w.ports.Replace(w.fenced("sh", 1)))
	must(w.t, errors.Join(err, settings.Close()))
	proxy := w.open("Terminal 3", 1)
	all := []*process{sim, w.open("Terminal 2", 0), proxy}
	client := &http.Client{Timeout: time.Second}
	health := func(status int) func() bool {
		return func() bool { return demo.Get(client, w.ingress, "/.nightjar/health").Status == status }
	}
	w.eventually("the own task is well", all, health(http.StatusOK))
	head, body, _ := strings.Cut(w.do(4), "\r\n\r\n")
	answers := w.answers(body)
	if !strings.HasPrefix(head, "HTTP/1.1 200 OK") || len(answers) != 1 || answers[0].Service != "shop/portal" || answers[0].Target != "/hello" {
		w.t.Errorf("%s, %+v", head, answers)
	}
	w.do(5)
	w.eventually("the app's end is seen", all, health(http.StatusServiceUnavailable))
	w.do(6)
	w.eventually("the app is back", all, health(http.StatusOK))
	if demo.Get(client, w.egress, "/orders").Err != nil {
		w.t.Error("egress is gone")
	}
	w.do(7)
	w.eventually("Envoy drains as its task is stopped", all, func() bool {
		return contains(proxy.output(), "drain: the health path answers 503") && contains(proxy.output(), "the task is being stopped")
	})
	w.eventually("the health path tells", all, health(http.StatusServiceUnavailable))
	interrupt(proxy, syscall.SIGINT)
	if !contains(proxy.output(), "Envoy has ended") {
		w.t.Errorf("Envoy's end: %s", proxy.output())
	}
}

// answers reads what backends answered, one behind the other.
func (w *walk) answers(out string) []demo.Answer {
	w.t.Helper()
	var all []demo.Answer
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var a demo.Answer
		if err := d.Decode(&a); err != nil {
			w.t.Fatalf("%v in %.300s", err, out)
		}
		all = append(all, a)
	}
	return all
}

// TestTheSimulatorSaysWhichServiceWaitsForAPort has one instance for two tasks that ask for the same port.
func TestTheSimulatorSaysWhichServiceWaitsForAPort(t *testing.T) {
	t.Parallel()
	world := filepath.Join(t.TempDir(), "world.yaml")
	must(t, os.WriteFile(world, []byte("clusters: [{name: c1, instances: [{id: i-1, address: 10.0.1.12}], services: [{name: web, desired: 2, "+
		"network: host, containers: [{name: app, ports: [7000]}]}]}]\n"), 0o600))
	cmd := command(nil, "sim", "--world", world, "--listen", "127.0.0.1:"+freePorts(t, 1)[0], "--no-backends")
	p := &process{done: make(chan struct{}), cmd: cmd}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	must(t, p.cmd.Start())
	go func() { p.err = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGINT); <-p.done })
	const want = "c1/web can't start a task: no instance has its ports [7000] free; it waits for one, as in ECS\n"
	(&walk{t: t}).eventually("it says who waits", []*process{p}, func() bool { return contains(p.output(), want) })
}
