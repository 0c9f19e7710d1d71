package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/groboclown/nightjar-mesh/internal/admin"
	"github.com/groboclown/nightjar-mesh/internal/control"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// evil is a name that would run if it were taken for HTML.
const evil = `c1/<script>ran=1</script><img src=x onerror=ran=1>"'`

// told is what a nightjar knows, made up.
type told struct {
	mu     sync.Mutex
	status control.Status
	nodes  []xds.Node
	last   *xds.Refusal
}

func (k *told) Status() control.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.status
	s.Services = slices.Clone(s.Services)
	for i := range s.Services {
		if !s.Services[i].ReadAt.IsZero() {
			s.Services[i].ReadAt = time.Now().Add(-time.Duration(100+i%20*50) * time.Millisecond)
		}
	}
	return s
}
func (k *told) Nodes() []xds.Node         { return k.nodes }
func (k *told) LastRefusal() *xds.Refusal { return k.last }
func (k *told) Accepted() bool            { return true }
func (k *told) Left() time.Time           { return time.Time{} }
func (k *told) Rates() map[string]float64 {
	return map[string]float64{"ecs_tasks": 0.5, "ecs_services": 1, "ec2_instances": 1}
}

func (k *told) Pace() admin.ReadPace {
	return admin.ReadPace{
		Quiet: 1400 * time.Millisecond, Moving: time.Second, Tasks: 5 * time.Second, Readers: 1,
		Words: "3 services, 60 tasks: a read costs 1.3 calls; at 1 call/s you are fresh within 1.4 s (1 s while something moves)",
	}
}

// change changes a service.
func (k *told) change(n int, change func(*control.ServiceStatus)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status.Services = slices.Clone(k.status.Services)
	change(&k.status.Services[n])
}

// madeUp is a mesh of so many services with 20 endpoints each, of which the first ones have something of every state.
func madeUp(services int) *told {
	now := time.Now()
	k := &told{
		nodes: []xds.Node{
			{ID: "c1/0c8a1d5e5b8f4a7db8a92ef5c1d2e3f4", Version: "1.40.0", Since: now.Add(-26 * time.Hour), Current: true},
		},
		status: control.Status{
			Started: now.Add(-26 * time.Hour), Published: true, Wait: 100 * time.Millisecond,
			Proxies: []mesh.Proxy{{Listeners: []mesh.Listener{
				{Name: "egress", Addr: netip.MustParseAddrPort("127.0.0.1:8080")},
				{Name: "ingress", Direction: mesh.Ingress, Addr: netip.MustParseAddrPort("0.0.0.0:8081"), HealthPath: "/.nightjar/health"},
			}}},
		},
	}
	names := []string{"shop/orders", "shop/basket", evil, "shop/search", "own-task/app:8080"}
	for n := range services {
		name := fmt.Sprintf("shop/service-%03d", n)
		if n < len(names) {
			name = names[n]
		}
		k.status.Services = append(k.status.Services, madeUpService(now, n, name))
		route := mesh.Route{Listener: "egress", Path: fmt.Sprintf("/%s", strings.TrimPrefix(name, "shop/")), Service: name, Origin: fmt.Sprintf("SERVICE_PATH_%d", n+1), Policy: usualPolicy()}
		if strings.HasPrefix(name, "own-task") {
			route.Listener, route.Path, route.Origin = "ingress", "/", "CONTAINER_PATH_1"
		}
		k.status.Proxies[0].Routes = append(k.status.Proxies[0].Routes, route)
	}
	return k
}

func madeUpService(now time.Time, n int, name string) control.ServiceStatus {
	s := &mesh.Service{Name: name, State: mesh.Active}
	for e := range 20 {
		health := mesh.Healthy
		if e%7 == 6 {
			health = mesh.HealthUnknown
		}
		s.Endpoints = append(s.Endpoints, mesh.Endpoint{
			Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n / 250), byte(n % 250), byte(e + 1)}), uint16(32768+e)),
			Task: fmt.Sprintf("%016x%016x", n*7919+1, e*104729+3), Health: health, Zone: "eu-west-1" + string("abc"[e%3]),
			Container: "web", Port: 8080,
			Deployment: fmt.Sprintf("ecs-svc/%019d", n*1000003+17), Revision: fmt.Sprintf("service:%d", n+3), Since: now.Add(-time.Duration(e+1) * 13 * time.Hour),
		})
	}
	return control.ServiceStatus{
		Service: s, Answered: true, Own: strings.HasPrefix(name, "own-task"), ReadAt: now, ChangedAt: now.Add(-time.Duration(n+1) * 11 * time.Hour),
	}
}

