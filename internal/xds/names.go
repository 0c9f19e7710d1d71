// Package xds translates the mesh into Envoy's resources (a file per xDS type, pure), and serves them to Envoys as an
// aggregated delta xDS server whose publish order loses no request: cache.go keeps what is published, stream.go decides
// what one Envoy gets next, server.go is the socket.
//
// Facts about Envoy in this package were measured on Envoy 1.40.0, or come from its API reference.
package xds

// The type URLs of the resources that are served.
const (
	ListenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
	RouteType    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	ClusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	EndpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
)

// types are all served types in the order in which they reach an Envoy: endpoints before the Envoy clusters that use
// them, and those before the routes that name them.
func types() [4]string { return [4]string{EndpointType, ClusterType, RouteType, ListenerType} }

// Names show in Envoy's statistics, its logs and its config dump, so they are a public promise: they depend on settings
// alone, and stay the same over deployments and restarts.

// clusterName names the Envoy cluster of a service, and its load assignment.
func clusterName(service string) string { return service }

// routeConfigName names the route configuration of a listener; also its virtual host and statistics prefix.
func routeConfigName(listener string) string { return listener }

// shortType is a type URL's last word in lower case, for metrics and messages: "cluster", "listener" and so on.
func shortType(typeURL string) string {
	switch typeURL {
	case ListenerType:
		return "listener"
	case RouteType:
		return "route"
	case ClusterType:
		return "cluster"
	case EndpointType:
		return "endpoint"
	default:
		return "other"
	}
}
