package admin

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// clientHost is the host that nightjar's own commands ask for: over a unix socket there is none.
const clientHost = "nightjar"

// handlerOn answers at an address. A loopback address is reached by this host alone, and so by every page in a browser on it: a
// page elsewhere may let its own name resolve to 127.0.0.1 (DNS rebinding) and read what is answered. Its requests name it.
func (s *Server) handlerOn(at net.Addr) http.Handler {
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return onlyHere(s.Handler())
	}
	return s.Handler()
}

// onlyHere refuses requests for a host name that anybody could make resolve to a loopback address.
func onlyHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isHere(r.Host) {
			text(w, http.StatusMisdirectedRequest,
				"nightjar listens on a loopback address (NIGHTJAR_ADMIN_LISTEN) and answers to an IP address or localhost, not to "+
					"other host names: ask for http://localhost:PORT")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isHere tells whether a Host header is one that no page from elsewhere can have. Browsers always send one; health checks in
// HTTP/1.0 send none.
func isHere(header string) bool {
	host := (&url.URL{Host: header}).Hostname()
	if header == "" || strings.EqualFold(host, "localhost") || strings.EqualFold(host, clientHost) {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}
