package envoy_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/envoy"
)

// parentVariable makes the test binary the parent of an Envoy, for a test that kills it.
const parentVariable = "NIGHTJAR_TEST_PARENT_OF"

func TestMain(m *testing.M) {
	if path := os.Getenv(parentVariable); path != "" {
		beParent(path)
		return
	}
	os.Exit(m.Run())
}

// beParent starts an Envoy, tells its process ID, and goes on until it is killed.
func beParent(path string) {
	p, err := envoy.Start(context.Background(), envoy.ProcessOptions{Path: path, Bootstrap: []byte(standalone), Concurrency: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.PID())
	fmt.Println(p.Wait())
}

// standalone is the bootstrap of an Envoy that needs no control plane.
const standalone = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
overload_manager:
  resource_monitors:
  - name: envoy.resource_monitors.global_downstream_max_connections
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
      max_active_downstream_connections: 1000
`
