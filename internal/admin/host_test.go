package admin

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

var hosts = map[bool][]string{
	true: {
		"127.0.0.1:9903", "127.0.0.1", "127.8.8.8:1", "10.0.0.7:9903", "[::1]:9903", "[::1]", "[::ffff:127.0.0.1]:9903",
		"localhost:9903", "localhost", "LocalHost", "nightjar", "Nightjar:9903", "",
	},
	false: {
		"evil.example", "evil.example:9903", "localhost.evil.example", "evil-localhost", "127.0.0.1.evil.example:9903", "nightjar.evil.example",
		"nightjar-evil", "a.nightjar", "127.0.0.1:9903.evil.example", "0x7f.1", "127.1", "2130706433", "127.0.0.01", "[evil.example]:9903",
		":9903", "::1", "localhost:evil.example", "user@localhost", "[::1", ".",
	},
}

func TestOnALoopbackAddressOnlyHostsThatNoPageElsewhereCanHaveAreAnswered(t *testing.T) {
	s := serverOf(everything())
	for _, ip := range []string{"127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"} {
		handler := s.handlerOn(&net.TCPAddr{IP: net.ParseIP(ip), Port: 9903})
		for here, all := range hosts {
			for _, host := range all {
				for _, path := range strings.Fields("/ /healthz /readyz /metrics /api/status") {
					w := httptest.NewRecorder()
					r := httptest.NewRequest(http.MethodGet, path, nil)
					r.Host = host
					handler.ServeHTTP(w, r)
					switch {
					case here && w.Code != http.StatusOK:
						t.Errorf("%s on %s, Host %q: %d", path, ip, host, w.Code)
					case !here && (w.Code != http.StatusMisdirectedRequest || w.Body.Len() > 300 || !strings.Contains(w.Body.String(), "ask for http://localhost:PORT")):
						t.Errorf("%s on %s, Host %q: %d %.400s", path, ip, host, w.Code, w.Body)
					}
				}
			}
		}
	}
}

func TestBeyondLoopbackAndOverAUnixSocketAnyHostIsAnswered(t *testing.T) {
	s := serverOf(everything())
	for _, at := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4zero, Port: 9903}, &net.TCPAddr{IP: net.IPv6unspecified, Port: 9903}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 9903},
		&net.UnixAddr{Name: "/shared/admin.sock", Net: "unix"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/api/status", nil)
		r.Host = "nightjar.prometheus.example:9903"
		s.handlerOn(at).ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", at, w.Code)
		}
	}
}

// ask asks a server that serves on a listener for /healthz of a host.
func ask(t *testing.T, l net.Listener, host string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, l.Addr().Network(), l.Addr().String())
		},
	}}
	resp, err := client.Get("http://" + host + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestTheListenersAddressDecidesWhichHostsAreAnswered(t *testing.T) {
	for at, want := range map[[2]string]int{
		{"tcp", "127.0.0.1:0"}: http.StatusMisdirectedRequest, {"unix", filepath.Join(t.TempDir(), "a.sock")}: http.StatusOK,
	} {
		l, err := new(net.ListenConfig).Listen(t.Context(), at[0], at[1])
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- serverOf(everything()).Serve(ctx, l) }()
		if code, body := ask(t, l, "evil.example"); code != want {
			t.Errorf("%s: %d %s", at, code, body)
		}
		for _, host := range []string{"nightjar", "localhost:9903", "127.0.0.1:9903"} {
			if code, body := ask(t, l, host); code != http.StatusOK || body != "alive\n" {
				t.Errorf("%s: %s: %d %s", at, host, code, body)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
