package ecssim

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stepper is a simulator that takes steps, in virtual time, and what it told of them.
func stepper(t *testing.T) (post func(method, path, body string) (int, string), sim *Sim, told *[]string) {
	t.Helper()
	file, err := Load([]byte("polite: true\n" + dockerWorld))
	if err != nil {
		t.Fatal(err)
	}
	if sim, err = New(file); err != nil {
		t.Fatal(err)
	}
	told = &[]string{}
	handler := sim.Handler(func(s FileStep) { *told = append(*told, s.String()) })
	return func(method, path, body string) (int, string) {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
		return rec.Code, strings.TrimSpace(rec.Body.String())
	}, sim, told
}

func TestAStepHappensWhenItIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask, sim, told := stepper(t)
		if code, text := ask(http.MethodPost, "/step", "{do: kill, service: c1/web}"); code != http.StatusConflict ||
			text != "the service c1/web has no running task now" {
			t.Errorf("too early: %d %s", code, text)
		}
		time.Sleep(10 * time.Second)
		if code, text := ask(http.MethodPost, "/step", "{do: scale, service: c1/web, to: 3}"); code != http.StatusOK || text != "scale c1/web to 3" {
			t.Errorf("%d %s", code, text)
		}
		time.Sleep(10 * time.Second)
		sim.World.Advance(time.Now())
		if got := sim.World.Tasks("c1", "web"); len(got) != 3 || strings.Join(*told, "|") != "scale c1/web to 3" {
			t.Errorf("%d tasks run; told was %q", len(got), *told)
		}
	})
}

func TestAStepThatIsWrongSaysWhy(t *testing.T) {
	ask, _, told := stepper(t)
	for _, test := range []struct {
		body string
		code int
		want string
	}{
		{"{do: dance}", 400, `there is no step "dance"; there are deploy, scale,`},
		{"{do: deploy, service: c1/shop}", 400, `the world has no "c1/shop"`},
		{"{do: scale, service: c1/web}", 400, "to is needed: how many tasks are wanted, 0 to 20000"},
		{"{do: deploy, servcie: c1/web}", 400, `[1:14] unknown field "servcie"`},
		{"{do: fault, fault: rain}", 400, `there is no fault "rain"`},
		{"!x y", 400, "the step is not right"},
		{"", 400, `there is no step ""`},
		{strings.Repeat("#", maxStep+1), 400, "more than 4096 bytes"},
	} {
		if code, text := ask(http.MethodPost, "/step", test.body); code != test.code || !strings.Contains(text, test.want) {
			t.Errorf("%.40s: %d %s", test.body, code, text)
		}
	}
	if code, text := ask(http.MethodGet, "/step", ""); code != http.StatusMethodNotAllowed || !strings.Contains(text, "with POST, such as {do: deploy") {
		t.Errorf("GET: %d %s", code, text)
	}
	if len(*told) > 0 {
		t.Errorf("told was %q", *told)
	}
}

func TestBesideStepsAllElseIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask, sim, _ := stepper(t)
		time.Sleep(10 * time.Second)
		if code, text := ask(http.MethodPost, "/", "Action=DescribeInstances"); code != http.StatusOK || !strings.Contains(text, "127.3.1.1") {
			t.Errorf("EC2: %d %s", code, text)
		}
		code, text := ask(http.MethodGet, "/v4/", "")
		task := sim.World.Tasks("c1", "web")[0]
		if first, _, _ := strings.Cut(text, "\n"); code != http.StatusOK || first != "http://example.com/v4/"+task+"-app  c1/web app RUNNING" ||
			strings.Count(text, "\n") != 3 {
			t.Errorf("the list of metadata endpoints: %d %s", code, text)
		}
		if code, text := ask(http.MethodGet, "/v4/"+task+"-side", ""); code != http.StatusOK || !strings.Contains(text, `"Name":"side"`) {
			t.Errorf("the first of them: %d %s", code, text)
		}
	})
}