// trouble gives the first services of a mesh something of every state.
func (k *told) trouble() *told {
	now := time.Now()
	set := func(n int, change func(*control.ServiceStatus, *mesh.Service)) {
		if n < len(k.status.Services) {
			s := *k.status.Services[n].Service
			k.status.Services[n].Service = &s
			change(&k.status.Services[n], &s)
		}
	}
	set(0, func(_ *control.ServiceStatus, s *mesh.Service) {
		s.Endpoints = s.Endpoints[:18]
		s.Excluded = []mesh.Excluded{
			{
				Task: "8d1f6a7bc2e94d0f9a3b5c7d9e1f2a3b", Reason: "its container web is UNHEALTHY", Since: now.Add(-12 * time.Minute),
				Zone: "eu-west-1b", Deployment: s.Endpoints[0].Deployment, Revision: "service:3",
			},
			{
				Task: "f00d6a7bc2e94d0f9a3b5c7d9e1f2a3b", Since: now.Add(-4 * time.Second), Zone: "eu-west-1c", Deployment: "ecs-svc/8020470953216490117", Revision: "service:4",
				Reason: "it is PENDING: it waits for free CPU, memory or ports, for the container agent, or for its images; the service's events in ECS say more",
			},
		}
	})
	set(4, func(_ *control.ServiceStatus, s *mesh.Service) { // the longest name that a container can have
		s.Endpoints = slices.Clone(s.Endpoints[:1])
		s.Endpoints[0].Health, s.Endpoints[0].Container = mesh.Unhealthy, strings.Repeat("a-long-name-", 21)+"app"
	})
	set(1, func(status *control.ServiceStatus, _ *mesh.Service) {
		status.Err = errors.New("asking AWS for the tasks of shop/basket (ecs:ListTasks): AWS throttles: the account's calls are used up for now, " +
			"and fewer are made: ThrottlingException: Rate exceeded")
		status.FailingSince = now.Add(-13 * time.Minute)
	})
	set(3, func(_ *control.ServiceStatus, s *mesh.Service) {
		s.Endpoints = nil
		s.Problem = "the containers web and admin both publish a port: set SERVICE_CONTAINER_4 to one of them"
	})
	set(5, func(_ *control.ServiceStatus, s *mesh.Service) {
		s.Endpoints = nil
		s.Empty = "ECS lists none of the 3 tasks that it is to run; the service's events in ECS say why ((service service-005) was unable to place a task " +
			"because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster.)"
	})
	set(6, func(_ *control.ServiceStatus, s *mesh.Service) {
		s.Endpoints, s.State = nil, mesh.Missing
		s.Problem = "the ECS cluster shop has no service service-006: check SERVICE_ARN_7"
	})
	set(7, func(_ *control.ServiceStatus, s *mesh.Service) {
		s.Endpoints, s.State = nil, mesh.Inactive
		s.Problem = "the service service-007 of the ECS cluster shop is INACTIVE: it was deleted; check SERVICE_ARN_8"
	})
	set(8, func(_ *control.ServiceStatus, s *mesh.Service) {
		s.Endpoints, s.State = nil, mesh.Denied
		s.Problem = "access denied: add ecs:ListTasks to the policy of the task role (not the execution role)"
	})
	set(9, func(status *control.ServiceStatus, s *mesh.Service) {
		s.Endpoints, s.State = nil, mesh.Unread
		status.ReadAt, status.ChangedAt = time.Time{}, time.Time{}
	})
	refusal := xds.Refusal{Type: "listener", Name: "ingress", At: now.Add(-3 * time.Minute), Message: "Error adding/updating listener(s) ingress: cannot bind '0.0.0.0:8081': Address already in use"}
	k.last = &refusal
	k.nodes = append(k.nodes, xds.Node{
		ID: "c1/77aa1d5e5b8f4a7db8a92ef5c1d2e3f4", Version: "1.39.1", Since: now.Add(-3 * time.Minute), PendingSince: now.Add(-3 * time.Minute),
		Refused: []xds.Refusal{refusal},
	}, xds.Node{ID: "c1/99bb1d5e5b8f4a7db8a92ef5c1d2e3f4", Since: now.Add(-3 * time.Second), PendingSince: now.Add(-3 * time.Second)})
	return k
}

// server is a nightjar that tells what is made up.
func (k *told) server() *admin.Server {
	return &admin.Server{Version: "1.2.3", Loop: k, Envoys: k, Rates: k, Reader: k, Metrics: admin.NewMetrics()}
}

