package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// me is who the backends of these tests are.
func me() Identity {
	return Identity{Service: "c1/web", Task: "0123", Revision: "web:1", Container: "app", Port: 8080}
}

// startBackend is a backend at a free port, and its HOST:PORT.
func startBackend(t *testing.T) (*Backend, string) {
	t.Helper()
	b, err := StartBackend(me(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	return b, b.listener.Addr().String()
}

func TestABackendSaysWhoItIsInHTTP1AndHTTP2(t *testing.T) {
	_, at := startBackend(t)
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		var only http.Protocols
		only.SetHTTP1(protocol == "HTTP/1.1")
		only.SetUnencryptedHTTP2(protocol == "HTTP/2.0")
		client := &http.Client{Transport: &http.Transport{Protocols: &only}}
		got := Get(client, "http://"+at, "/a?b")
		if got.Err != nil || got.Answer.Identity != me() || got.Answer.Protocol != protocol || got.Answer.Target != "/a?b" {
			t.Errorf("%s: %+v", protocol, got)
		}
		client.CloseIdleConnections()
	}
}

func dial(t *testing.T, at string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestABackendSpeaksGRPC(t *testing.T) {
	_, at := startBackend(t)
	conn := dial(t, at)
	a, b, c := EchoRequest{Message: "a"}, EchoRequest{Message: "b"}, EchoRequest{Message: "c"}
	for _, test := range []struct {
		method   string
		requests []EchoRequest
		want     string
	}{
		{EchoUnary, []EchoRequest{a}, "1a"},
		{EchoServerStream, []EchoRequest{{Message: "a", Count: 3}}, "1a2a3a"},
		{EchoClientStream, []EchoRequest{a, b, c}, "3c"},
		{EchoClientStream, nil, "0"},
		{EchoBidiStream, []EchoRequest{a, b, c}, "1a2b3c"},
		{EchoBidiStream, nil, ""},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-colour", "red")
		method := "/any.Service/" + test.method
		answers, err := Call(ctx, conn, method, test.requests...)
		if err != nil {
			t.Errorf("%s: %v", test.method, err)
		}
		got := ""
		for _, answer := range answers {
			got += fmt.Sprint(answer.Number, answer.Message)
			if answer.Identity != me() || answer.Target != method || answer.Headers.Get("x-colour") != "red" {
				t.Errorf("%s: %+v", test.method, answer)
			}
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.method, got, test.want)
		}
	}
}

func TestAGRPCCallEndsAsItIsAskedTo(t *testing.T) {
	_, at := startBackend(t)
	conn := dial(t, at)
	_, err := Call(t.Context(), conn, "/x/Unary", EchoRequest{Message: "no such thing", Code: codes.NotFound})
	if s := status.Convert(err); s.Code() != codes.NotFound || s.Message() != "no such thing" {
		t.Errorf("a status: %v", err)
	}
	_, err = Call(t.Context(), conn, "/x/Dance")
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("an unknown method: %v", err)
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = Call(ctx, conn, "/x/Unary", EchoRequest{Sleep: "9s"})
	if took := time.Since(begin); status.Code(err) != codes.DeadlineExceeded || took > 5*time.Second {
		t.Errorf("a deadline: %v after %s", err, took)
	}
}

// openSocket opens a websocket and reads who is there.
func openSocket(t *testing.T, at string) (*websocket.Conn, Answer) {
	t.Helper()
	ws, err := websocket.Dial("ws://"+at+"/chat?room=1", "", "http://example.test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	var greeting Answer
	if err := websocket.JSON.Receive(ws, &greeting); err != nil {
		t.Fatal(err)
	}
	return ws, greeting
}

func TestABackendEchoesOnAWebsocket(t *testing.T) {
	_, at := startBackend(t)
	ws, greeting := openSocket(t, at)
	if greeting.Identity != me() || greeting.Target != "/chat?room=1" {
		t.Errorf("%+v", greeting)
	}
	for _, said := range []frame{
		{[]byte("hello"), websocket.TextFrame}, {[]byte{0, 1, 255}, websocket.BinaryFrame}, {make([]byte, 100_000), websocket.BinaryFrame},
	} {
		if err := frames().Send(ws, said); err != nil {
			t.Fatal(err)
		}
		var heard frame
		if err := frames().Receive(ws, &heard); err != nil || heard.kind != said.kind || string(heard.data) != string(said.data) {
			t.Errorf("said %d bytes as %d, heard %d as %d: %v", len(said.data), said.kind, len(heard.data), heard.kind, err)
		}
	}
}

func TestAWebsocketEndsWithItsBackend(t *testing.T) {
	for name, end := range map[string]struct {
		how  func(*Backend) error
		want error
	}{
		"SIGTERM": {func(b *Backend) error { return b.Stop(t.Context()) }, io.EOF},
		"SIGKILL": {func(b *Backend) error { b.Kill(); return nil }, syscall.ECONNRESET},
	} {
		b, at := startBackend(t)
		ws, _ := openSocket(t, at)
		if err := end.how(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var heard frame
		if err := frames().Receive(ws, &heard); !errors.Is(err, end.want) {
			t.Errorf("%s: heard %q, %v; want %v", name, heard.data, err, end.want)
		}
	}
}

// TestAPortThatIsClosedFirstIsNoFailure has backends that end right after their port: the server may not have seen that yet.
func TestAPortThatIsClosedFirstIsNoFailure(t *testing.T) {
	for range 1000 {
		b, err := StartBackend(Identity{}, netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		b.refuse()
		if err := b.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
