package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// page is the page for people. It is one document that needs nothing else, and no JavaScript.
type page struct {
	report   func() Report
	document *template.Template
	policy   string
}

func newPage(report func() Report) *page {
	return &page{
		report:   report,
		document: template.Must(template.New("page").Funcs(pageWords()).Parse(pageHTML)),
		policy: fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; connect-src 'self'; img-src data:; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'", hash(pageCSS), hash(pageJS)),
	}
}

// hash allows one text in a Content-Security-Policy.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// pageWords are the words that the page has from where the text has them.
func pageWords() template.FuncMap {
	return template.FuncMap{
		"tone": tone, "words": words, "source": source, "seconds": seconds, "timeout": timeout, "number": number, "nodeWord": nodeWord,
		"refusedName": refusedName,
		"iso":         func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}
}

// ServeHTTP renders the page of now.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	report := p.report()
	var b bytes.Buffer
	if err := p.document.Execute(&b, view(&report, queryOf(r.URL.Query()))); err != nil {
		text(w, http.StatusInternalServerError, "the page cannot be made; /api/status has what it would show")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(b.Bytes()) // the client went away: nobody is left to tell
}
