package xds

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

func TestOnlyWhatECSCallsUnhealthyIsSentSoWhereEnvoyChecksPorts(t *testing.T) {
	for health, want := range map[mesh.Health]corev3.HealthStatus{
		mesh.HealthUnknown: corev3.HealthStatus_UNKNOWN, mesh.Healthy: corev3.HealthStatus_UNKNOWN,
		mesh.Unhealthy: corev3.HealthStatus_UNHEALTHY, mesh.Closed: corev3.HealthStatus_UNKNOWN,
	} {
		s := service("own-task/web", 1)
		s.Endpoints[0].Health = health
		for checked, want := range map[bool]corev3.HealthStatus{true: want, false: corev3.HealthStatus_UNKNOWN} {
			r, err := loadAssignment(s, mesh.Policy{HealthCheck: checked}, "")
			if err != nil {
				t.Fatal(err)
			}
			var got endpointv3.ClusterLoadAssignment
			if err := r.Wire.GetResource().UnmarshalTo(&got); err != nil {
				t.Fatal(err)
			}
			if status := got.GetEndpoints()[0].GetLbEndpoints()[0].GetHealthStatus(); status != want {
				t.Errorf("%s, checked %t: %s, want %s", health, checked, status, want)
			}
		}
	}
}
