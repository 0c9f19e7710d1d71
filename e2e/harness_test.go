// Package e2e runs the whole way: a simulated ECS, nightjar as a process of its own, a real Envoy, and real HTTP backends
// that follow the simulated world. A file a feature.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/groboclown/nightjar-mesh/internal/admin"
	"github.com/groboclown/nightjar-mesh/internal/cli"
	"github.com/groboclown/nightjar-mesh/internal/demo"
	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// asNightjar makes this test binary behave as the nightjar command, so that nightjar runs as a process of its own with
// the same build, the race detector included.
const asNightjar = "E2E_AS_NIGHTJAR"

func TestMain(m *testing.M) {
	if os.Getenv(asNightjar) != "" {
		os.Exit(cli.Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
	}
	testscript.Main(m, map[string]func(){"nightjar": func() { os.Exit(cli.Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) }})
}

// patience bounds each wait for a condition.
const patience = 30 * time.Second

// rig is one run of everything.
type rig struct {
	t        testing.TB
	sim      *ecssim.Sim
	settings map[string]string
	base     string // URL of the egress listener
	nightjar *process
	envoy    *envoytest.Envoy
}

// newRig starts a world of that YAML with its backends and its API, and chooses ports. NET in the world stands for two
// numbers of an address that no other test has. Settings are NAME=VALUE.
func newRig(t testing.TB, world string, settings ...string) *rig {
	t.Helper()
	envoytest.Path(t)
	sim, api := startWorld(t, world)
	return rigOf(t, sim, api, settings...)
}

// rigOf is newRig with a world that runs already, and its API.
func rigOf(t testing.TB, sim *ecssim.Sim, api string, settings ...string) *rig {
	t.Helper()
	ports := freePorts(t, 4)
	r := &rig{t: t, sim: sim, base: "http://127.0.0.1:" + ports[0], settings: map[string]string{
		"AWS_ENDPOINT_URL": api, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIexample", "AWS_SESSION_TOKEN": "session-token-example", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "NIGHTJAR_AWS_RATE": "200", "NIGHTJAR_AWS_BURST": "200",
		"EGRESS_LISTEN_PORT": ports[0], "NIGHTJAR_XDS_LISTEN": "127.0.0.1:" + ports[1], "NIGHTJAR_ADMIN_LISTEN": "127.0.0.1:" + ports[2],
		"ENVOY_ADMIN_PORT": ports[3], "NIGHTJAR_LOG_LEVEL": "debug",
	}}
	for _, line := range settings {
		name, value, _ := strings.Cut(line, "=")
		r.settings[name] = value
	}
	return r
}

// startAll is newRig with nightjar and Envoy running.
func startAll(t testing.TB, world string, settings ...string) *rig {
	t.Helper()
	r := newRig(t, world, settings...)
	r.startNightjar()
	r.startEnvoy()
	return r
}

// nets numbers the networks of tests.
var nets atomic.Int32

func startWorld(t testing.TB, world string) (sim *ecssim.Sim, api string) {
	t.Helper()
	sim = simOf(t, world)
	server := httptest.NewServer(sim.Server)
	t.Cleanup(server.Close)
	follow(t, demo.NewBackends(sim.World, func(err error) { t.Error(err) }))
	return sim, server.URL
}

// simOf makes a world that nobody asks yet and no backends follow.
func simOf(t testing.TB, world string) *ecssim.Sim {
	t.Helper()
	network := fmt.Sprintf("127.%d", 100+nets.Add(1)%120)
	file, err := ecssim.Load([]byte(strings.ReplaceAll(world, "NET", network)))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := ecssim.New(file)
	if err != nil {
		t.Fatal(err)
	}
	return sim
}

// follow runs backends until the test ends.
func follow(t testing.TB, backends *demo.Backends) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		backends.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// given are the ports that freePorts has given away: who got one may not listen yet.
var given sync.Map

// freePorts are ports that nobody listens on now, none of those that the system gives to connections and to listeners that ask for
// any: these could have it before who it is for.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var ports []string
	for len(ports) < n {
		port := strconv.Itoa(10_000 + rand.IntN(22_000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer l.Close()
		if _, taken := given.LoadOrStore(port, true); !taken {
			ports = append(ports, port)
		}
	}
	return ports
}

// process is a running nightjar.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
	mu   sync.Mutex
	log  bytes.Buffer
}

// Write takes the process's output.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// command is nightjar with arguments and settings, and nothing else of this process's environment.
func command(settings map[string]string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	// The race detector otherwise sleeps for a second at the end of a process.
	cmd.Env = []string{"GORACE=atexit_sleep_ms=0", asNightjar + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if settings[name] != "" {
			cmd.Env = append(cmd.Env, name+"="+settings[name])
		}
	}
	return cmd
}

// startNightjar starts the control plane.
func (r *rig) startNightjar() {
	r.t.Helper()
	r.start("serve")
}

// start starts a command of nightjar; its log is shown where the test fails.
func (r *rig) start(args ...string) {
	r.t.Helper()
	r.startCommand(command(r.settings, args...))
}

// startCommand is start for any command that runs nightjar.
func (r *rig) startCommand(cmd *exec.Cmd) {
	r.t.Helper()
	p := &process{done: make(chan struct{}), cmd: cmd}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { p.err = p.cmd.Wait(); close(p.done) }()
	r.nightjar = p
	r.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		keepsSecrets(r.t, p.output(), r.settings)
		if r.t.Failed() {
			r.t.Logf("nightjar's log:\n%s", tail(p.output(), 40))
		}
	})
}

