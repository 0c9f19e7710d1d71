package xds

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// Observer is told of what Envoys answer, for metrics. Its methods must not block.
type Observer interface {
	// Refused counts a response that an Envoy refused, by short type such as "cluster".
	Refused(shortType string)
	// Overdue counts what went on without an Envoy's answer.
	Overdue()
	// Acknowledged is told the time from a change's Publish to an Envoy's last acknowledgement of it.
	Acknowledged(took time.Duration)
}

// Cache keeps what is published, and brings each connected Envoy to it. It is the cache behind go-control-plane's delta
// server. It is safe for concurrent use.
type Cache struct {
	log     *slog.Logger
	observe Observer

	publishing sync.Mutex // one Publish at a time
	translate  translator

	accepting atomic.Bool // an Envoy has accepted Envoy clusters and listeners

	mu      sync.Mutex
	current map[string]Resources // by proxy ID; nil before the first Publish
	streams map[int64]*stream
	asking  map[*discovery.DeltaDiscoveryRequest]*stream // requests between their callback and their watch
	last    *Refusal
	left    time.Time
}

// NewCache makes a Cache with nothing published.
func NewCache(log *slog.Logger, observe Observer) *Cache {
	return &Cache{
		log: log, observe: observe,
		streams: map[int64]*stream{}, asking: map[*discovery.DeltaDiscoveryRequest]*stream{},
	}
}

// Publish makes the mesh what every connected Envoy will see. It never waits for an Envoy; the latest mesh wins. Its
// error names the resources that could not be made: of those the last good version stays, and all others are published.
func (c *Cache) Publish(m *mesh.Mesh) error {
	c.publishing.Lock()
	defer c.publishing.Unlock()
	resources, err := c.translate.translate(m)
	c.mu.Lock()
	c.current = resources
	streams := make([]*stream, 0, len(c.streams))
	for _, s := range c.streams {
		streams = append(streams, s)
	}
	c.mu.Unlock()
	for _, s := range streams {
		s.publish(func() Resources { return c.targetOf(s.node) })
	}
	return err
}

// Accepted tells whether an Envoy has ever accepted Envoy clusters and listeners.
func (c *Cache) Accepted() bool { return c.accepting.Load() }

// targetOf is what the Envoy of a node is to have: the proxy of its ID, or the only one there is.
func (c *Cache) targetOf(node *corev3.Node) Resources {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, named := c.current[node.GetId()]; named || len(c.current) != 1 {
		return r
	}
	for _, only := range c.current {
		return only
	}
	return nil
}

// CreateDeltaWatch implements go-control-plane's cache.ConfigWatcher.
func (c *Cache) CreateDeltaWatch(
	req *cache.DeltaRequest, sub cache.Subscription, out chan cache.DeltaResponse,
) (func(), error) {
	c.mu.Lock()
	s := c.asking[req]
	delete(c.asking, req)
	c.mu.Unlock()
	if s == nil || s.types[req.GetTypeUrl()] == nil {
		return func() {}, nil // a type that isn't served: no answer, as the protocol has no other way to say so
	}
	return s.open(&watch{req: req, sub: sub, out: out}), nil
}

// CreateWatch refuses state-of-the-world streams, which would be sent everything at each change.
func (c *Cache) CreateWatch(*cache.Request, cache.Subscription, chan cache.Response) (func(), error) {
	return nil, errors.New("nightjar speaks delta xDS alone: set api_type: DELTA_GRPC in ads_config of Envoy's bootstrap " +
		"(`nightjar bootstrap` prints one that fits)")
}

// Fetch refuses REST polling.
func (c *Cache) Fetch(context.Context, *cache.Request) (cache.Response, error) {
	return nil, errors.New("nightjar speaks delta xDS over gRPC alone")
}

// streamObserver passes on what happens on one stream.
type streamObserver struct{ *Cache }

func (o streamObserver) refusedBy(node *corev3.Node, typeURL string, news []Refusal) {
	o.observe.Refused(shortType(typeURL))
	if len(news) == 0 {
		return
	}
	names := make([]string, 0, len(news))
	for _, r := range news {
		names = append(names, r.Name)
	}
	last := news[len(news)-1]
	o.mu.Lock()
	o.last = &last
	o.mu.Unlock()
	o.log.Error("Envoy refuses a part of its configuration and keeps what it had; the rest is in place",
		"envoy", node.GetId(), "type", last.Type, "names", names, "reason", last.Message, "do", last.Remedy())
}

func (o streamObserver) overdue(node *corev3.Node, what string) {
	o.observe.Overdue()
	o.log.Warn("Envoy owes "+what+" for 5 s; going on without", "envoy", node.GetId())
}

func (o streamObserver) acked(took time.Duration) { o.observe.Acknowledged(took) }

func (o streamObserver) accepted() { o.accepting.Store(true) }
