package awsapi

import (
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds an answer, in bytes. A hundred described tasks with ten containers each have about 1 MiB.
const maxAnswer = 16 << 20

// httpClient bounds each try in time and size, and follows no redirects.
func httpClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = defaultTransport()
	}
	return &http.Client{
		Timeout:       tryTimeout,
		Transport:     bounded{transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// defaultTransport keeps as many idle connections to AWS as are used at a time; Go's default keeps two.
func defaultTransport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	t.MaxIdleConnsPerHost = 32
	return t
}

// bounded bounds the answers of a transport.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