// serve serves it, and returns the address of the page.
func (k *told) serve(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(k.server().Handler())
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// chromium is the path of a real Chromium. With -short the test is left out, and says so.
func chromium(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("left out with -short: it needs a real Chromium")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium on the PATH: install it (Debian: apt-get install chromium), or put Chrome there")
	return ""
}

// tab is a tab of a browser of its own.
type tab struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// newTab opens a browser whose complaints are collected.
func newTab(t testing.TB) *tab {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, b.hear)
	b.do("starting Chromium", cdplog.Enable(), runtime.Enable())
	return b
}

// hear collects what the browser complains of.
func (b *tab) hear(event any) {
	var problem string
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		problem = fmt.Sprintf("console: %s %v", e.Type, e.Args)
	case *runtime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Error()
	case *cdplog.EventEntryAdded:
		problem = fmt.Sprintf("log: %s %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
	case *page.EventJavascriptDialogOpening:
		problem = "a dialog: " + e.Message
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, problem)
}

// complaints takes what was collected.
func (b *tab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.problems = nil }()
	return b.problems
}

func (b *tab) do(what string, actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// eval evaluates an expression into a value.
func (b *tab) eval(expression string, value any) {
	b.t.Helper()
	b.do(expression, chromedp.Evaluate(expression, value))
}

// text is the visible text of the page.
func (b *tab) text() string {
	b.t.Helper()
	var text string
	b.eval(`document.body.innerText`, &text)
	return text
}

// wait waits for a condition.
func (b *tab) wait(what string, condition func() bool) {
	b.t.Helper()
	late := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(late) {
			b.t.Fatalf("waited %s in vain for %s", patience, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// waitText waits until the page shows a text.
func (b *tab) waitText(want string) {
	b.t.Helper()
	var text string
	defer func() {
		if b.t.Failed() {
			b.t.Logf("the page showed at last:\n%s", text)
		}
	}()
	b.wait(fmt.Sprintf("%q", want), func() bool {
		// Between two documents there is nothing to evaluate in.
		err := chromedp.Run(b.ctx, chromedp.Evaluate(`document.body ? document.body.innerText : ""`, &text))
		return err == nil && strings.Contains(text, want)
	})
}

// look sets the width and the colours that are preferred.
func (b *tab) look(width int64, scheme string) {
	b.t.Helper()
	b.do("setting the screen", emulation.SetDeviceMetricsOverride(width, 900, 1, width < 500),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// screenshot writes the page as PNG into the folder that E2E_SCREENSHOTS names, if it does.
func (b *tab) screenshot(name string) {
	b.t.Helper()
	folder := os.Getenv("E2E_SCREENSHOTS")
	if folder == "" {
		return
	}
	var png []byte
	b.do("taking a picture", chromedp.FullScreenshot(&png, 100))
	must(b.t, os.MkdirAll(folder, 0o755))
	must(b.t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644))
}

// onScreens calls see with the page of 5 and 500 services, on a phone, narrow and wide, light and dark.
func (b *tab) onScreens(query string, see func(services int, width int64, name string)) {
	b.t.Helper()
	for _, services := range []int{5, 500} {
		address := madeUp(services).trouble().serve(b.t)
		for _, width := range []int64{390, 1001, 1280} {
			for _, scheme := range []string{"light", "dark"} {
				b.look(width, scheme)
				b.do("opening the page", chromedp.Navigate(address+query))
				see(services, width, fmt.Sprintf("%d-services-%d-%s", services, width, scheme))
			}
		}
	}
}

func TestThePageFitsEachScreenAndTheBrowserComplainsOfNothing(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	for query, part := range map[string]string{"": "all", "?service=shop/orders": "one", "?service=own-task%2Fapp%3A8080": "long"} {
		b.onScreens(query, func(_ int, width int64, name string) {
			b.screenshot(name + "-" + part)
			var wide int64
			b.eval(`Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)`, &wide)
			if wide > width {
				t.Errorf("%s: the page is %d pixels wide", name, wide)
			}
			for _, problem := range b.complaints() {
				t.Errorf("%s: %s", name, problem)
			}
		})
	}
	// A browser that keeps silent about a violation would have proved nothing.
	b.eval(`void document.body.append(Object.assign(document.createElement("img"), {src: "https://example.invalid/x.png"}))`, nil)
	b.wait("its complaint of an image from elsewhere", func() bool {
		return strings.Contains(strings.Join(b.complaints(), "\n"), "Content Security Policy")
	})
}

func TestThePageSaysEveryStateInAWord(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.look(1280, "light")
	b.do("opening the page", chromedp.Navigate(madeUp(10).trouble().serve(t)))
	b.eval(`document.querySelectorAll("details").forEach(d => d.open = true)`, nil)
	// A colour of a state is only ever on an element that has the word.
	var colored []string
	b.eval(`[...document.querySelectorAll(".tag, .good, .warn, .bad")].map(e => e.innerText.trim())`, &colored)
	if slices.Contains(colored, "") {
		t.Error("something is coloured and has no word")
	}
	for _, word := range strings.Fields("ready active missing inactive denied unread healthy unhealthy excluded current pending refused error warning note") {
		if !slices.Contains(colored, word) {
			t.Errorf("the page doesn't have %q: %q", word, colored)
		}
	}
}

func TestThePageTakesNamesAsText(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	address := madeUp(5).trouble().serve(t)
	for _, query := range []string{"", "?q=" + url.QueryEscape(evil), "?service=" + url.QueryEscape(evil), "?refresh=1"} {
		b.do("opening the page", chromedp.Navigate(address+query))
		if text := b.text(); !strings.Contains(text, evil) {
			t.Errorf("%s: the name is not on the page:\n%s", query, text)
		}
		if query == "?refresh=1" {
			b.waitRefresh()
		}
		var ran bool
		b.eval(`"ran" in window || document.querySelector("main script, main img") !== null`, &ran)
		if ran {
			t.Errorf("%s: the name was taken for HTML", query)
		}
	}
	for _, problem := range b.complaints() {
		t.Error(problem)
	}
}

// waitRefresh waits until the page was refreshed.
func (b *tab) waitRefresh() {
	b.t.Helper()
	const clock = `document.querySelector("#headline time").dateTime`
	var before string
	b.eval(clock, &before)
	b.wait("a refresh", func() bool {
		var now string
		return chromedp.Run(b.ctx, chromedp.Evaluate(clock, &now)) == nil && now != before
	})
}

// breakOrders makes orders answer 503, with a problem.
func (k *told) breakOrders() {
	k.change(0, func(s *control.ServiceStatus) {
		s.Service = &mesh.Service{Name: s.Service.Name, State: mesh.Active, Problem: "set SERVICE_PORT_1"}
	})
}

func TestThePageRefreshesItselfAndKeepsWhatIsOpen(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	k := madeUp(100)
	b.look(1280, "light")
	server := httptest.NewServer(k.server().Handler())
	t.Cleanup(server.Close)
	b.do("opening the page", chromedp.Navigate(server.URL+"/?refresh=1"))
	if text := b.text(); !strings.Contains(text, "Nothing needs attention") || strings.Contains(text, "set SERVICE_PORT_1") {
		t.Fatalf("%s", text)
	}
	b.eval(`document.querySelector("details[data-key='shop/search']").open = true; window.same = true; window.scrollTo(0, 400);
		document.querySelector("input[type=search]").value = "half a word"`, nil)
	k.breakOrders()
	b.waitText("set SERVICE_PORT_1")
	var kept bool
	b.eval(`window.same && window.scrollY > 300 && document.querySelector("input[type=search]").value === "half a word" &&
		document.querySelector("details[data-key='shop/search']").open && document.title.startsWith("1 error")`, &kept)
	if !kept {
		t.Error("the refresh lost what was open, scrolled or typed")
	}
	for _, problem := range b.complaints() {
		t.Error(problem)
	}
	server.Close()
	b.waitText("nightjar does not answer since")
}

func TestThePageWorksWithoutJavaScript(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	k := madeUp(500)
	b.look(390, "light")
	b.do("opening the page", emulation.SetScriptExecutionDisabled(true), chromedp.Navigate(k.serve(t)+"?refresh=1"))
	k.breakOrders()
	b.waitText("set SERVICE_PORT_1")
	// What one looks for stays over the next refresh.
	b.do("searching", chromedp.SetValue("input[type=search]", "service-321", chromedp.ByQuery), chromedp.Submit("form", chromedp.ByQuery))
	b.waitText("1 of 500 services match")
	b.waitRefresh()
	if text := b.text(); !strings.Contains(text, "shop/service-321") || strings.Contains(text, "shop/service-322") {
		t.Errorf("%s", text)
	}
	for _, problem := range b.complaints() {
		t.Error(problem)
	}
}

func TestThePageIsBounded(t *testing.T) {
	t.Parallel()
	for _, services := range []int{5, 500} {
		k := madeUp(services).trouble()
		address := k.serve(t)
		begin := time.Now()
		size := len(fetch(t, address))
		t.Logf("%d services with 20 endpoints each: %d bytes in %s", services, size, time.Since(begin).Round(100*time.Microsecond))
		if size > 256<<10 {
			t.Errorf("the page of %d services has %d bytes, want at most 256 KiB", services, size)
		}
	}
}

// fetch gets a page without a browser.
func fetch(t testing.TB, address string) string {
	t.Helper()
	resp, err := http.Get(address)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return string(text)
}
