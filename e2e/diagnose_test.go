package e2e

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

var update = flag.Bool("update", false, "write what is said into the scripts of testdata/diagnose, and what bootstrap prints into the examples")

// scripts is where the scripts of broken worlds are.
const scripts = "testdata/diagnose"

// TestBrokenWorldsAreExplained runs the scripts in testdata/diagnose: each a broken world, and what nightjar says of it.
// Beside testscript's own commands they have
//
//	world FILE [AGE]             a simulated ECS of a world file, polite and without throttles, which began AGE ago (1m if
//	                             it isn't given); waits until each service has its desired tasks RUNNING
//	starting FILE                world, of a world that begins now and is not waited for
//	step DO ECS-CLUSTER/NAME [KEY=VALUE...]
//	                             a step of a world's timeline happens now: scale, deploy, health …, with its keys
//	deny ACTION...               takes permissions away, such as ListTasks
//	allow ACTION...              gives them back
//	fault KIND [ACTION]          a fault of AWS begins: throttle, expired-token, wrong-type …
//	heal                         ends all faults
//	metadata ECS-CLUSTER/NAME    nightjar runs in the oldest running task of that service
//	serve                        nightjar serve runs in the background, until the end of the script
//	envoy                        so does a real Envoy, with the bootstrap that nightjar prints, connected to it
//	knows PATTERN                waits until /api/status of the running nightjar has it
//	exits STATUS COMMAND...      runs a command to its end, for stdout and stderr to look at
//	says FILE                    what it wrote to stdout is the file. In both, columns have any width; a task's ID is TASK-1,
//	                             TASK-2 … in order of appearance, a deployment's ecs-svc/1, ecs-svc/2 …, a time (with the day,
//	                             if it isn't today) HH:MM, each port of the settings its variable, and the address of the
//	                             simulated AWS AWS-ENDPOINT. With -update it is written anew
//
// A script has the settings of a nightjar without services: an egress port, free ports to listen on, and after world where
// its AWS is, with credentials; and in $NOBODY a port that nobody listens on.
func TestBrokenWorldsAreExplained(t *testing.T) {
	t.Parallel()
	runScripts(t, scripts, nil)
}

// runScripts runs the scripts of a folder, with more commands than they all have.
func runScripts(t *testing.T, dir string, more map[string]func(*testscript.TestScript, bool, []string)) {
	t.Helper()
	commands := map[string]func(*testscript.TestScript, bool, []string){
		"world":    inScript("FILE [AGE]", 1, 2, (*script).world),
		"starting": inScript("FILE", 1, 1, (*script).starting),
		"step":     inScript("DO ECS-CLUSTER/NAME [KEY=VALUE...]", 2, 9, (*script).step),
		"deny":     inScript("ACTION...", 1, 5, (*script).deny),
		"allow":    inScript("ACTION...", 1, 5, (*script).allow),
		"fault":    inScript("KIND [ACTION]", 1, 2, (*script).fault),
		"heal":     inScript("", 0, 0, (*script).heal),
		"metadata": inScript("ECS-CLUSTER/NAME", 1, 1, (*script).metadata),
		"serve":    inScript("", 0, 0, (*script).serve),
		"envoy":    inScript("", 0, 0, (*script).envoy),
		"knows":    inScript("PATTERN", 1, 1, (*script).knows),
		"exits":    inScript("STATUS COMMAND...", 2, 99, (*script).exits),
		"says":     inScript("FILE", 1, 1, (*script).says),
	}
	maps.Copy(commands, more)
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               func(env *testscript.Env) error { return setUpScript(env, dir) },
		Cmds:                commands,
	})
}

// script is a script that runs.
type script struct {
	*testscript.TestScript
	t testing.TB
	// origin is the folder of the script's own file.
	origin string
	api    string
	// network is the start of the addresses, of this machine, that its world's apps listen on; "" where none of them listens.
	network string
	// file and sim are its world; nil before it has one.
	file *ecssim.File
	sim  *ecssim.Sim
	// nightjar is the one that serves; nil before.
	nightjar *process
}

