package envoy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	// maxAdminAnswer bounds an answer, in bytes. The largest, a config dump of 1,000 Envoy clusters with 10,000 endpoints,
	// is about 10 MB.
	maxAdminAnswer = 64 << 20
	// adminTimeout bounds a call whose context has no earlier end.
	adminTimeout = 10 * time.Second
)

// Admin asks the admin API of an Envoy. It is safe for concurrent use, and keeps no connection between calls.
type Admin struct {
	address string
	client  *http.Client
}

// NewAdmin makes a client for the admin API at an address: network "tcp" with HOST:PORT, or "unix" with a path.
func NewAdmin(network, address string) *Admin {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return &Admin{
		address: address,
		client: &http.Client{
			Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
			Timeout:   adminTimeout,
		},
	}
}

// Ready is nil when Envoy is live: it holds its listeners and takes traffic. Else the error tells the state that Envoy
// names (PRE_INITIALIZING, INITIALIZING, DRAINING), or that nobody answers.
func (a *Admin) Ready(ctx context.Context) error {
	_, err := a.get(ctx, "/ready", nil)
	return err
}

// ServerInfo is what Envoy says of itself.
type ServerInfo struct {
	// Version is such as 1.40.0.
	Version string
	// State is LIVE, DRAINING, PRE_INITIALIZING or INITIALIZING.
	State string
	// Uptime is the time since its start, in whole seconds.
	Uptime time.Duration
}

// ServerInfo asks Envoy for its version and state.
func (a *Admin) ServerInfo(ctx context.Context) (ServerInfo, error) {
	var info adminv3.ServerInfo
	body, err := a.get(ctx, "/server_info", nil)
	if err != nil {
		return ServerInfo{}, err
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, &info); err != nil {
		return ServerInfo{}, fmt.Errorf("reading /server_info of the Envoy at %s: %w", a.address, err)
	}
	return ServerInfo{
		Version: versionIn(info.GetVersion()),
		State:   info.GetState().String(),
		Uptime:  info.GetUptimeCurrentEpoch().AsDuration(),
	}, nil
}

// Stats are the counters and gauges whose names begin with prefix ("" for all); histograms and texts are left out.
func (a *Admin) Stats(ctx context.Context, prefix string) (map[string]uint64, error) {
	body, err := a.get(ctx, "/stats", url.Values{"format": {"json"}, "filter": {"^" + regexp.QuoteMeta(prefix)}})
	if err != nil {
		return nil, err
	}
	stats, err := statsIn(body)
	if err != nil {
		return nil, fmt.Errorf("reading /stats of the Envoy at %s: %w", a.address, err)
	}
	return stats, nil
}

// statsIn are the counters and gauges in what /stats answers as JSON.
func statsIn(body []byte) (map[string]uint64, error) {
	var answer struct {
		Stats []struct {
			Name  string
			Value json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	stats := make(map[string]uint64, len(answer.Stats))
	for _, s := range answer.Stats {
		var value uint64
		if s.Name != "" && json.Unmarshal(s.Value, &value) == nil {
			stats[s.Name] = value
		}
	}
	return stats, nil
}

// ConfigDump is all of Envoy's configuration with the endpoints it was sent, proto3 JSON of envoy.admin.v3.ConfigDump.
func (a *Admin) ConfigDump(ctx context.Context) (json.RawMessage, error) {
	return a.get(ctx, "/config_dump", url.Values{"include_eds": {""}})
}

// Clusters are the Envoy clusters with their endpoints, the health of each, and its counts of connections and requests.
func (a *Admin) Clusters(ctx context.Context) (*adminv3.Clusters, error) {
	body, err := a.get(ctx, "/clusters", url.Values{"format": {"json"}})
	if err != nil {
		return nil, err
	}
	clusters := &adminv3.Clusters{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, clusters); err != nil {
		return nil, fmt.Errorf("reading /clusters of the Envoy at %s: %w", a.address, err)
	}
	return clusters, nil
}

// get is the body of a GET that was answered with 200.
func (a *Admin) get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	return a.ask(ctx, http.MethodGet, path, query.Encode())
}

// post makes Envoy do something; anything but 200 is an error.
func (a *Admin) post(ctx context.Context, path, query string) error {
	_, err := a.ask(ctx, http.MethodPost, path, query)
	return err
}

func (a *Admin) ask(ctx context.Context, method, path, query string) ([]byte, error) {
	where := url.URL{Scheme: "http", Host: "envoy", Path: path, RawQuery: query}
	request, err := http.NewRequestWithContext(ctx, method, where.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking Envoy for %s: %w", path, err)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the Envoy at %s for %s: %w", a.address, path, err)
	}
	defer response.Body.Close()
	body, err := readAtMost(response.Body, maxAdminAnswer)
	if err != nil {
		return nil, fmt.Errorf("reading %s of the Envoy at %s: %w", path, a.address, err)
	}
	if response.StatusCode != http.StatusOK {
		said := strings.TrimSpace(string(body[:min(len(body), 200)]))
		return nil, fmt.Errorf("the Envoy at %s answers %s with %d: %s", a.address, path, response.StatusCode, said)
	}
	return body, nil
}

// readAtMost reads all of r; more than limit bytes are an error.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	all, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(all)) > limit {
		return nil, fmt.Errorf("it is larger than %d bytes", limit)
	}
	return all, err
}
