package config

import (
	"strings"
	"testing"
)

// TestPathsThatRequestsCanHave has what Envoy 1.40 was seen to forward as it is.
func TestPathsThatRequestsCanHave(t *testing.T) {
	for _, p := range []string{
		"/", "/api", "/api/", "/a.b", "/..a", "/a..", "/...", "/a;b=1", "/x..;/b", "/a%2Fb", "/a%2fb", "/%2f/", "/a%C3%A4b", "/a%20b", "/a%5Cb",
		"/a%25b", "/a%252Eb", "/a%zz", "/a%4", "/a%", "/a!$&'()*+,:=@[]", "/" + strings.Repeat("x", maxPath-1),
	} {
		if err := checkPath(p); err != nil {
			t.Errorf("%.80q: %v", p, err)
		}
	}
}

// TestPathsThatNoRequestHas has what Envoy 1.40 was seen to make of a request's path before it matches.
func TestPathsThatNoRequestHas(t *testing.T) {
	const normalized = "requests are normalized before they are matched, so this never matches: "
	tests := map[string]string{
		"//a": `"/a" would`, "/a//b": `"/a/b" would`, "/a/b//": `"/a/b/" would`, "/a/.": `"/a/" would`, "/a/./b": `"/a/b" would`,
		"/a/..": `"/" would`, "/a/../b/": `"/b/" would`, "/../a": `"/a" would`, "/a/..;/b": `"/b" would`, "/a/.;x": `"/a/" would`,
		"/a/%2e%2E/b": `"/b" would`, "/%2e": `"/" would`, "/a%41b": `"/aAb" would`, "/a%7Eb": `"/a~b" would`, "/%%341": `"/A" would`,
		`/a\b`: `"/a/b" would`, "/{id}": `"/%7Bid%7D" would`, "/a|b": `"/a%7Cb" would`, `/"<>^` + "`": `"/%22%3C%3E%5E%60" would`,
	}
	for p, want := range tests {
		if err := checkPath(p); err == nil || err.Error() != normalized+want {
			t.Errorf("%q: %v\nwant %s", p, err, want)
		}
	}
	ascii := "a path has only visible ASCII characters, and others percent-encoded as requests have them: "
	for p, want := range map[string]string{
		"a":     `a path begins with "/": "/a" would be right`,
		"a/../": `a path begins with "/": "/" would be right`,
		"/a?b":  `a path has no query or fragment: "/a" would be right`,
		"/a#":   `a path has no query or fragment: "/a" would be right`,
		"/ä":    ascii + `"/%C3%A4" would be right`,
		"/a b":  ascii + `"/a%20b" would be right`,
		"/a\t":  ascii + `"/a" would be right`,
		"/%00":  "no request has such a path: Envoy answers 400 to one with a zero byte",
		"/\x00": "no request has such a path: Envoy answers 400 to one with a zero byte",

		"/" + strings.Repeat("x", maxPath): "a path has at most 1024 bytes",
	} {
		if err := checkPath(p); err == nil || err.Error() != want {
			t.Errorf("%.80q: %v\nwant %s", p, err, want)
		}
	}
}

// FuzzPath: what is said to be right is right, and stands still.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"/", "/api/", "orders?x", "/a/../b", "//", "/%2e%2e;/", "/%%341", `/\..\{}`, "/a\x00", " /ä#", "/%"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		err := checkPath(p)
		if err == nil && normalPath(p) != p {
			t.Fatalf("%q is taken, and Envoy makes %q of it", p, normalPath(p))
		}
		if err == nil {
			return
		}
		if _, hint, found := strings.Cut(err.Error(), `: "`); found && !strings.Contains(hint, "…") {
			hint = hint[:strings.LastIndexByte(hint, '"')]
			if again := checkPath(hint); again != nil {
				t.Fatalf("%q should become %q, but: %v", p, hint, again)
			}
		}
	})
}
