package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/groboclown/nightjar-mesh/internal/demo"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// checkScripts is where the scripts of worlds to check are.
const checkScripts = "testdata/check"

// TestBrokenWorldsAreChecked runs the scripts in testdata/check: each a broken world, and what `nightjar check` finds. A world's
// apps listen, at addresses of this machine that replace its own. Beside the commands of TestBrokenWorldsAreExplained they have
//
//	check STATUS [ARGUMENT...]   runs `nightjar check --json` to its end
//	fails CHECK...               the kinds of check that failed, in order
//	finds RESULT CHECK SUBJECT FOUND DO
//	                             it found that: patterns but for RESULT and CHECK; a pattern must match a part
//	lone-envoy FILE [TEXT...]    a real Envoy with the bootstrap of a file, which need not connect; warnings with a text are
//	                             expected
//	taken VARIABLE               somebody listens on the address or port of a setting
//	answers VARIABLE BODY        so, and answers every request with that
func TestBrokenWorldsAreChecked(t *testing.T) {
	t.Parallel()
	runScripts(t, checkScripts, checkCommands())
}

// checkCommands are the commands of scripts that check.
func checkCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"check":      inScript("STATUS [ARGUMENT...]", 1, 3, (*script).check),
		"fails":      inScript("CHECK...", 0, 9, (*script).fails),
		"finds":      inScript("RESULT CHECK SUBJECT FOUND DO", 5, 5, (*script).finds),
		"lone-envoy": inScript("FILE [TEXT...]", 1, 3, (*script).loneEnvoy),
		"taken":      inScript("VARIABLE", 1, 1, func(s *script, args []string) { s.taken(args[0]) }),
		"answers":    inScript("VARIABLE BODY", 2, 2, (*script).answers),
	}
}

// networks numbers the networks of scripts.
var networks atomic.Int32

// moveHere gives a world the addresses of a network of its own on this machine.
func (s *script) moveHere() {
	for c := range s.file.Clusters {
		ecsCluster := &s.file.Clusters[c]
		ecsCluster.Subnet = fmt.Sprintf("%s.%d.0/24", s.network, 2+c)
		for i := range ecsCluster.Instances {
			ecsCluster.Instances[i].Address = fmt.Sprintf("%s.1.%d", s.network, 1+10*c+i)
			ecsCluster.Instances[i].Docker = fmt.Sprintf("%s.%d.0/24", s.network, 100+10*c+i)
		}
	}
}

// startBackends runs a server in the place of each app of the world until the end of the script.
func (s *script) startBackends() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		demo.NewBackends(s.sim.World, func(err error) { s.t.Error(err) }).Run(ctx)
	}()
	s.Defer(func() { cancel(); <-done })
}

// listen tells whether all apps of the world listen.
func (s *script) listen() bool {
	for _, app := range s.sim.World.Apps() {
		for _, p := range app.Ports {
			conn, err := net.Dial("tcp", p.At.String())
			if err != nil {
				return false
			}
			_ = conn.Close()
		}
	}
	return true
}

// finding is one of `nightjar check --json`.
type finding struct{ Check, Subject, Result, Found, Do string }

func (s *script) check(args []string) {
	s.exits(append([]string{args[0], "nightjar", "check", "--json"}, args[1:]...))
	if said := s.ReadFile("stderr"); said != "" {
		s.Fatalf("in a pipe stderr has: %s", said)
	}
	if ok := args[0] == "0"; ok != s.report().OK {
		s.Fatalf("with exit status %s it says that ok is %v", args[0], !ok)
	}
}

func (s *script) report() (report struct {
	OK       bool
	Findings []finding
},
) {
	decoder := json.NewDecoder(strings.NewReader(s.ReadFile("stdout")))
	decoder.DisallowUnknownFields()
	s.Check(decoder.Decode(&report))
	return report
}

func (s *script) fails(want []string) {
	var failed []string
	for _, f := range s.report().Findings {
		if f.Result == "FAIL" {
			failed = append(failed, f.Check)
		}
	}
	if !slices.Equal(failed, want) {
		s.Fatalf("%q failed, want %q", failed, want)
	}
}

func (s *script) finds(args []string) {
	var patterns []*regexp.Regexp
	for _, text := range args[2:] {
		pattern, err := regexp.Compile(text)
		s.Check(err)
		patterns = append(patterns, pattern)
	}
	var near []string
	for _, f := range s.report().Findings {
		if f.Result == args[0] && f.Check == args[1] && patterns[0].MatchString(f.Subject) &&
			patterns[1].MatchString(f.Found) && patterns[2].MatchString(f.Do) && (args[4] != "" || f.Do == "") {
			return
		}
		if f.Check == args[1] {
			near = append(near, f.Result+" "+f.Subject+"\n    "+f.Found+"\n    "+f.Do)
		}
	}
	s.Fatalf("it didn't find that, but of %s\n  %s", args[1], strings.Join(near, "\n  "))
}

func (s *script) loneEnvoy(args []string) {
	envoytest.Start(s.t, envoytest.Options{Bootstrap: []byte(s.ReadFile(args[0])), Allow: args[1:]})
}

// taken listens on the address or port of a setting until the end of the script.
func (s *script) taken(variable string) net.Listener {
	at := s.Getenv(variable)
	if !strings.Contains(at, ":") {
		at = "127.0.0.1:" + at
	}
	l, err := net.Listen("tcp", at)
	s.Check(err)
	s.Defer(func() { _ = l.Close() })
	return l
}

func (s *script) answers(args []string) {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, args[1]) })}
	l := s.taken(args[0])
	go func() { _ = server.Serve(l) }()
	s.Defer(func() { _ = server.Close() })
}
