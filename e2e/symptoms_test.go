package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// symptomScripts is where the scripts are whose output docs/troubleshooting.md quotes.
const symptomScripts = "testdata/symptoms"

// TestDocsSymptomsAreSaidAsQuoted runs the scripts in testdata/symptoms: something is wrong, and what the commands say of it.
// Beside the commands of TestBrokenWorldsAreChecked they have
//
//	shows FILE                   it wrote the lines of the file, in that order, with others between them. In both, what differs
//	                             from run to run is made plain as for says; addresses of the world begin with 10.0, the port
//	                             that nobody listens on is PORT, and times have neither seconds nor an age
//	logged FILE                  the same of the log of the nightjar that serves, without the time of each line
func TestDocsSymptomsAreSaidAsQuoted(t *testing.T) {
	t.Parallel()
	commands := checkCommands()
	commands["shows"] = inScript("FILE", 1, 1, func(s *script, args []string) {
		s.has(s.ReadFile("stdout")+s.ReadFile("stderr"), args[0])
	})
	commands["logged"] = inScript("FILE", 1, 1, func(s *script, args []string) {
		s.has(regexp.MustCompile(`(?m)^time=\S+ `).ReplaceAllString(s.nightjar.output(), ""), args[0])
	})
	runScripts(t, symptomScripts, commands)
}

// has looks for the lines of a file in a text.
func (s *script) has(text, file string) {
	text = strings.ReplaceAll(text, "127.0.0.1:"+s.Getenv("NOBODY"), "127.0.0.1:PORT")
	rest := quotable(s.settled(text))
	for _, line := range quotable(s.ReadFile(file)) {
		at := slices.Index(rest, line)
		if at < 0 {
			s.Fatalf("it doesn't say %q, but\n%s", line, strings.Join(quotable(s.settled(text)), "\n"))
		}
		rest = rest[at+1:]
	}
}

// quotable are the lines of a plain text as a page may quote them.
func quotable(text string) []string {
	lines := strings.Split(regexp.MustCompile(`HH:MM(:[0-9]{2})?( \([^)]*\))?`).ReplaceAllString(plain(text), "HH:MM"), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" })
}