// scriptKey finds the script among testscript's values.
type scriptKey struct{}

func setUpScript(env *testscript.Env, dir string) error {
	t, ok := env.T().(testing.TB)
	if !ok {
		return errors.New("the scripts need a testing.T")
	}
	origin, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	s := &script{t: t, origin: origin}
	if dir != scripts {
		s.network = fmt.Sprintf("127.%d", 20+networks.Add(1)%60)
	}
	env.Values[scriptKey{}] = s
	ports := freePorts(t, 5)
	for _, line := range []string{
		"GORACE=atexit_sleep_ms=0", "HOME=" + env.WorkDir, "TZ=UTC",
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIexample", "AWS_SESSION_TOKEN=session-token-example",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"NIGHTJAR_AWS_RATE=200", "NIGHTJAR_AWS_BURST=200",
		"EGRESS_LISTEN_PORT=" + ports[0], "NIGHTJAR_XDS_LISTEN=127.0.0.1:" + ports[1],
		"NIGHTJAR_ADMIN_LISTEN=127.0.0.1:" + ports[2], "ENVOY_ADMIN_PORT=" + ports[3],
		"NOBODY=" + ports[4],
	} {
		name, value, _ := strings.Cut(line, "=")
		env.Setenv(name, value)
	}
	return nil
}

// inScript makes a command of a method that takes from least to most arguments.
func inScript(usage string, least, most int, do func(*script, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		s, ok := ts.Value(scriptKey{}).(*script)
		if neg || !ok || len(args) < least || len(args) > most {
			ts.Fatalf("the arguments are %s", usage)
		}
		s.TestScript = ts
		do(s, args)
	}
}

func (s *script) world(args []string) {
	age := time.Minute
	if len(args) > 1 {
		var err error
		age, err = time.ParseDuration(args[1])
		s.Check(err)
	}
	s.begin(args[0], time.Now().Add(-age))
	for _, c := range s.file.Clusters {
		for _, service := range c.Services {
			s.eventually(fmt.Sprintf("the %d tasks of %s/%s", service.Desired, c.Name, service.Name), func() bool {
				s.sim.World.Advance(time.Now())
				return len(s.sim.World.Tasks(c.Name, service.Name)) == service.Desired
			})
		}
	}
	if s.network != "" {
		s.eventually("the apps listen", s.listen)
	}
}

func (s *script) starting(args []string) { s.begin(args[0], time.Now()) }

// begin starts the world of a file at a time. What the file leaves out of its timing takes no time.
func (s *script) begin(path string, start time.Time) {
	file, err := ecssim.Load([]byte(s.ReadFile(path)))
	s.Check(err)
	for _, d := range []*time.Duration{&file.Timing.Provision, &file.Timing.Pull, &file.Timing.Register, &file.Timing.Report} {
		*d = max(*d, time.Millisecond)
	}
	file.Polite, file.Unlimited = true, true
	s.file = file
	if s.network != "" {
		s.moveHere()
	}
	s.sim, err = ecssim.NewAt(file, start)
	s.Check(err)
	if s.network != "" {
		s.startBackends()
	}
	server := httptest.NewServer(s.sim.Server)
	s.Defer(server.Close)
	s.api = server.URL
	s.Setenv("AWS_ENDPOINT_URL", server.URL)
	s.Setenv("AWS_REGION", file.Region)
}

func (s *script) step(args []string) {
	step := ecssim.FileStep{Do: args[0], Service: args[1]}
	for _, arg := range args[2:] {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "to":
			n, err := strconv.Atoi(value)
			s.Check(err)
			step.To = &n
		case "container":
			step.Name = value
		case "health":
			step.Health = value
		case "status":
			step.Status = value
		default:
			s.Fatalf("a step has no %s", key)
		}
	}
	s.Check(s.sim.Do(step))
}

