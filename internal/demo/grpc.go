package demo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// The methods of a backend's gRPC service, which has any name: what they are called with and answer are structs, of
// EchoRequest and EchoAnswer.
const (
	EchoUnary        = "Unary"
	EchoServerStream = "ServerStream"
	EchoClientStream = "ClientStream"
	EchoBidiStream   = "BidiStream"
)

// maxCount bounds the messages that a request may ask for.
const maxCount = 1000

// EchoRequest is a message to a backend's gRPC service.
type EchoRequest struct {
	Message string `json:"message,omitempty"`
	// Sleep is how long it waits before it answers, as "2s".
	Sleep string `json:"sleep,omitempty"`
	// Stubborn makes it wait for all of Sleep, past the deadline of the call and its end.
	Stubborn bool `json:"stubborn,omitempty"`
	// Count is how many answers a server stream has; 0 is one.
	Count int `json:"count,omitempty"`
	// Code is the status with which the call ends instead of an answer.
	Code codes.Code `json:"code,omitempty"`
}

// EchoAnswer is a message of a backend's gRPC service: who answers, and what was said.
type EchoAnswer struct {
	Answer
	Message string `json:"message"`
	// Number counts the answers of a stream from 1; of a client stream, the messages that came.
	Number int `json:"number"`
	// TimeLeft is the time until the deadline of the call as the backend sees it; 0 without one.
	TimeLeft time.Duration `json:"timeLeft"`
}

// Struct is the message on the wire.
func (r EchoRequest) Struct() (*structpb.Struct, error) { return toStruct(r) }

// EchoStream is a call of a backend's gRPC service.
type EchoStream struct{ grpc.ClientStream }

// OpenEcho begins a call of a method /SERVICE/NAME.
func OpenEcho(ctx context.Context, conn *grpc.ClientConn, method string) (EchoStream, error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	return EchoStream{stream}, err
}

// Send sends a message.
func (s EchoStream) Send(r EchoRequest) error {
	message, err := r.Struct()
	if err != nil {
		return err
	}
	return s.SendMsg(message)
}

// Receive waits for an answer; io.EOF is the good end of the call.
func (s EchoStream) Receive() (EchoAnswer, error) {
	var a EchoAnswer
	message := &structpb.Struct{}
	if err := s.RecvMsg(message); err != nil {
		return a, err
	}
	return a, fromStruct(message, &a)
}

// Call makes a call with all its messages, and returns all its answers.
func Call(ctx context.Context, conn *grpc.ClientConn, method string, requests ...EchoRequest) ([]EchoAnswer, error) {
	stream, err := OpenEcho(ctx, conn, method)
	if err != nil {
		return nil, err
	}
	for _, r := range requests {
		// io.EOF means that the call has ended, and Receive tells how.
		if err := stream.Send(r); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	var answers []EchoAnswer
	for {
		a, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return answers, nil
		}
		if err != nil {
			return answers, err
		}
		answers = append(answers, a)
	}
}

func toStruct(value any) (*structpb.Struct, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	out := &structpb.Struct{}
	return out, protojson.Unmarshal(text, out)
}

func fromStruct(from *structpb.Struct, value any) error {
	text, err := protojson.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, value)
}

// newEchoServer makes the gRPC service of a backend. It has no generated code: any method of any service is taken by its
// last name, so that services of several names can be told apart by their path. Once it is stopping, streams that wait for their
// client end with UNAVAILABLE.
func newEchoServer(who Identity, stopping <-chan struct{}) *grpc.Server {
	return grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		e := &echo{who: who, stream: stream, stopping: stopping}
		e.method, _ = grpc.MethodFromServerStream(stream)
		return e.serve()
	}))
}

// isGRPC tells whether a request is a gRPC call.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// echo is one call.
type echo struct {
	who    Identity
	method string
	stream grpc.ServerStream
	// stopping is closed when the app is to end.
	stopping <-chan struct{}
}

func (e *echo) serve() error {
	switch name := e.method[strings.LastIndex(e.method, "/")+1:]; name {
	case EchoUnary, EchoServerStream:
		in, err := e.receive()
		if err != nil {
			return err
		}
		count := 1
		if name == EchoServerStream {
			count = min(max(1, in.Count), maxCount)
		}
		for n := range count {
			if err := e.answer(in, n+1); err != nil {
				return err
			}
		}
		return nil
	case EchoClientStream, EchoBidiStream:
		return e.serveStream(name == EchoBidiStream)
	default:
		return status.Errorf(codes.Unimplemented, "the demo has no method %.100q", name)
	}
}

// serveStream takes messages until the client ends its side, and answers each of them, or all with one.
func (e *echo) serveStream(each bool) error {
	var last EchoRequest
	for n := 1; ; n++ {
		in, err := e.receive()
		switch {
		case errors.Is(err, io.EOF) && each:
			return nil
		case errors.Is(err, io.EOF):
			return e.answer(last, n-1)
		case err != nil:
			return err
		}
		if last = in; each {
			if err := e.answer(in, n); err != nil {
				return err
			}
		}
	}
}

func (e *echo) receive() (in EchoRequest, err error) {
	message := &structpb.Struct{}
	came := make(chan error, 1)
	go func() { came <- e.stream.RecvMsg(message) }() // the end of the call ends it
	select {
	case err = <-came:
	case <-e.stopping:
		return in, status.Error(codes.Unavailable, "the app is stopping")
	}
	if err != nil {
		return in, err
	}
	if err := fromStruct(message, &in); err != nil {
		return in, status.Errorf(codes.InvalidArgument, "the message is none of the demo's: %v", err)
	}
	return in, nil
}

// answer answers as the request wants it: late, or not at all.
func (e *echo) answer(to EchoRequest, number int) error {
	ctx := e.stream.Context()
	if d, err := time.ParseDuration(to.Sleep); err == nil {
		end := ctx.Done()
		if to.Stubborn {
			end = nil
		}
		select {
		case <-time.After(min(d, maxSleep)):
		case <-end:
			return status.FromContextError(ctx.Err()).Err()
		}
	}
	if to.Code != codes.OK {
		return status.Error(to.Code, to.Message)
	}
	headers := http.Header{}
	incoming, _ := metadata.FromIncomingContext(ctx)
	for name, values := range incoming {
		headers[http.CanonicalHeaderKey(name)] = values
	}
	answer := EchoAnswer{Message: to.Message, Number: number, Answer: Answer{
		Identity: e.who, Method: http.MethodPost, Protocol: "HTTP/2.0", Target: e.method, Headers: headers,
	}}
	if deadline, set := ctx.Deadline(); set {
		answer.TimeLeft = time.Until(deadline)
	}
	out, err := toStruct(answer)
	if err != nil {
		return err
	}
	return e.stream.SendMsg(out)
}
