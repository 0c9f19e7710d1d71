package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/groboclown/nightjar-mesh/internal/config"
)

// askNightjar gets a path of a running nightjar, and its HTTP status. An answer of more than most bytes is an error.
func askNightjar(ctx context.Context, at config.Address, path string, most int64) (status int, answer []byte, err error) {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, at.Network, at.String())
		},
	}}
	asked := func(err error) error { return fmt.Errorf("asking nightjar at %s (NIGHTJAR_ADMIN_LISTEN): %w", at, err) }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://nightjar"+path, http.NoBody)
	if err != nil {
		return 0, nil, asked(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		var noise *url.Error
		if errors.As(err, &noise) { // its URL is none that anybody knows
			err = noise.Err
		}
		return 0, nil, asked(fmt.Errorf("%w; does it run, and is that its address?", err))
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return 0, nil, asked(err)
	case int64(len(answer)) > most:
		return 0, nil, asked(fmt.Errorf("%s has more than %d bytes", path, most))
	}
	return resp.StatusCode, answer, nil
}
