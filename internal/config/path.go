package config

import (
	"fmt"
	"path"
	"strings"
)

// maxPath bounds a path, in bytes.
const maxPath = 1024

// checkPath says what keeps a path from ever matching a request. Envoy normalizes requests before it matches them, so a
// path that isn't normalized itself would be dead.
func checkPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf("a path begins with \"/\": %q would be right", clip("/"+p))
	case len(p) > maxPath:
		return fmt.Errorf("a path has at most %d bytes", maxPath)
	case strings.ContainsAny(p, "?#"):
		return fmt.Errorf("a path has no query or fragment: %q would be right", clip(p[:strings.IndexAny(p, "?#")]))
	}
	for _, c := range []byte(p) {
		if c <= ' ' || c >= 0x7f {
			return fmt.Errorf("a path has only visible ASCII characters; write others percent-encoded, as requests have them")
		}
	}
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	if clean != p {
		return fmt.Errorf("requests are normalized before they are matched, so this never matches: %q would", clip(clean))
	}
	return nil
}
