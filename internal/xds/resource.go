package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Resource is one xDS resource, marshalled once for all streams. It is immutable.
type Resource struct {
	// Wire has the name, the version (a hash of the content) and the marshalled message.
	Wire *discovery.Resource
	// Needs are the Envoy clusters that a route configuration names.
	Needs []string
	// Unread marks the load assignment of a service that AWS has not told us of yet: it is sent only to an Envoy that
	// holds none.
	Unread bool
	// Origin names the setting that a listener comes from, for messages.
	Origin string
}

// Version is a hash of the content, so equal content has an equal version over restarts and replicas.
func (r *Resource) Version() string { return r.Wire.GetVersion() }

// Resources are resources by type URL and name. Another type is another entry, not another field.
type Resources map[string]map[string]*Resource

// validated is a message with the generated validation of protoc-gen-validate.
type validated interface {
	proto.Message
	ValidateAll() error
}

// newResource validates and marshals a message. Envoy refuses a whole response for one message that fails validation,
// so such a message must not get out; and validation doesn't look inside an Any, so pack does it for what is packed.
func newResource(name string, m validated) (*Resource, error) {
	body, err := pack(m)
	if err != nil {
		return nil, fmt.Errorf("making the %s %q: %w", shortType(typeURLOf(m)), name, err)
	}
	sum := sha256.Sum256(body.GetValue())
	return &Resource{Wire: &discovery.Resource{Name: name, Version: hex.EncodeToString(sum[:8]), Resource: body}}, nil
}

// pack validates a message and puts it into an Any, with deterministic bytes.
func pack(m validated) (*anypb.Any, error) {
	if err := m.ValidateAll(); err != nil {
		return nil, fmt.Errorf("invalid %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("marshalling %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return &anypb.Any{TypeUrl: typeURLOf(m), Value: body}, nil
}

func typeURLOf(m proto.Message) string {
	return "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName())
}

// packer packs several messages and keeps their errors, so that a translation reads as one expression.
type packer struct{ errs []error }

func (p *packer) pack(m validated) *anypb.Any {
	body, err := pack(m)
	if err != nil {
		p.errs = append(p.errs, err)
	}
	return body
}

func (p *packer) err() error { return errors.Join(p.errs...) }
