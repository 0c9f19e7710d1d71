package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/config"
)

const (
	// adminPatience bounds a question to a running nightjar, which answers from memory.
	adminPatience = 2 * time.Second
	// maxReport bounds its answer, in bytes: 20,000 tasks have about 8 MiB.
	maxReport = 64 << 20
)

// askAdmin asks a running nightjar for a JSON document.
func askAdmin(ctx context.Context, at config.Address, path string, answer any) error {
	client := &http.Client{Timeout: adminPatience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, at.Network, at.String())
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://nightjar"+path, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxReport)).Decode(answer)
}
