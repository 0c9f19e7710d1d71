package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/groboclown/nightjar-mesh/internal/demo"
)

// What follows takes the base URL of a listener, http://HOST:PORT, and a path or a method of the service wanted behind it.

// http2Client speaks HTTP/2 alone, without TLS.
func http2Client(t testing.TB) *http.Client {
	var only http.Protocols
	only.SetUnencryptedHTTP2(true)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{Protocols: &only}}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// speaksHTTP2 sends many requests at once by one connection of HTTP/2, which the app must see as HTTP/2 too.
func speaksHTTP2(t *testing.T, base, path, service string) {
	t.Helper()
	client := http2Client(t)
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			got := demo.Get(client, base, fmt.Sprintf("%s?sleep=200ms&n=%d", path, n))
			if got.Err != nil || got.Answer.Service != service || got.Answer.Protocol != "HTTP/2.0" {
				t.Errorf("request %d: %+v", n, got)
			}
		})
	}
	begin := time.Now()
	all.Wait()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("50 requests of 200 ms took %s: they wait for each other", took)
	}
	resp, err := client.Get(base + path)
	must(t, err)
	must(t, resp.Body.Close())
	if resp.Proto != "HTTP/2.0" {
		t.Errorf("the listener answers by %s", resp.Proto)
	}
}

// dialGRPC connects to a listener.
func dialGRPC(t testing.TB, base string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(base, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { must(t, conn.Close()) })
	return conn
}

// openEcho begins a call that ends with the test, or after a while.
func openEcho(t *testing.T, conn *grpc.ClientConn, method string) demo.EchoStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	stream, err := demo.OpenEcho(ctx, conn, method)
	must(t, err)
	return stream
}

// speaksGRPC makes a unary call, a stream of the server and one of the client, and one in which each waits for the other.
func speaksGRPC(t *testing.T, base, name, service string) {
	t.Helper()
	conn := dialGRPC(t, base)
	large := strings.Repeat("x", 300_000) // more than a window of HTTP/2
	for _, test := range []struct {
		method   string
		requests []demo.EchoRequest
		answers  int
	}{
		{demo.EchoUnary, []demo.EchoRequest{{Message: "one"}}, 1},
		{demo.EchoUnary, []demo.EchoRequest{{Message: large}}, 1},
		{demo.EchoServerStream, []demo.EchoRequest{{Message: "one", Count: 100}}, 100},
		{demo.EchoClientStream, []demo.EchoRequest{{Message: "one"}, {Message: large}, {Message: "three"}}, 1},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		answers, err := demo.Call(ctx, conn, "/"+name+"/"+test.method, test.requests...)
		cancel()
		if err != nil || len(answers) != test.answers {
			t.Errorf("%s: %d answers, want %d; %v", test.method, len(answers), test.answers, err)
			continue
		}
		last, said := answers[len(answers)-1], test.requests[len(test.requests)-1].Message
		if last.Service != service || last.Target != "/"+name+"/"+test.method || last.Message != said {
			t.Errorf("%s: %.300s", test.method, fmt.Sprintf("%+v", last))
		}
	}
	talk(t, openEcho(t, conn, "/"+name+"/"+demo.EchoBidiStream), service)
}

// talk sends only after the answer to what was sent before, so that nothing on the way may hold back what passes.
func talk(t *testing.T, stream demo.EchoStream, service string) {
	t.Helper()
	for n := 1; n <= 20; n++ {
		must(t, stream.Send(demo.EchoRequest{Message: fmt.Sprint("message ", n)}))
		answer, err := stream.Receive()
		if err != nil || answer.Number != n || answer.Message != fmt.Sprint("message ", n) || answer.Service != service {
			t.Fatalf("message %d: %+v %v", n, answer, err)
		}
	}
	must(t, stream.CloseSend())
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the end of a stream in both directions: %v", err)
	}
}

