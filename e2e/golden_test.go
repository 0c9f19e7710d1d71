package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// TestEnvoyAcceptsEveryGolden puts each golden of xds into a static bootstrap, its routes in the place of the RDS that
// names them, its endpoints in Envoy clusters of their own, and has a real Envoy validate it.
func TestEnvoyAcceptsEveryGolden(t *testing.T) {
	t.Parallel()
	binary := envoytest.Path(t)
	goldens, err := filepath.Glob("../internal/xds/testdata/*.json")
	if err != nil || len(goldens) < 2 {
		t.Fatalf("%d goldens: %v", len(goldens), err)
	}
	for _, path := range goldens {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			var document document
			text, err := os.ReadFile(path)
			must(t, err)
			must(t, json.Unmarshal(text, &document))
			document.inline()
			for i, assignment := range document.Endpoints {
				document.Clusters = append(document.Clusters, map[string]any{
					"name": fmt.Sprint("endpoints-", i), "type": "STATIC", "load_assignment": assignment,
				})
			}
			bootstrap, err := json.Marshal(map[string]any{
				"node": map[string]any{"id": "golden", "cluster": "golden"},
				"dynamic_resources": map[string]any{"ads_config": map[string]any{
					"api_type": "DELTA_GRPC", "transport_api_version": "V3",
					"grpc_services": []any{map[string]any{"envoy_grpc": map[string]any{"cluster_name": "nightjar"}}},
				}},
				"static_resources": map[string]any{
					"listeners": document.Listeners,
					"clusters": append(document.Clusters, map[string]any{
						"name": "nightjar", "type": "STATIC", "load_assignment": map[string]any{"cluster_name": "nightjar"},
					}),
				},
			})
			must(t, err)
			out, err := exec.Command(binary, "--mode", "validate", "--config-yaml", string(bootstrap)).CombinedOutput()
			if err != nil {
				t.Fatalf("Envoy refuses it: %v\n%s", err, tail(string(out), 10))
			}
		})
	}
}

// document is what render prints.
type document struct{ Listeners, Routes, Clusters, Endpoints []map[string]any }

// inline puts the first routes in the place of the RDS that names them.
func (d document) inline() {
	for _, l := range d.Listeners {
		manager := dig(l, "filter_chains", "filters")["typed_config"].(map[string]any)
		delete(manager, "rds")
		manager["route_config"] = d.Routes[0]
	}
}

// dig follows keys to the first item of each list.
func dig(m map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		m = m[k].([]any)[0].(map[string]any)
	}
	return m
}
