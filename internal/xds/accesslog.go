package xds

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// accessLog writes a line of JSON to Envoy's stdout for the requests chosen.
func accessLog(p *packer, which mesh.AccessLog) []*accesslogv3.AccessLog {
	if which == mesh.LogOff {
		return nil
	}
	fields := map[string]*structpb.Value{}
	for name, command := range map[string]string{
		"time": "%START_TIME%", "route": "%ROUTE_NAME%", "service": "%UPSTREAM_CLUSTER_RAW%", "endpoint": "%UPSTREAM_HOST%",
		"method": "%REQ(:METHOD)%", "path": "%PATH(NQ:PATH)%", "status": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%",
		"detail": "%RESPONSE_CODE_DETAILS%", "tries": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "duration_ms": "%DURATION%",
		"request_id": "%REQ(X-REQUEST-ID)%",
	} {
		fields[name] = structpb.NewStringValue(command)
	}
	log := &accesslogv3.AccessLog{
		Name: "envoy.access_loggers.stdout",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: p.pack(&streamv3.StdoutAccessLog{
			AccessLogFormat: &streamv3.StdoutAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
				Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: &structpb.Struct{Fields: fields}},
			}},
		})},
	}
	if which == mesh.LogErrors {
		log.Filter = onlyErrors()
	}
	return []*accesslogv3.AccessLog{log}
}

// onlyErrors takes answers from 500 on, and requests in which Envoy met a fault (any response flag); not what it answers to a load
// balancer's health check, which while a task drains is 503 each time.
func onlyErrors() *accesslogv3.AccessLogFilter {
	status := &accesslogv3.StatusCodeFilter{Comparison: &accesslogv3.ComparisonFilter{
		Op:    accesslogv3.ComparisonFilter_GE,
		Value: &corev3.RuntimeUInt32{DefaultValue: 500, RuntimeKey: "nightjar.access_log.errors_from"},
	}}
	faults := &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_OrFilter{OrFilter: &accesslogv3.OrFilter{
		Filters: []*accesslogv3.AccessLogFilter{
			{FilterSpecifier: &accesslogv3.AccessLogFilter_StatusCodeFilter{StatusCodeFilter: status}},
			{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{}}},
		},
	}}}
	requests := &accesslogv3.AccessLogFilter{
		FilterSpecifier: &accesslogv3.AccessLogFilter_NotHealthCheckFilter{NotHealthCheckFilter: &accesslogv3.NotHealthCheckFilter{}},
	}
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{AndFilter: &accesslogv3.AndFilter{
		Filters: []*accesslogv3.AccessLogFilter{requests, faults},
	}}}
}