// passesGRPCEndings checks that the app's status and its message arrive, and the status of calls that nobody takes.
func passesGRPCEndings(t *testing.T, base, name string) {
	t.Helper()
	conn := dialGRPC(t, base)
	for _, code := range []codes.Code{codes.NotFound, codes.InvalidArgument, codes.ResourceExhausted, codes.Unavailable} {
		_, err := demo.Call(t.Context(), conn, "/"+name+"/"+demo.EchoUnary, demo.EchoRequest{Message: "no ünïcode: 100 %", Code: code})
		if s := status.Convert(err); s.Code() != code || s.Message() != "no ünïcode: 100 %" {
			t.Errorf("%s arrives as %v", code, err)
		}
	}
	answers, err := demo.Call(t.Context(), conn, "/"+name+"/"+demo.EchoBidiStream,
		demo.EchoRequest{Message: "well"}, demo.EchoRequest{Message: "enough", Code: codes.Aborted})
	if len(answers) != 1 || status.Code(err) != codes.Aborted {
		t.Errorf("a status after an answer: %v %v", answers, err)
	}
	if _, err := demo.Call(t.Context(), conn, "/none.Such/"+demo.EchoUnary, demo.EchoRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a service that no path takes: %v", err)
	}
}

// callRaw makes a unary call without a gRPC client, which would end it by itself. It returns grpc-status.
func callRaw(t *testing.T, base, method string, request demo.EchoRequest, header http.Header) string {
	t.Helper()
	message, err := request.Struct()
	must(t, err)
	body, err := proto.Marshal(message)
	must(t, err)
	// A message has a flag, for no compression, and its length in front.
	framed := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+method, bytes.NewReader(framed))
	must(t, err)
	r.Header = header.Clone()
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	resp, err := http2Client(t).Do(r)
	must(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, err)
	return resp.Header.Get("Grpc-Status") + resp.Trailer.Get("Grpc-Status")
}

// keepsGRPCDeadlines checks that a call's deadline arrives at the app, and ends the call where the app doesn't look at it.
func keepsGRPCDeadlines(t *testing.T, base, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answers, err := demo.Call(ctx, dialGRPC(t, base), "/"+name+"/"+demo.EchoUnary, demo.EchoRequest{})
	if err != nil || answers[0].TimeLeft <= 10*time.Second || answers[0].TimeLeft > 20*time.Second {
		t.Errorf("the app sees %+v %v", answers, err)
	}
	begin := time.Now()
	got := callRaw(t, base, "/"+name+"/"+demo.EchoUnary, demo.EchoRequest{Sleep: "8s", Stubborn: true}, http.Header{"Grpc-Timeout": {"300m"}})
	if took := time.Since(begin); got != fmt.Sprint(uint32(codes.DeadlineExceeded)) || took > 4*time.Second || took < 250*time.Millisecond {
		t.Errorf("with grpc-timeout: 300m a stubborn app's call ends with %q after %s", got, took)
	}
}

// openWebsocket opens a websocket, and reads who is at its other end.
func openWebsocket(t *testing.T, base, path string) (*websocket.Conn, demo.Answer) {
	t.Helper()
	ws, err := websocket.Dial("ws"+strings.TrimPrefix(base, "http")+path, "", base)
	must(t, err)
	t.Cleanup(func() { _ = ws.Close() })
	must(t, ws.SetDeadline(time.Now().Add(patience)))
	var greeting demo.Answer
	must(t, websocket.JSON.Receive(ws, &greeting))
	return ws, greeting
}

// speaksWebsocket opens a websocket, on which the app speaks first, and then hears back what it says.
func speaksWebsocket(t *testing.T, base, path, service string) {
	t.Helper()
	ws, greeting := openWebsocket(t, base, path+"/room?name=a%20b")
	if greeting.Service != service || greeting.Target != path+"/room?name=a%20b" || greeting.Headers.Get("Origin") != base {
		t.Errorf("at its end is %+v", greeting)
	}
	for _, said := range []any{"hello", "häng die Tür", strings.Repeat("x", 300_000), []byte{0, 1, 2, 255}} {
		must(t, websocket.Message.Send(ws, said))
		var heard []byte
		must(t, websocket.Message.Receive(ws, &heard))
		if want := fmt.Sprintf("%s", said); string(heard) != want {
			t.Errorf("said %.20q, heard %.20q", want, heard)
		}
	}
}

const twoEchoes = `
- {name: web, desired: 2, network: bridge, containers: [{name: app, ports: [8080]}]}
- {name: chat, desired: 1, network: awsvpc, launch: FARGATE, containers: [{name: app, ports: [9000]}], load_balancers: [{container: app, port: 9000}]}
`