func (s *script) deny(args []string)  { s.permit(args, false) }
func (s *script) allow(args []string) { s.permit(args, true) }

func (s *script) permit(actions []string, allowed bool) {
	for _, action := range actions {
		if !slices.Contains([]string{
			"ListTasks", "DescribeTasks", "DescribeServices", "DescribeContainerInstances", "DescribeInstances",
		}, action) {
			s.Fatalf("nightjar needs no permission for %s", action)
		}
		s.sim.Server.Deny(action, !allowed)
	}
}

func (s *script) fault(args []string) {
	f := ecssim.Fault{Kind: ecssim.FaultKind(args[0])}
	if len(args) > 1 {
		f.Action = args[1]
	}
	s.Check(s.sim.Server.Inject(f))
}

func (s *script) heal([]string) { s.sim.Server.Heal() }

func (s *script) metadata(args []string) {
	clusterName, name, _ := strings.Cut(args[0], "/")
	tasks := s.sim.World.Tasks(clusterName, name)
	if len(tasks) == 0 {
		s.Fatalf("the world has no running task of %s", args[0])
	}
	s.Setenv("ECS_CONTAINER_METADATA_URI_V4", s.api+"/v4/"+tasks[0])
}

// settings are the environment that the script has now.
func (s *script) settings() map[string]string {
	s.Check(s.Exec("env"))
	settings := map[string]string{}
	for line := range strings.Lines(s.ReadFile("stdout")) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			settings[name] = value
		}
	}
	return settings
}

func (s *script) serve([]string) {
	p := &process{done: make(chan struct{}), cmd: command(s.settings(), "serve")}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	s.Check(p.cmd.Start())
	go func() { p.err = p.cmd.Wait(); close(p.done) }()
	s.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		keepsSecrets(s.t, p.output(), map[string]string{"AWS_SECRET_ACCESS_KEY": s.Getenv("AWS_SECRET_ACCESS_KEY")})
		if s.t.Failed() {
			s.t.Logf("nightjar's log:\n%s", tail(p.output(), 40))
		}
	})
	s.nightjar = p
	s.eventually("nightjar is alive", func() bool { return strings.Contains(s.admin("/healthz"), "alive") })
}

func (s *script) envoy([]string) {
	s.Check(s.Exec("nightjar", "bootstrap"))
	envoytest.Start(s.t, envoytest.Options{Bootstrap: []byte(s.ReadFile("stdout"))})
	s.eventually("nightjar is ready", func() bool { return strings.HasPrefix(s.admin("/readyz"), "ready") })
}

func (s *script) knows(args []string) {
	pattern, err := regexp.Compile("(?m)" + args[0])
	s.Check(err)
	s.eventually(fmt.Sprintf("/api/status has %q", args[0]), func() bool { return pattern.MatchString(s.admin("/api/status")) })
}

// admin gets a path of the running nightjar's admin address; "" where it doesn't answer.
func (s *script) admin(path string) string {
	resp, err := http.Get("http://" + s.Getenv("NIGHTJAR_ADMIN_LISTEN") + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return string(body)
}

func (s *script) exits(args []string) {
	err := s.Exec(args[1], args[2:]...)
	status := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status = exit.ExitCode()
	} else {
		s.Check(err)
	}
	for _, output := range []string{"stdout", "stderr"} {
		keepsSecrets(s.t, s.ReadFile(output), map[string]string{"AWS_SECRET_ACCESS_KEY": s.Getenv("AWS_SECRET_ACCESS_KEY")})
	}
	if strconv.Itoa(status) != args[0] {
		s.Fatalf("exit status %d, want %s", status, args[0])
	}
}

