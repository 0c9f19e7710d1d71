package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/groboclown/nightjar-mesh/internal/demo"
)

// TestIngressSpeaksWhatEgressSpeaks has HTTP/1.1, HTTP/2, gRPC and websockets reach the own containers.
func TestIngressSpeaksWhatEgressSpeaks(t *testing.T) {
	t.Parallel()
	ports := freePorts(t, 3)
	world := ownWorld("host", fmt.Sprintf("{name: web, ports: [%s]}, {name: h2, ports: [%s]}, {name: rpc, ports: [%s]}", ports[0], ports[1], ports[2]))
	r := inOwnTask(t, world, append(containersOf("/web", "web", ports[0], "/h2", "h2", ports[1], "/own.Echo", "rpc", ports[2]),
		"CONTAINER_PROTOCOL_2=http2", "CONTAINER_PROTOCOL_3=grpc")...)
	r.startNightjar()
	r.startEnvoy()
	for _, path := range []string{"/web", "/h2", "/own.Echo"} {
		r.waitStatus(path, http.StatusOK)
	}
	speaksHTTP2(t, r.base, "/h2", "own/me")
	if got := demo.Get(http2Client(t), r.base, "/web"); got.Err != nil || got.Answer.Protocol != "HTTP/1.1" {
		t.Errorf("HTTP/2 from the client, HTTP/1.1 to the app: %+v", got)
	}
	speaksGRPC(t, r.base, "own.Echo", "own/me")
	passesGRPCEndings(t, r.base, "own.Echo")
	keepsGRPCDeadlines(t, r.base, "own.Echo")
	speaksWebsocket(t, r.base, "/web", "own/me")
}

func TestATimeoutOfIngressEndsARequestAsAWhole(t *testing.T) {
	t.Parallel()
	ports := freePorts(t, 3)
	world := ownWorld("awsvpc", fmt.Sprintf("{name: web, ports: [%s]}, {name: slow, ports: [%s]}, {name: rpc, ports: [%s]}", ports[0], ports[1], ports[2]))
	r := inOwnTask(t, world, append(containersOf("/web", "web", ports[0], "/slow", "slow", ports[1], "/own.Echo", "rpc", ports[2]),
		"CONTAINER_TIMEOUT_1=300ms", "CONTAINER_TIMEOUT_3=300ms", "CONTAINER_PROTOCOL_3=grpc")...)
	r.startNightjar()
	r.startEnvoy()
	for path, want := range map[string]int{"/web": http.StatusGatewayTimeout, "/slow": http.StatusOK} {
		r.waitStatus(path, http.StatusOK)
		begin := time.Now()
		if got := r.get(path + "?sleep=1500ms"); got.status != want {
			t.Errorf("%s answers %d after %s, want %d", path, got.status, time.Since(begin), want)
		}
	}
	r.waitStatus("/own.Echo", http.StatusOK)
	got := callRaw(t, r.base, "/own.Echo/"+demo.EchoUnary, demo.EchoRequest{Sleep: "3s", Stubborn: true}, http.Header{})
	if got != fmt.Sprint(uint32(codes.DeadlineExceeded)) {
		t.Errorf("a gRPC call ends with %q", got)
	}
}
