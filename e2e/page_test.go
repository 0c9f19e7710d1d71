package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
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
func (k *told) Rates() map[string]float64 {
	return map[string]float64{"ecs_tasks": 0.5, "ecs_services": 1, "ec2_instances": 1}
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
			Started: now.Add(-26 * time.Hour), Published: true, Wait: 100 * time.Millisecond, Round: 1840 * time.Millisecond,
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
			Deployment: fmt.Sprintf("ecs-svc/%019d", n*1000003+17), Revision: fmt.Sprintf("service:%d", n+3), Since: now.Add(-time.Duration(e+1) * 37 * time.Minute),
		})
	}
	return control.ServiceStatus{
		Service: s, Answered: true, Own: strings.HasPrefix(name, "own-task"), ReadAt: now, ChangedAt: now.Add(-time.Duration(n+1) * 11 * time.Minute),
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
			{Task: "8d1f6a7bc2e94d0f9a3b5c7d9e1f2a3b", Reason: "its container is UNHEALTHY", Since: now.Add(-12 * time.Minute)},
			{Task: "f00d6a7bc2e94d0f9a3b5c7d9e1f2a3b", Reason: "it is PENDING", Since: now.Add(-4 * time.Second)},
		}
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
	set(4, func(_ *control.ServiceStatus, s *mesh.Service) {
		s.Endpoints = slices.Clone(s.Endpoints[:1])
		s.Endpoints[0].Health = mesh.Unhealthy
	})
	refusal := xds.Refusal{Type: "listener", Name: "ingress", At: now.Add(-3 * time.Minute), Message: "Error adding/updating listener(s) ingress: cannot bind '0.0.0.0:8081': Address already in use"}
	k.last = &refusal
	k.nodes = append(k.nodes, xds.Node{
		ID: "c1/77aa1d5e5b8f4a7db8a92ef5c1d2e3f4", Version: "1.39.1", Since: now.Add(-3 * time.Minute), PendingSince: now.Add(-3 * time.Minute),
		Refused: []xds.Refusal{refusal},
	}, xds.Node{ID: "c1/99bb1d5e5b8f4a7db8a92ef5c1d2e3f4", Since: now.Add(-3 * time.Second), PendingSince: now.Add(-3 * time.Second)})
	return k
}

// serve serves the page of what is made up, and returns its address.
func (k *told) serve(t testing.TB) string {
	t.Helper()
	s := &admin.Server{Version: "1.2.3", Loop: k, Envoys: k, Rates: k, Metrics: admin.NewMetrics()}
	server := httptest.NewServer(s.Handler())
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

// waitText waits until the page shows a text.
func (b *tab) waitText(want string) {
	b.t.Helper()
	late := time.Now().Add(patience)
	for {
		var text string
		// Between two documents there is nothing to evaluate in.
		if err := chromedp.Run(b.ctx, chromedp.Evaluate(`document.body ? document.body.innerText : ""`, &text)); err == nil && strings.Contains(text, want) {
			return
		}
		if time.Now().After(late) {
			b.t.Fatalf("waited %s in vain for %q on\n%s", patience, want, text)
		}
		<-time.After(20 * time.Millisecond)
	}
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

// statesInWords are the words that the page has for states, when there is everything.
func statesInWords() []string {
	return strings.Fields("ready active missing inactive denied unread healthy unknown unhealthy excluded current pending refused error warning note")
}

func TestThePageInARealBrowser(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	for _, services := range []int{5, 500} {
		address := madeUp(services).trouble().serve(t)
		begin := time.Now()
		size := len(fetch(t, address))
		t.Logf("%d services with 20 endpoints each: %d bytes in %s", services, size, time.Since(begin).Round(100*time.Microsecond))
		if size > 1<<20 {
			t.Errorf("the page of %d services has %d bytes, want at most 1 MiB", services, size)
		}
		for _, width := range []int64{390, 1280} {
			for _, scheme := range []string{"light", "dark"} {
				b.look(width, scheme)
				b.do("opening the page", chromedp.Navigate(address))
				b.screenshot(fmt.Sprintf("%d-services-%d-%s", services, width, scheme))
				var wide int64
				b.eval(`Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)`, &wide)
				if wide > width {
					t.Errorf("%d services, %s: the page is %d pixels wide on %d", services, scheme, wide, width)
				}
				for _, problem := range b.complaints() {
					t.Errorf("%d services, %d pixels, %s: %s", services, width, scheme, problem)
				}
			}
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