func TestHTTP2FromTheClientToTheApp(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoEchoes), append(services("/web", "c1/web", "/chat", "c1/chat"), "SERVICE_PROTOCOL_1=http2")...)
	r.waitTasks("/web", "c1", "web", 2)
	r.waitStatus("/chat", http.StatusOK)
	speaksHTTP2(t, r.base, "/web", "c1/web")
	if got := demo.Get(http2Client(t), r.base, "/chat"); got.Err != nil || got.Answer.Protocol != "HTTP/1.1" {
		t.Errorf("HTTP/2 from the client, HTTP/1.1 to the app: %+v", got)
	}
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoEchoes), append(services("/web.Echo", "c1/web", "/chat.Echo", "c1/chat"),
		"SERVICE_PROTOCOL_1=grpc", "SERVICE_PROTOCOL_2=grpc")...)
	r.waitStatus("/web.Echo", http.StatusOK)
	r.waitStatus("/chat.Echo", http.StatusOK)
	speaksGRPC(t, r.base, "web.Echo", "c1/web")
	speaksGRPC(t, r.base, "chat.Echo", "c1/chat")
	passesGRPCEndings(t, r.base, "web.Echo")
	keepsGRPCDeadlines(t, r.base, "web.Echo")
}

func TestAGRPCStreamAndTheEndOfItsTask(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoEchoes), append(services("/web.Echo", "c1/web", "/chat.Echo", "c1/chat"),
		"SERVICE_PROTOCOL_1=grpc", "SERVICE_PROTOCOL_2=grpc")...)
	r.waitStatus("/chat.Echo", http.StatusOK)
	conn := dialGRPC(t, r.base)
	stream := openEcho(t, conn, "/chat.Echo/"+demo.EchoBidiStream)
	must(t, stream.Send(demo.EchoRequest{Message: "hello"}))
	_, err := stream.Receive()
	must(t, err)
	must(t, r.sim.World.Kill("c1", "chat"))
	// Envoy has passed on the app's headers, so that it can say no status any more, and resets the stream.
	if _, err := stream.Receive(); status.Code(err) != codes.Internal && status.Code(err) != codes.Unavailable {
		t.Errorf("a stream whose task dies ends with %v", err)
	}
	must(t, r.sim.World.Scale("c1", "chat", 0))
	r.eventually("a service with nothing to serve is unavailable", func() bool {
		_, err := demo.Call(t.Context(), conn, "/chat.Echo/"+demo.EchoUnary, demo.EchoRequest{})
		return status.Code(err) == codes.Unavailable && contains(err.Error(), "no healthy upstream")
	})
}

func TestTheTimeoutThatIsSetBoundsAGRPCCall(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoEchoes), append(services("/web.Echo", "c1/web"), "SERVICE_PROTOCOL_1=grpc", "SERVICE_TIMEOUT_1=400ms")...)
	r.waitStatus("/web.Echo", http.StatusOK)
	for _, header := range []http.Header{{}, {"Grpc-Timeout": {"7S"}}} {
		begin := time.Now()
		got := callRaw(t, r.base, "/web.Echo/"+demo.EchoUnary, demo.EchoRequest{Sleep: "8s", Stubborn: true}, header)
		if took := time.Since(begin); got != fmt.Sprint(uint32(codes.DeadlineExceeded)) || took > 4*time.Second || took < 350*time.Millisecond {
			t.Errorf("%v: the call ends with %q after %s", header, got, took)
		}
	}
}

func TestWebsockets(t *testing.T) {
	t.Parallel()
	r := startAll(t, worldOf(twoEchoes), services("/web", "c1/web", "/chat", "c1/chat")...)
	r.waitStatus("/web", http.StatusOK)
	r.waitStatus("/chat", http.StatusOK)
	speaksWebsocket(t, r.base, "/web", "c1/web")
	speaksWebsocket(t, r.base, "/chat", "c1/chat")
	ws, _ := openWebsocket(t, r.base, "/chat")
	must(t, r.sim.World.StopTask("c1", "chat", ""))
	var heard []byte
	if err := websocket.Message.Receive(ws, &heard); !errors.Is(err, io.EOF) {
		t.Errorf("the app ends it as its task stops: heard %q, %v", heard, err)
	}
}