// keepsSecrets checks that a log has no credential, and nothing of a signed request that stands for one.
func keepsSecrets(t testing.TB, log string, settings map[string]string) {
	t.Helper()
	secrets := []string{"Signature=", "AWS4-HMAC", "Authorization:", "X-Amz-Security-Token", "Credential="}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		if settings[name] != "" {
			secrets = append(secrets, settings[name])
		}
	}
	for _, secret := range secrets {
		if i := strings.Index(strings.ToLower(log), strings.ToLower(secret)); i >= 0 {
			t.Errorf("the log holds %q: …%s…", secret, log[max(0, i-100):min(len(log), i+100)])
		}
	}
}

func tail(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// stopNightjar ends nightjar with a signal and tells how long that took.
func (r *rig) stopNightjar(with syscall.Signal) time.Duration {
	r.t.Helper()
	begin := time.Now()
	if err := r.nightjar.cmd.Process.Signal(with); err != nil {
		r.t.Fatal(err)
	}
	<-r.nightjar.done
	return time.Since(begin)
}

// startEnvoy starts Envoy with the bootstrap that nightjar prints.
func (r *rig) startEnvoy() {
	r.t.Helper()
	r.envoy = envoytest.Start(r.t, envoytest.Options{Bootstrap: []byte(r.run("bootstrap"))})
}

// run runs a command of nightjar, which must succeed, and returns its stdout.
func (r *rig) run(args ...string) string {
	r.t.Helper()
	var stderr bytes.Buffer
	cmd := command(r.settings, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("nightjar %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// eventually waits for a condition.
func (r *rig) eventually(what string, condition func() bool) {
	r.t.Helper()
	r.within(patience, what, condition)
}

// within waits for a condition for so long.
func (r *rig) within(most time.Duration, what string, condition func() bool) {
	r.t.Helper()
	late := time.Now().Add(most)
	for !condition() {
		if time.Now().After(late) {
			r.t.Fatalf("waited %s in vain for: %s", most, what)
		}
		select {
		case <-r.nightjar.done:
			r.t.Fatalf("nightjar ended while waiting for %s: %v", what, r.nightjar.err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// response is an answer through Envoy.
type response struct {
	status int
	body   string
	header http.Header
	answer demo.Answer
}

// send sends a request whose target reaches Envoy exactly as it is written, which net/http's client doesn't promise.
func (r *rig) send(method, target string, body io.Reader, header http.Header) (response, error) {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(r.base, "http://"), 5*time.Second)
	if err != nil {
		return response{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	var text []byte
	if body != nil {
		if text, err = io.ReadAll(body); err != nil {
			return response{}, err
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n", method, target, conn.RemoteAddr(), len(text))
	_ = header.Write(&b)
	b.WriteString("\r\n")
	if _, err := conn.Write(append(b.Bytes(), text...)); err != nil {
		return response{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	got := response{status: resp.StatusCode, body: string(answer), header: resp.Header}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		err = errors.Join(err, json.Unmarshal(answer, &got.answer))
	}
	return got, err
}

// get asks for a path; status 0 means that there was no answer.
func (r *rig) get(path string) response {
	got, err := r.send(http.MethodGet, path, nil, nil)
	if err != nil {
		return response{body: err.Error()}
	}
	return got
}

// waitStatus waits until a path answers with a status.
func (r *rig) waitStatus(path string, status int) {
	r.t.Helper()
	var got response
	defer func() {
		if r.t.Failed() {
			r.t.Logf("%s answered at last: %d %q", path, got.status, got.body)
		}
	}()
	r.eventually(fmt.Sprintf("%s answers %d", path, status), func() bool {
		got = r.get(path)
		return got.status == status
	})
}

// waitTasks waits until a path is answered by exactly the tasks of the service that run in the world, that many.
func (r *rig) waitTasks(path, clusterName, service string, count int) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("%s is answered by the %d tasks of %s", path, count, service), func() bool {
		want := r.sim.World.Tasks(clusterName, service)
		if len(want) != count {
			return false
		}
		slices.Sort(want)
		seen := map[string]bool{}
		for range 4 * count {
			if got := r.get(path); got.status == http.StatusOK {
				seen[got.answer.Task] = true
			}
		}
		return slices.Equal(slices.Sorted(maps.Keys(seen)), want)
	})
}

// status asks nightjar's admin address.
func (r *rig) status() admin.Report {
	r.t.Helper()
	var report admin.Report
	if err := json.Unmarshal([]byte(r.admin("/api/status")), &report); err != nil {
		r.t.Fatal(err)
	}
	return report
}

// service is what the status has of a service ECS-CLUSTER/NAME and what else its name in the mesh has.
func (r *rig) service(name string) admin.Service {
	r.t.Helper()
	services := r.status().Services
	i := slices.IndexFunc(services, func(s admin.Service) bool { return s.Name == name })
	if i < 0 {
		r.t.Fatalf("the status has no service %s", name)
	}
	return services[i]
}

// admin gets a path of nightjar's admin address.
func (r *rig) admin(path string) string {
	r.t.Helper()
	resp, err := http.Get("http://" + r.settings["NIGHTJAR_ADMIN_LISTEN"] + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}

// services are the settings of SERVICE_*_X for path and service in turn.
func services(pairs ...string) []string {
	var lines []string
	for i := 0; i < len(pairs); i += 2 {
		x := strconv.Itoa(i/2 + 1)
		lines = append(lines, "SERVICE_PATH_"+x+"="+pairs[i], "SERVICE_ARN_"+x+"=arn:aws:ecs:eu-west-1:111122223333:service/"+pairs[i+1])
	}
	return lines
}

// worldOf is a world with one ECS cluster c1 with two instances, and the services given as YAML list items.
func worldOf(services string) string {
	return `
region: eu-west-1
seed: 7
timing: {provision: 100ms, pull: 100ms, sigterm: 1s, deregister: 2s, exit: 100ms, report: 200ms}
clusters:
- name: c1
  subnet: NET.2.0/24
  instances:
  - {id: i-0000000000000001, address: NET.1.1, zone: eu-west-1a}
  - {id: i-0000000000000002, address: NET.1.2, zone: eu-west-1b}
  services:
` + indentYAML(services)
}

func indentYAML(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = "  " + l
	}
	return strings.Join(lines, "\n") + "\n"
}

func contains(text, part string) bool { return strings.Contains(text, part) }

// usualPolicy is what the settings' defaults make.
func usualPolicy() mesh.Policy { return mesh.Policy{Retries: 5, IdleTimeout: 4 * time.Second} }
