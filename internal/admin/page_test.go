package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

func TestThePageHasStrictHeaders(t *testing.T) {
	w := httptest.NewRecorder()
	s := serverOf(worldOfStates(time.Now()))
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-", "script-src 'sha256-"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("the policy is lax: %s", policy)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, elsewhere := range []string{"http:", "https:", "//", "url(", "@import"} {
		if strings.Contains(w.Body.String(), elsewhere+"/") || strings.Contains(pageCSS, elsewhere) {
			t.Errorf("the page has something of elsewhere: %s", elsewhere)
		}
	}
	for method, want := range map[string]int{http.MethodPost: 405, http.MethodPut: 405, http.MethodDelete: 405, http.MethodHead: 200} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(method, "/", nil))
		if w.Code != want {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

// pageFor is the visible text of the page for a query.
func pageFor(t *testing.T, k *known, values url.Values) string {
	t.Helper()
	code, body := get(t, serverOf(k), "/?"+values.Encode())
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	return visible(body)
}

func TestThePageFindsAServiceByAllThatItShowsOfIt(t *testing.T) {
	k := well(300)
	s := k.status.Services[123].Service
	s.Problem = "set SERVICE_PORT_124"
	s.Endpoints = append(s.Endpoints, mesh.Endpoint{Task: "3f2a99", Zone: "eu-west-1c", Deployment: "ecs-svc/77", Revision: "web:42", Container: "nginx", Port: 8443})
	s.Excluded = []mesh.Excluded{{Task: "0ddba11", Reason: "its container is UNHEALTHY", Zone: "eu-west-1f", Deployment: "ecs-svc/66", Revision: "web:41"}}
	k.status.Proxies[0].Routes[123].Path, k.status.Proxies[0].Routes[123].Origin = "/Checkout", "SERVICE_PATH_124"
	for _, text := range []string{"s123", "C1/S123", "SERVICE_PORT_124", "3f2a", "EU-WEST-1C", "ecs-svc/77", "web:42", "Nginx:8443", "0ddba", "EU-west-1F", "ecs-svc/66", "web:41", "unhealthy", "/checkout", "service_path_124", " setting "} {
		page := pageFor(t, k, url.Values{"q": {text}})
		if !strings.Contains(page, "1 of 300 services match") || !strings.Contains(page, "3f2a99") || !strings.Contains(page, "/Checkout") || strings.Contains(page, "s124") {
			t.Errorf("%q doesn't find it alone:\n%.3000s", text, page)
		}
	}
	if page := pageFor(t, k, url.Values{"only": {"attention"}}); !strings.Contains(page, "1 of 300 services match") {
		t.Errorf("%.3000s", page)
	}
	if page := pageFor(t, k, url.Values{"service": {"c1/s007"}}); !strings.Contains(page, "One of 300 services.") || !strings.Contains(page, "task007") || strings.Contains(page, "task008") {
		t.Errorf("%.3000s", page)
	}
	for query, want := range map[string]string{"q=nothing": "None of 300 services match.", "service=nothing": "There is no service nothing.", "page=99": "page 6 of 6", "page=-1": "page 1 of 6", "page=2": "51 to 100 here"} {
		values, _ := url.ParseQuery(query)
		if page := pageFor(t, k, values); !strings.Contains(page, want) {
			t.Errorf("%s: no %q on\n%.3000s", query, want, page)
		}
	}
}

func TestThePageFindsAndShowsWhyAServiceIsEmpty(t *testing.T) {
	k := well(3)
	*k.status.Services[1].Service = mesh.Service{Name: "c1/s001", State: mesh.Active, Empty: "its desired count is 0"}
	page := pageFor(t, k, url.Values{"q": {"Desired count"}})
	if !strings.Contains(page, "1 of 3 services match") || !strings.Contains(page, "Empty: its desired count is 0") {
		t.Errorf("%.3000s", page)
	}
}

func TestEachTaskOnThePageHasAllThatIsKnownOfItInItsRow(t *testing.T) {
	_, body := get(t, serverOf(worldOfStates(time.Now())), "/")
	for task, want := range map[string][]string{
		"11aa": {"healthy", "10.0.0.1:32768", "nginxaa:3011", "eu-west-1a", "web:11", "ecs-svc/11aa"},
		"12bb": {"no health check", "10.0.0.2:32769", " port 3012 ", "eu-west-1b", "web:12", "ecs-svc/12bb"},
		"77aa": {"excluded", "eu-west-1d", "web:77", "ecs-svc/9977"},
		"78bb": {"excluded", "zone unknown"},
	} {
		_, after, _ := strings.Cut(body, `<td class="mono">`+task+"</td>")
		row := visible(body[strings.LastIndex(body[:len(body)-len(after)], "<tr>"):len(body)-len(after)] + strings.SplitN(after, "</tr>", 2)[0])
		for _, each := range want {
			if !strings.Contains(row, each) {
				t.Errorf("%s: no %q in %q", task, each, row)
			}
		}
	}
}

func TestThePageIsBoundedWhateverThereIs(t *testing.T) {
	k := well(1000)
	for i := range k.status.Services {
		s := k.status.Services[i].Service
		s.Problem = fmt.Sprintf("set SERVICE_PORT_%d", i+1)
		for n := range 100 {
			s.Excluded = append(s.Excluded, mesh.Excluded{Task: fmt.Sprintf("task%d", n), Reason: "it is PENDING"})
		}
	}
	for range 1000 {
		k.nodes = append(k.nodes, k.nodes[0])
	}
	_, body := get(t, serverOf(k), "/?q=c")
	for part, want := range map[string]int{"<details": maxServices, `class="tasks"`: 2, "<li>": maxEnvoys} {
		if n := strings.Count(body, part); n != want {
			t.Errorf("%d of %s, want %d", n, part, want)
		}
	}
	if text := visible(body); len(body) > 200<<10 || !strings.Contains(text, "and 985 more") || !strings.Contains(text, "101 tasks: show them") ||
		!strings.Contains(text, "and 900 more: narrow with Find") {
		t.Errorf("%d bytes:\n%.2000s", len(body), text)
	}
}

func TestThePageKeepsItsQuestionInItsLinks(t *testing.T) {
	_, body := get(t, serverOf(well(300)), "/?q=s&refresh=0&page=2")
	for _, want := range []string{`href="?page=1&amp;q=s&amp;refresh=0"`, `href="?page=3&amp;q=s&amp;refresh=0"`, `href="?q=s"`, `value="s"`, `name="refresh" value="0"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(body, `http-equiv="refresh"`) {
		t.Error("it should hold still, and refreshes")
	}
	for query, want := range map[string]string{"": "5", "refresh=30": "30", "refresh=99999": "5", "refresh=x": "5"} {
		if _, body := get(t, serverOf(well(1)), "/?"+query); !strings.Contains(body, `http-equiv="refresh" content="`+want+`"`) {
			t.Errorf("%s: it should refresh in %s s", query, want)
		}
	}
}
