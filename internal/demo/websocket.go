package demo

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/websocket"
)

// maxFrame bounds a websocket message, in bytes.
const maxFrame = 1 << 20

// frame is a websocket message: text or binary.
type frame struct {
	data []byte
	kind byte
}

// frames reads and writes messages as they are.
func frames() websocket.Codec {
	return websocket.Codec{
		Marshal: func(v any) ([]byte, byte, error) {
			f, ok := v.(frame)
			if !ok {
				return nil, 0, websocket.ErrNotSupported
			}
			return f.data, f.kind, nil
		},
		Unmarshal: func(data []byte, kind byte, v any) error {
			f, ok := v.(*frame)
			if !ok {
				return websocket.ErrNotSupported
			}
			*f = frame{data, kind}
			return nil
		},
	}
}

// isWebsocket tells whether a request asks to go on as a websocket.
func isWebsocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// echoSocket says who answers in a first message, and then sends back each message as it came.
func (b *Backend) echoSocket(answer Answer, w http.ResponseWriter, r *http.Request) {
	websocket.Server{Handler: func(ws *websocket.Conn) {
		ws.MaxPayloadBytes = maxFrame
		b.opened(ws, r)
		defer b.closed(ws)
		greeting, err := json.Marshal(answer)
		said := frame{greeting, websocket.TextFrame}
		for codec := frames(); err == nil; {
			if err = codec.Send(ws, said); err == nil {
				err = codec.Receive(ws, &said)
			}
		}
	}}.ServeHTTP(w, r)
}

// connKey is where a request's context has its connection.
type connKey struct{}

// opened keeps a websocket, which the HTTP server knows no more, for the end of the backend.
func (b *Backend) opened(ws *websocket.Conn, r *http.Request) {
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sockets[ws] = conn
}

func (b *Backend) closed(ws *websocket.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sockets, ws)
}

// closeSockets ends the websockets: with a close frame, or as SIGKILL does.
func (b *Backend) closeSockets(gracefully bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ws, conn := range b.sockets {
		if gracefully {
			_ = ws.Close()
			continue
		}
		reset(conn)
		_ = conn.Close()
	}
}

// reset makes the end of a connection a reset, as the kernel does for a killed process with unread data.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}
