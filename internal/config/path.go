package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// maxPath bounds a path, in bytes.
const maxPath = 1024

// checkPath says what keeps a path from ever matching a request. Envoy normalizes requests before it matches them, so a
// path that isn't normalized itself would be dead.
func checkPath(p string) error {
	right := normalPath(p)
	for next := normalPath(right); next != right; next = normalPath(right) { // %%341 becomes %41, and that A
		right = next
	}
	right = cut(right)
	switch {
	case len(p) > maxPath:
		return fmt.Errorf("a path has at most %d bytes", maxPath)
	case strings.ContainsRune(p, 0) || strings.Contains(p, "%00"):
		return errors.New("no request has such a path: Envoy answers 400 to one with a zero byte")
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf("a path begins with \"/\": %q would be right", right)
	case strings.ContainsAny(p, "?#"):
		return fmt.Errorf("a path has no query or fragment: %q would be right", right)
	case strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return fmt.Errorf("a path has only visible ASCII characters, and others percent-encoded as requests have them: %q would be right", right)
	case p != normalPath(p):
		return fmt.Errorf("requests are normalized before they are matched, so this never matches: %q would", right)
	}
	return nil
}

// normalPath is what Envoy's normalize_path and merge_slashes make of a path.
// Measured on Envoy 1.40: percent-encoded letters, digits and -._~ are decoded; "<>^`{|} are encoded; a backslash is a
// slash; . and .. segments go, also with parameters (..;x); all other percent-encoding is kept, %2F too.
func normalPath(p string) string {
	p = strings.TrimSpace(p)
	if i := strings.IndexAny(p, "?#"); i >= 0 {
		p = p[:i]
	}
	var kept []string
	below := false // whether it ends with a slash
	for segment := range strings.SplitSeq(normalBytes(p), "/") {
		name, _, _ := strings.Cut(segment, ";")
		below = segment == "" || name == "." || name == ".."
		switch {
		case !below:
			kept = append(kept, segment)
		case name == "..":
			kept = kept[:max(0, len(kept)-1)]
		}
	}
	if below && len(kept) > 0 {
		kept = append(kept, "")
	}
	return "/" + strings.Join(kept, "/")
}

// normalBytes decodes what needs no percent-encoding, and encodes what does.
func normalBytes(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case c == '\\':
			b.WriteByte('/')
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>^`{|}", c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c)
		case c == '%' && i+2 < len(p):
			if decoded, err := hex.DecodeString(p[i+1 : i+3]); err == nil && unreserved(decoded[0]) {
				b.WriteByte(decoded[0])
				i += 2
				continue
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unreserved tells whether a byte means the same percent-encoded and not. Source: RFC 3986, section 2.3.
func unreserved(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-._~", c) >= 0
}
