package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/groboclown/nightjar-mesh/internal/demo"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// TestDocsFlagsOfTheAccessLogMeanWhatIsWritten brings about what docs/troubleshooting.md has flags for, with a real Envoy, and
// compares the table there with its access log.
func TestDocsFlagsOfTheAccessLogMeanWhatIsWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, worldOf(`
- {name: empty, desired: 0, network: bridge, containers: [{name: web, ports: [8080]}]}
- {name: web, desired: 2, network: bridge, containers: [{name: web, ports: [8080]}]}
- {name: wrong, desired: 2, network: awsvpc, launch: FARGATE, containers: [{name: web, ports: [8080]}]}
- {name: rpc, desired: 1, network: awsvpc, launch: FARGATE, containers: [{name: web, ports: [8080]}]}
`), append(services("/empty", "c1/empty", "/wrong", "c1/wrong", "/web", "c1/web", "/late", "c1/web", "/own.Echo", "c1/rpc"),
		"SERVICE_PORT_2=8081", "SERVICE_TIMEOUT_4=200ms", "SERVICE_PORT_5=8082")...)
	r.startNightjar()
	out := &buffer{}
	r.envoy = envoytest.Start(t, envoytest.Options{Bootstrap: []byte(r.run("bootstrap")), Stdout: out})
	r.waitStatus("/web", http.StatusOK)
	r.waitStatus("/late", http.StatusOK)
	r.eventually("the tasks without a server are there", func() bool { return len(r.service("c1/wrong:8081").Endpoints) == 2 })
	for target, method := range map[string]string{
		"/nothing": "GET", "/empty/": "GET", "/wrong/": "GET", "/web/broken?break=9": "POST", "/late/?sleep=2s": "GET",
	} {
		if _, err := r.send(method, target, nil, nil); err != nil {
			t.Error(err)
		}
	}
	r.leaveEarly("/web/left?sleep=2s")
	r.speaksNoHTTP1("c1/rpc:8082", "/own.Echo/Get")
	r.envoy.Stop() // which writes what is buffered
	lines, page := out.lines(), readDoc(t, "../docs/troubleshooting.md")
	for _, path := range []string{"/nothing", "/empty/", "/wrong/", "/web/broken", "/late/", "/web/left", "/own.Echo/Get"} {
		i := slices.IndexFunc(lines, func(l map[string]any) bool { return l["path"] == path })
		if i < 0 {
			t.Errorf("the access log lacks %s", path)
			continue
		}
		detail, _, _ := strings.Cut(fmt.Sprint(lines[i]["detail"]), "{")
		row := fmt.Sprintf("\n| %v | `%v` | `%s` |", lines[i]["status"], lines[i]["flags"], detail)
		if !strings.Contains(page, row) {
			t.Errorf("the page lacks the row %s\nof %v", row, lines[i])
		}
	}
	if i := slices.IndexFunc(lines, func(l map[string]any) bool { return l["path"] == "/own.Echo/Call" }); i < 0 ||
		lines[i]["status"] != float64(http.StatusOK) || lines[i]["flags"] != "UPE" {
		t.Errorf("a failed call of gRPC, whose status is 200: %v", lines)
	}
}

// TestDocsFlagOfTheHealthPathMeansWhatIsWritten has the health path say no, as nothing listens at the own container's port. The log
// of errors has the requests, and not the load balancer's question.
func TestDocsFlagOfTheHealthPathMeansWhatIsWritten(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"all", "errors"} {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			port := freePorts(t, 1)[0]
			r := inOwnTask(t, ownWorld("awsvpc", fmt.Sprintf("{name: web, unpublished: [%s]}", port)),
				append(containersOf("/", "web", freePorts(t, 1)[0]), "NIGHTJAR_ACCESS_LOG="+which)...)
			r.startNightjar()
			out := &buffer{}
			r.envoy = envoytest.Start(t, envoytest.Options{Bootstrap: []byte(r.run("bootstrap")), Stdout: out})
			r.waitStatus("/.nightjar/health", http.StatusServiceUnavailable)
			if got, err := r.send(http.MethodGet, "/", nil, nil); err != nil || got.header.Get("X-Nightjar-Unsent") != "1" {
				t.Errorf("ingress's own answer has no mark: %+v %v", got, err)
			}
			r.envoy.Stop()
			lines := out.lines()
			of := func(path string) int {
				return slices.IndexFunc(lines, func(l map[string]any) bool { return l["path"] == path && l["status"] == float64(503) })
			}
			i := of("/.nightjar/health")
			if of("/") < 0 || (i >= 0) != (which == "all") {
				t.Fatalf("want the request, and the health path where all is logged: %v", lines)
			}
			if which == "all" && (lines[i]["flags"] != "LH" || lines[i]["detail"] != "health_check_failed_cluster_unhealthy" ||
				!strings.Contains(readDoc(t, "../docs/troubleshooting.md"), "\n| 503 | `LH` | `health_check_failed` |")) {
				t.Errorf("the health path's 503: %v", lines)
			}
		})
	}
}

// speaksNoHTTP1 has a server of gRPC at the only endpoint of a service, and sends it a GET and a call by a route that speaks HTTP/1.1.
func (r *rig) speaksNoHTTP1(service, path string) {
	r.t.Helper()
	r.eventually("the task of gRPC is there", func() bool { return len(r.service(service).Endpoints) == 1 })
	listener, err := net.Listen("tcp", r.service(service).Endpoints[0].Address)
	must(r.t, err)
	server := grpc.NewServer()
	go func() { _ = server.Serve(listener) }()
	r.t.Cleanup(server.Stop)
	if _, err := r.send(http.MethodGet, path, nil, nil); err != nil {
		r.t.Error(err)
	}
	_, err = demo.Call(r.t.Context(), dialGRPC(r.t, r.base), "/own.Echo/Call", demo.EchoRequest{})
	if s := status.Convert(err); s.Code() != codes.Unavailable || !strings.Contains(s.Message(), "protocol error") {
		r.t.Errorf("a call by HTTP/1.1 ends with %v", err)
	}
}

// leaveEarly sends a GET, doesn't wait for the answer, and returns when Envoy has noticed that.
func (r *rig) leaveEarly(target string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+target, nil)
	must(r.t, err)
	if resp, err := http.DefaultClient.Do(request); err == nil {
		_ = resp.Body.Close()
		r.t.Fatalf("it was answered early: %s", resp.Status)
	}
	r.eventually("Envoy notices that the client has left", func() bool {
		stats, err := r.envoy.Admin.Stats(context.Background(), "http.egress.downstream_rq_active")
		return err == nil && stats["http.egress.downstream_rq_active"] == 0
	})
}
