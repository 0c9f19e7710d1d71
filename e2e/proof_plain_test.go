package e2e

import (
	"fmt"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// plainBootstrap is an Envoy with nothing but what it needs, all else as Envoy has it by default. Its endpoints come from the same
// nightjar at the same moment.
const plainBootstrap = `
node: {id: plain, cluster: plain}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
dynamic_resources:
  ads_config: {api_type: DELTA_GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: nightjar}}]}
static_resources:
  listeners:
  - name: plain
    address: {socket_address: {address: 127.0.0.1, port_value: %[1]s}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: plain
          route_config:
            virtual_hosts:
            - {name: plain, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: %[2]s}}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: %[2]s
    type: EDS
    eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3}}
  - name: nightjar
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: nightjar
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %[3]s}}}}]}]
`

// startPlain starts an Envoy as plainBootstrap has it, and returns its base URL.
func startPlain(t testing.TB, cluster, xdsPort string) string {
	t.Helper()
	port := freePorts(t, 1)[0]
	envoytest.Start(t, envoytest.Options{Bootstrap: fmt.Appendf(nil, plainBootstrap, port, cluster, xdsPort), Allow: []string{"There is no configured limit to the number of allowed active downstream connections"}}).WaitReady()
	return "http://127.0.0.1:" + port
}
