package xds

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// Document is what an Envoy would be served, each resource as proto3 JSON, in order of name.
type Document struct {
	Listeners []json.RawMessage `json:"listeners"`
	Routes    []json.RawMessage `json:"routes"`
	Clusters  []json.RawMessage `json:"clusters"`
	Endpoints []json.RawMessage `json:"endpoints"`
}

// Render translates the mesh as the Envoy of the proxy with that ID would be served it.
func Render(m *mesh.Mesh, proxyID string) (Document, error) {
	var t translator
	all, err := t.translate(m)
	if err != nil {
		return Document{}, err
	}
	resources, found := all[proxyID]
	if !found {
		return Document{}, fmt.Errorf("rendering for Envoy: there is no proxy %q", proxyID)
	}
	var d Document
	for typeURL, into := range map[string]*[]json.RawMessage{
		ListenerType: &d.Listeners, RouteType: &d.Routes, ClusterType: &d.Clusters, EndpointType: &d.Endpoints,
	} {
		if *into, err = renderType(resources[typeURL]); err != nil {
			return Document{}, err
		}
	}
	return d, nil
}

func renderType(resources map[string]*Resource) ([]json.RawMessage, error) {
	rendered := make([]json.RawMessage, 0, len(resources))
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		message, err := resources[name].Wire.GetResource().UnmarshalNew()
		if err != nil {
			return nil, fmt.Errorf("rendering %q: %w", name, err)
		}
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
		if err != nil {
			return nil, fmt.Errorf("rendering %q: %w", name, err)
		}
		var stable bytes.Buffer // protojson varies its white space on purpose
		if err := json.Compact(&stable, text); err != nil {
			return nil, fmt.Errorf("rendering %q: %w", name, err)
		}
		rendered = append(rendered, stable.Bytes())
	}
	return rendered, nil
}
