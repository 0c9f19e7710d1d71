package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// Result is what became of one request of a Load.
type Result struct {
	Path   string
	At     time.Time
	Took   time.Duration
	Status int
	Answer Answer
	// Err is set where no whole answer with status 200 came.
	Err error
}

// Load sends GET requests at a steady rate, whatever becomes of them.
type Load struct {
	// Base is the URL before the path, such as http://127.0.0.1:8080.
	Base string
	// Paths are asked for in turn.
	Paths []string
	// Every is the time between two requests.
	Every time.Duration
	// Seen is called with each result, from several goroutines.
	Seen func(Result)
}

// Run sends requests until the context ends, and returns when the last of them is answered.
func (l *Load) Run(ctx context.Context) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(l.Every)
	defer tick.Stop()
	var flying sync.WaitGroup
	defer flying.Wait()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			path := l.Paths[n%len(l.Paths)]
			flying.Go(func() { l.Seen(Get(client, l.Base, path)) })
		}
	}
}

// Get asks a backend once.
func Get(client *http.Client, base, path string) (r Result) {
	r = Result{Path: path, At: time.Now()}
	defer func() { r.Took = time.Since(r.At) }()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, base+path, http.NoBody)
	if err != nil {
		r.Err = err
		return r
	}
	resp, err := client.Do(req)
	if err != nil {
		r.Err = err
		return r
	}
	defer func() { _ = resp.Body.Close() }()
	r.Status = resp.StatusCode
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		r.Err = err
	case resp.StatusCode != http.StatusOK:
		r.Err = fmt.Errorf("status %d (%s)", resp.StatusCode, shorten(string(body), 160))
	default:
		r.Err = json.Unmarshal(body, &r.Answer)
	}
	return r
}