// says compares stdout with a file of the script.
func (s *script) says(args []string) {
	got := s.settled(s.ReadFile("stdout"))
	diff := cmp.Diff(strings.Split(plain(s.ReadFile(args[0])), "\n"), strings.Split(got, "\n"))
	switch {
	case diff == "":
	case *update:
		s.rewrite(args[0], aligned(got))
	default:
		s.Fatalf("it says something else (-want +got):\n%s\nall of it:\n%s", diff, aligned(got))
	}
}

// settled is a text of a command without what differs from run to run.
func (s *script) settled(got string) string {
	for _, variable := range []string{"NIGHTJAR_XDS_LISTEN", "NIGHTJAR_ADMIN_LISTEN"} {
		if at := s.Getenv(variable); at != "" {
			got = strings.ReplaceAll(got, at, variable)
		}
	}
	for _, variable := range []string{"EGRESS_LISTEN_PORT", "INGRESS_LISTEN_PORT", "ENVOY_ADMIN_PORT"} {
		if port := s.Getenv(variable); port != "" {
			got = regexp.MustCompile(`\b(127\.0\.0\.1|0\.0\.0\.0|localhost):`+port+`\b`).ReplaceAllString(got, "$1:"+variable)
		}
	}
	if s.network != "" {
		got = strings.ReplaceAll(got, s.network+".", "10.0.")
	}
	if s.api != "" {
		got = strings.ReplaceAll(got, strings.TrimPrefix(s.api, "http://"), "AWS-ENDPOINT")
	}
	return plain(got)
}

// rewrite puts a text into the script in the place of a file.
func (s *script) rewrite(name, text string) {
	path := filepath.Join(s.origin, s.Name()+".txtar")
	archive, err := txtar.ParseFile(path)
	s.Check(err)
	for i := range archive.Files {
		if archive.Files[i].Name == name {
			archive.Files[i].Data = []byte(text + "\n")
		}
	}
	s.Check(os.WriteFile(path, txtar.Format(archive), 0o644))
}

// plain is a text without what differs from run to run.
func plain(text string) string {
	text = numbered(text, regexp.MustCompile(`\b[0-9a-f]{32}\b`), "TASK-")
	text = numbered(text, regexp.MustCompile(`\becs-svc/[0-9]{15,}\b`), "ecs-svc/")
	text = regexp.MustCompile(`\b([0-9]{4}-[0-9]{2}-[0-9]{2} )?([0-9]{2}:[0-9]{2}|HH:MM)\b`).ReplaceAllString(text, "HH:MM")
	text = regexp.MustCompile(`(\S)  +`).ReplaceAllString(text, "$1  ")
	return strings.TrimSpace(text)
}

// aligned is a plain text with the columns of its indented tables in line: those of three and more.
func aligned(text string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for line := range strings.Lines(text) {
		if rest, indented := strings.CutPrefix(line, "  "); indented && strings.Count(strings.TrimSpace(line), "  ") >= 2 {
			line = "  " + strings.ReplaceAll(rest, "  ", "\t")
		}
		_, _ = w.Write([]byte(line))
	}
	_ = w.Flush()
	return b.String()
}

// numbered replaces each different match by the name and its number, in order of appearance.
func numbered(text string, what *regexp.Regexp, name string) string {
	numbers := map[string]int{}
	return what.ReplaceAllStringFunc(text, func(match string) string {
		if numbers[match] == 0 {
			numbers[match] = len(numbers) + 1
		}
		return name + strconv.Itoa(numbers[match])
	})
}

// eventually waits for a condition, while nightjar runs if it was started.
func (s *script) eventually(what string, condition func() bool) {
	var ended chan struct{}
	if s.nightjar != nil {
		ended = s.nightjar.done
	}
	for late := time.Now().Add(patience); !condition(); {
		if time.Now().After(late) {
			s.Fatalf("waited %s in vain for: %s", patience, what)
		}
		select {
		case <-ended:
			s.Fatalf("nightjar ended while waiting for: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
