package awsapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// maxAnswer bounds an answer, in bytes. A hundred described tasks with ten containers each have about 1 MiB.
const maxAnswer = 16 << 20

// maxHeader bounds the header of an answer, in bytes. AWS's have less than 1 KiB.
const maxHeader = 64 << 10

// httpClient is the SDK's own client, which minds AWS_CA_BUNDLE and follows no redirects, with each try bounded in time and
// as many idle connections kept as are used at a time.
func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTimeout(tryTimeout).WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = 32
		t.MaxResponseHeaderBytes = maxHeader
	})
}

// guarded lets through only answers that can be AWS's, and bounds them. The SDK takes a page of HTML and an empty body for
// an answer that names nothing; from that no emptiness may be invented.
type guarded struct{ aws.HTTPClient }

// Do implements aws.HTTPClient.
func (g guarded) Do(r *http.Request) (*http.Response, error) {
	resp, err := g.HTTPClient.Do(r)
	if err != nil {
		return nil, err
	}
	kind := resp.Header.Get("Content-Type")
	if resp.StatusCode/100 == 2 && !strings.Contains(kind, "json") && !strings.Contains(kind, "xml") {
		_ = resp.Body.Close()
		return nil, stranger(fmt.Sprintf("the answer of %s is %.60q and not AWS's", r.URL.Host, kind))
	}
	resp.Body = &guardedBody{ReadCloser: resp.Body}
	return resp, nil
}

// stranger is the error that somebody else answered in AWS's place; it tells with what.
type stranger string

// Error says what came.
func (e stranger) Error() string { return string(e) }

type guardedBody struct {
	io.ReadCloser
	got int64
}

// Read implements io.Reader. A body that is empty or too large is an error.
func (b *guardedBody) Read(p []byte) (int, error) {
	if b.got >= maxAnswer {
		return 0, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), maxAnswer-b.got)])
	b.got += int64(n)
	if errors.Is(err, io.EOF) && b.got == 0 {
		err = fmt.Errorf("the answer is empty: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}
