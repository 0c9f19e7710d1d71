package admin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// hostile is what would run, or end what it stands in, if it were taken for HTML.
const hostile = `</td></title><script>ran=1</script><img src=x onerror=ran=1>" onclick='ran=1' {{.}} javascript:ran=1 //`

// hostileWorld is the world of states in which all texts from outside are hostile too.
func hostileWorld() *known {
	k := worldOfStates(time.Now())
	s := *k.status.Services[0].Service
	s.Name, s.Problem, s.Empty = hostile, hostile, hostile
	s.Endpoints = append([]mesh.Endpoint{{Task: hostile, Container: hostile, Zone: hostile, Deployment: hostile, Revision: hostile}}, s.Endpoints...)
	s.Excluded = append([]mesh.Excluded{{Task: hostile, Reason: hostile, Zone: hostile, Deployment: hostile, Revision: hostile}}, s.Excluded...)
	status := k.status.Services[0]
	status.Service, status.Err = &s, fmt.Errorf("asking: %s", hostile)
	k.status.Services = append(k.status.Services, status)
	k.status.Proxies[0].Routes = append(k.status.Proxies[0].Routes, mesh.Route{Listener: "egress", Path: "/" + hostile, Service: hostile, Origin: hostile})
	k.nodes[0].ID, k.nodes[0].Version, k.refusal.Message, k.note = hostile, hostile, hostile, hostile
	return k
}

// FuzzAdminHTTP asks the handler whatever may come over a connection.
func FuzzAdminHTTP(f *testing.F) {
	for _, path := range []string{"/", "/healthz", "/readyz", "/metrics", "/api/status", "//readyz", "/./metrics", "/api/../", "/nothing", "*", "http://evil.example/"} {
		f.Add("GET", path, "", "Host: localhost:9903")
		f.Add("HEAD", path, "x=1", "Host: 127.0.0.1:9903\nAccept-Encoding: gzip, zstd")
		f.Add("POST", path, "", "Host: evil.example\nContent-Length: 3")
	}
	for _, query := range []string{
		"q=c1&only=attention&refresh=0&page=2", "service=c1%2Forders", "page=-1&refresh=99999", "page=9223372036854775807", "q=%ff%00&service=%zz", "q=a;b=c", "&&==&q",
		"q=%3C/title%3E%3Cscript%3Eran=1%3C/script%3E", "service=%22%20onclick=%22ran=1", "service=%3Cimg%20src=x%20onerror=ran=1%3E", "q=%22%3E%3Cimg%20src=x%20onerror=ran=1%3E&refresh=javascript:1", strings.Repeat("q=a&", 300),
	} {
		f.Add("GET", "/", query, "Host: [::1]:9903\nOrigin: https://evil.example")
	}
	f.Add("OPTIONS", "/api/status", "", "Origin: https://evil.example\nAccess-Control-Request-Method: GET\nAccess-Control-Request-Private-Network: true")
	f.Add("GET", "/metrics", "name[]=x", "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8")
	f.Add("GET", "/metrics", "", "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1\nAccept-Encoding: identity")
	f.Add("CONNECT", "evil.example:443", "", "X-Forwarded-Host: evil.example\nRange: bytes=0-1\nIf-None-Match: *")
	s := serverOf(hostileWorld())
	open, guarded := s.Handler(), s.handlerOn(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	f.Fuzz(func(t *testing.T, method, target, query, headers string) {
		text := method + " " + target + "?" + query + " HTTP/1.1\r\n" + strings.ReplaceAll(headers, "\n", "\r\n") + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(io.LimitReader(strings.NewReader(text), 16<<10)))
		if err != nil {
			return // no server would hand it on
		}
		w, again := httptest.NewRecorder(), httptest.NewRecorder()
		open.ServeHTTP(w, r)
		judge(t, r, w)
		guarded.ServeHTTP(again, r)
		if again.Code != w.Code && again.Code != http.StatusMisdirectedRequest || again.Code != http.StatusMisdirectedRequest && !isHere(r.Host) {
			t.Errorf("on loopback: %d, else %d", again.Code, w.Code)
		}
	})
}

// judge checks what holds for every answer.
func judge(t *testing.T, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	switch read := r.Method == http.MethodGet || r.Method == http.MethodHead; {
	case w.Code >= 500 && (w.Code != http.StatusServiceUnavailable || r.URL.Path != "/readyz"):
		t.Errorf("%s %s: %d %.300s", r.Method, r.URL, w.Code, w.Body)
	case w.Code < 300 && !read:
		t.Errorf("%s %s is answered: %d", r.Method, r.URL, w.Code)
	}
	if w.Body.Len() >= 4<<20 {
		t.Errorf("%d bytes", w.Body.Len())
	}
	if allowed := corsOf(w.Header()); len(allowed) > 0 {
		t.Errorf("pages of other origins may read it: %s", allowed)
	}
	if to := w.Header().Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`)) {
		t.Errorf("it leads elsewhere: %s", to)
	}
	body := w.Body.String()
	if !strings.Contains(w.Header().Get("Content-Type"), "html") {
		return
	}
	if w.Code == http.StatusOK && (strings.Count(body, "<script") != 1 || !strings.Contains(body, "<script>"+pageJS+"</script>")) {
		t.Errorf("%s %s: the page has other scripts than its own", r.Method, r.URL)
	}
	if foreign := foreignTo(body); foreign != "" {
		t.Errorf("%s %s: not the page's own: %.300s", r.Method, r.URL, foreign)
	}
}

var (
	embedded   = regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>`)
	actions    = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	values     = regexp.MustCompile(`"[^"]*"`)
	references = regexp.MustCompile(`(?:href|action|src)="([^"]*)"`)
	within     = regexp.MustCompile(`^([?#].*|api/status|metrics|data:,|/([^/\\].*)?)$`)
)

// foreignTo is a tag or attribute that the template of the page doesn't have, a reference that leads elsewhere, or a "<" that is
// not of a tag; "" where all is the page's own.
func foreignTo(body string) string {
	body = embedded.ReplaceAllString(body, "")
	known := map[string]bool{}
	for _, name := range namesIn(actions.ReplaceAllString(embedded.ReplaceAllString(pageHTML, ""), "")) {
		known[name] = true
	}
	for _, name := range namesIn(body) {
		if !known[name] {
			return name
		}
	}
	for _, reference := range references.FindAllStringSubmatch(body, -1) {
		if !within.MatchString(reference[1]) {
			return reference[1]
		}
	}
	if rest := tags.ReplaceAllString(body, ""); strings.ContainsAny(rest, "<>") {
		return rest[strings.IndexAny(rest, "<>"):]
	}
	return ""
}

// namesIn are the names of tags and of their attributes.
func namesIn(body string) []string {
	var names []string
	for _, tag := range tags.FindAllString(body, -1) {
		names = append(names, strings.Fields(values.ReplaceAllString(strings.Trim(tag, "</>"), ""))...)
	}
	return names
}
