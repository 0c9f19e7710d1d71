package xds

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
)

// Node is a connected Envoy.
type Node struct {
	// ID is the node ID of its bootstrap.
	ID string `json:"id"`
	// Version is Envoy's version, such as 1.40.0; "" where it doesn't say.
	Version string `json:"version,omitempty"`
	// Since is when its stream began.
	Since time.Time `json:"since"`
	// Current tells whether it has acknowledged everything published.
	Current bool `json:"current"`
	// PendingSince is when the oldest change was published that it has not acknowledged; zero when Current.
	PendingSince time.Time `json:"pending_since,omitzero"`
	// Refused are the resources whose present version it refuses.
	Refused []Refusal `json:"refused,omitempty"`
}

// Nodes lists the connected Envoys in order of ID and time.
func (c *Cache) Nodes() []Node {
	c.mu.Lock()
	streams := make([]*stream, 0, len(c.streams))
	for _, s := range c.streams {
		streams = append(streams, s)
	}
	c.mu.Unlock()
	nodes := make([]Node, 0, len(streams))
	for _, s := range streams {
		nodes = append(nodes, s.describe())
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Or(cmp.Compare(a.ID, b.ID), a.Since.Compare(b.Since)) })
	return nodes
}

// LastRefusal is the latest refusal of any Envoy since start, nil if there was none.
func (c *Cache) LastRefusal() *Refusal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Left is when the last Envoy that went disconnected, zero where none did.
func (c *Cache) Left() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}

func (s *stream) describe() Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := Node{
		ID: s.node.GetId(), Version: versionOf(s.node), Since: s.since,
		Current: s.pendingSince.IsZero(), PendingSince: s.pendingSince,
	}
	for _, t := range types() {
		for _, r := range s.types[t].refused {
			n.Refused = append(n.Refused, r)
		}
	}
	slices.SortFunc(n.Refused, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	return n
}

func versionOf(node *corev3.Node) string {
	v := node.GetUserAgentBuildVersion().GetVersion()
	if v == nil {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch())
}

// callbacks tells the Cache which stream a request is of, and what is answered. go-control-plane calls the request
// callback right before it asks for the watch, with the same request, on the stream's own goroutine.
func (c *Cache) callbacks() server.Callbacks {
	return server.CallbackFuncs{
		StreamDeltaRequestFunc:  c.onRequest,
		StreamDeltaResponseFunc: c.onResponse,
		DeltaStreamClosedFunc:   c.onClosed,
		StreamOpenFunc: func(context.Context, int64, string) error {
			_, err := c.CreateWatch(nil, nil, nil)
			return err
		},
	}
}

func (c *Cache) onRequest(id int64, req *discovery.DeltaDiscoveryRequest) error {
	c.mu.Lock()
	s := c.streams[id]
	c.mu.Unlock()
	if s == nil {
		s = c.connect(id, req.GetNode())
	}
	if s.types[req.GetTypeUrl()] != nil && req.GetResponseNonce() != "" {
		s.answered(req)
	}
	c.mu.Lock()
	c.asking[req] = s
	c.mu.Unlock()
	return nil
}

// connect adds a stream, and then gives it what is published: in this order no Publish is missed.
func (c *Cache) connect(id int64, node *corev3.Node) *stream {
	s := newStream(node, streamObserver{c})
	c.mu.Lock()
	c.streams[id] = s
	c.mu.Unlock()
	s.publish(func() Resources { return c.targetOf(node) })
	c.log.Info("Envoy connected", "envoy", node.GetId(), "version", versionOf(node))
	return s
}

func (c *Cache) onResponse(id int64, _ *discovery.DeltaDiscoveryRequest, res *discovery.DeltaDiscoveryResponse) {
	c.mu.Lock()
	s := c.streams[id]
	c.mu.Unlock()
	if s != nil {
		s.written(res)
	}
}

func (c *Cache) onClosed(id int64, _ *corev3.Node) {
	c.mu.Lock()
	s := c.streams[id]
	delete(c.streams, id)
	if s != nil {
		c.left = time.Now()
	}
	for req, asker := range c.asking {
		if asker == s {
			delete(c.asking, req)
		}
	}
	c.mu.Unlock()
	if s != nil {
		s.close()
		c.log.Info("Envoy disconnected", "envoy", s.node.GetId())
	}
}
