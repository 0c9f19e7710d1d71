package admin

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTextIsSafeForATerminal(t *testing.T) {
	k := worldOfStates(time.Now())
	k.refusal.Message = "first\nsecond \x1b]0;owned\x07 \u009b31m"
	k.status.Services[0].Service.Excluded[0].Reason = "a\rb"
	k.status.Services[0].Service.Excluded[1].Reason = "no\x9b31m UTF-8"
	r := serverOf(k).Report()
	for _, color := range []bool{false, true} {
		text := r.Text(TextOptions{Color: color})
		if !strings.Contains(text, `first second \x1b]0;owned\a \u009b31m`) || !strings.Contains(text, "no\ufffd31m") || !strings.Contains(text, `a\rb`) {
			t.Errorf("%s", text)
		}
		for _, rest := range strings.Split(text, "\x1b")[1:] {
			if code, _, _ := strings.Cut(rest, "m"); !color || strings.Trim(code, "[0123;") != "" {
				t.Fatalf("color %t: %q", color, rest[:min(len(rest), 20)])
			}
		}
	}
}

func TestColoursAreOnlyBesideWords(t *testing.T) {
	r := serverOf(worldOfStates(time.Now())).Report()
	text := r.Text(TextOptions{Color: true})
	if !strings.Contains(text, "\x1b[32mactive\x1b[0m") || !strings.Contains(text, "\x1b[1;31merror\x1b[0m") {
		t.Errorf("%q", text)
	}
	bare := text
	for _, code := range []string{"32", "33", "1;31", "1", "0"} {
		bare = strings.ReplaceAll(bare, "\x1b["+code+"m", "")
	}
	if want := r.Text(TextOptions{}); bare != want {
		t.Errorf("without its colours it is another text:\n%s\n%s", bare, want)
	}
}

func TestTablesOnATerminalAreCutShortWhatIsWrongFirst(t *testing.T) {
	k := well(200)
	k.status.Services[150].Service.Endpoints = nil
	k.status.Services[160].Service.Endpoints[0].Health = 2
	r := serverOf(k).Report()
	text := r.Text(TextOptions{Most: 10})
	if lines := strings.Count(text, "\n"); lines > 60 {
		t.Errorf("%d lines", lines)
	}
	_, services, _ := strings.Cut(text, "SERVICES")
	for i, want := range []string{"  200, with 199 endpoints", "STATE", "active, answers 503  c1/s150", "active               c1/s160", "active               c1/s000"} {
		if line := strings.Split(services, "\n")[i]; !strings.HasPrefix(line, want) {
			t.Errorf("line %d is %q, want %q", i, line, want)
		}
	}
	if strings.Count(text, "and 190 more: `nightjar status | less`") != 2 || !strings.Contains(text, "unhealthy  10.0.0.160:80") {
		t.Errorf("%s", text)
	}
	if whole := r.Text(TextOptions{}); strings.Contains(whole, "more") || !strings.Contains(whole, "task199") {
		t.Errorf("%s", whole)
	}
}

func TestSentencesFitTheWidthOfATerminal(t *testing.T) {
	r := serverOf(worldOfStates(time.Now())).Report()
	attention, _, _ := strings.Cut(r.Text(TextOptions{Width: 60}), "\nSERVICES")
	for _, line := range strings.Split(attention, "\n")[3:] {
		if strings.HasPrefix(line, " ") && len(line) > 60 {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
	whole, _, _ := strings.Cut(r.Text(TextOptions{}), "\nSERVICES")
	if strings.Join(strings.Fields(attention), " ") != strings.Join(strings.Fields(whole), " ") || attention == whole {
		t.Errorf("other words:\n%s\n%s", attention, whole)
	}
}

func TestEachTaskHasAllThatIsKnownOfItInItsRow(t *testing.T) {
	r := serverOf(worldOfStates(time.Now())).Report()
	whole := map[string]string{
		"11aa": `c1/orders +healthy +10\.0\.0\.1:32768 +nginxaa:3011 +11aa +eu-west-1a +web:11 +ecs-svc/11aa +running since .*\(26 h\)\n`,
		"12bb": `c1/orders +no health check +10\.0\.0\.2:32769 +port 3012 +12bb +eu-west-1b +web:12 +ecs-svc/12bb +running since .*\n`,
		"77aa": `c1/orders +excluded +- +- +77aa +eu-west-1d +web:77 +ecs-svc/9977 +its container web is UNHEALTHY, since .*\(7 min\)\n`,
		"78bb": `c1/orders +excluded +- +- +78bb +- +- +- +it is PENDING, since .*\n`,
		"none": `c1/empty +empty +- +- +- +- +- +- +ECS lists none of the 4 tasks that it is to run \(unable to place a task\)\n`,
	}
	// Where a row is too wide for the terminal, its rest is below it.
	narrow := map[string]string{
		"11aa": `c1/orders +healthy +10\.0\.0\.1:32768 +nginxaa:3011 +11aa\n +eu-west-1a, web:11, ecs-svc/11aa, running since`,
		"77aa": `c1/orders +excluded +- +- +77aa\n +eu-west-1d, web:77, ecs-svc/9977, its container web is\n +UNHEALTHY, since`,
		"none": `c1/empty +empty +- +- +-\n +ECS lists none of the 4 tasks`,
	}
	for width, rows := range map[int]map[string]string{0: whole, 200: whole, 60: narrow} {
		text := r.Text(TextOptions{Width: width})
		_, tasks, _ := strings.Cut(text, "\nTASKS  ")
		if !strings.HasPrefix(tasks, "8\n") {
			t.Errorf("%.20s tasks, want 8", tasks)
		}
		for task, row := range rows {
			if !regexp.MustCompile("\n" + row).MatchString(tasks) {
				t.Errorf("width %d: the row of %s is not %s in\n%s", width, task, row, tasks)
			}
		}
	}
}

func TestReportsAreTheSameWhereOnlyTimeWentBy(t *testing.T) {
	k := worldOfStates(time.Now())
	s := serverOf(k)
	before := s.Report()
	for i := range k.status.Services {
		if at := &k.status.Services[i].ReadAt; !at.IsZero() {
			*at = at.Add(time.Second)
		}
	}
	k.pace.Quiet *= 2
	after := s.Report()
	if !before.Same(&after) {
		t.Error("they differ")
	}
	k.status.Services[0].Service.Excluded = nil
	if later := s.Report(); before.Same(&later) {
		t.Error("a task that is no longer excluded makes no difference")
	}
}

func TestTimesAndLengthsInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 12 * time.Millisecond: "12 ms", 1840 * time.Millisecond: "1.8 s", 9999 * time.Millisecond: "9.9 s",
		61 * time.Second: "61 s", 119 * time.Minute: "119 min", 47 * time.Hour: "47 h", 100 * time.Hour: "4 d",
	} {
		if got := length(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	now := time.Date(2026, 7, 29, 0, 10, 0, 0, time.FixedZone("", 2*3600)) // 22:10 the day before in UTC
	for _, test := range []struct {
		t    time.Time
		want string
	}{{now.Add(-time.Hour), "21:10:00 (60 min)"}, {now.Add(-24 * time.Hour), "2026-07-27 22:10:00 (24 h)"}, {time.Time{}, ""}} {
		if got := since(now, test.t); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	for part, want := range map[float64]string{1: "100 %", 0: "0 %", 1.0 / 3: "33.3 %", 0.0001: "under 0.1 %"} {
		if got := percent(part); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := clip("äöü", 5); got != "ä…" {
		t.Errorf("%q", got)
	}
}
