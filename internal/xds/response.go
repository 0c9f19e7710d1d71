package xds

import (
	"context"
	"maps"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// response answers a watch. It implements go-control-plane's cache.DeltaResponse.
type response struct {
	request *discovery.DeltaDiscoveryRequest
	message *discovery.DeltaDiscoveryResponse
	// returned are the versions by name that the Envoy will have been sent.
	returned map[string]string
}

func newResponse(w *watch, changed []*Resource, removed []string) *response {
	r := &response{
		request:  w.req,
		message:  &discovery.DeltaDiscoveryResponse{TypeUrl: w.req.GetTypeUrl(), RemovedResources: removed},
		returned: maps.Clone(w.sub.ReturnedResources()),
	}
	if r.returned == nil {
		r.returned = map[string]string{}
	}
	for _, c := range changed {
		r.message.Resources = append(r.message.Resources, c.Wire)
		r.returned[c.Wire.GetName()] = c.Version()
	}
	for _, name := range removed {
		delete(r.returned, name)
	}
	return r
}

// GetDeltaDiscoveryResponse returns the message; the server sets its nonce.
func (r *response) GetDeltaDiscoveryResponse() (*discovery.DeltaDiscoveryResponse, error) {
	return r.message, nil
}

// GetDeltaRequest returns the request that is answered.
func (r *response) GetDeltaRequest() *discovery.DeltaDiscoveryRequest { return r.request }

// GetSystemVersion returns "": versions are of single resources.
func (r *response) GetSystemVersion() (string, error) { return "", nil }

// GetResponseVersion returns "": versions are of single resources.
func (r *response) GetResponseVersion() string { return "" }

// GetNextVersionMap returns the versions by name that the Envoy will have been sent.
func (r *response) GetNextVersionMap() map[string]string { return r.returned }

// GetReturnedResources returns the versions by name that the Envoy will have been sent.
func (r *response) GetReturnedResources() map[string]string { return r.returned }

// GetContext returns an empty context.
func (r *response) GetContext() context.Context { return context.Background() }
