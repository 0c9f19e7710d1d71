package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/config"
)

// proofs names the end-to-end tests of each row of the configuration reference.
func proofs() map[string][]string {
	return map[string][]string{
		"EGRESS_LISTEN_PORT":    {"TestBridgeWithEphemeralHostPorts", "TestSettingsEachMakeADifference"},
		"SERVICE_ARN_X":         {"TestAMistypedServiceBesideGoodOnes", "TestTwoECSClusters"},
		"SERVICE_PATH_X":        {"TestPathsAreWholeSegmentsLongestFirst", "TestWhatNoPathTakesAnswers404", "TestTheSameServiceUnderTwoPaths"},
		"SERVICE_CONTAINER_X":   {"TestAnAmbiguousContainerAnswers503AndNamesCandidatesAndVariable"},
		"SERVICE_PORT_X":        {"TestAPortChoosesTheContainer", "TestAWSVPCWithoutAPortNamesTheVariable", "TestHostMode"},
		"SERVICE_CLUSTER_X":     {"TestSettingsEachMakeADifference"},
		"CLUSTER":               {"TestTheMetadataEndpointTellsTheECSClusterRegionAndNetworkMode", "TestSettingsEachMakeADifference"},
		"ENVOY_ADMIN_PORT":      {"TestReadyAndItsExitStatus"},
		"WAITTIME":              {"TestSettingsEachMakeADifference"},
		"AWS_REGION":            {"TestTheMetadataEndpointTellsTheECSClusterRegionAndNetworkMode"},
		"EGRESS_LISTEN_ADDRESS": {"TestSettingsEachMakeADifference"},
		"NIGHTJAR_XDS_LISTEN":   {"TestTakenAddressesAndSocketsNameTheirVariable"},
		"NIGHTJAR_ADMIN_LISTEN": {"TestReadyAndItsExitStatus", "TestTakenAddressesAndSocketsNameTheirVariable"},
		"NIGHTJAR_AWS_RATE":     {"TestSettingsEachMakeADifference"},
		"NIGHTJAR_AWS_BURST":    {"TestSettingsEachMakeADifference"},
		"NIGHTJAR_ENVOY_PATH":   {"TestSettingsEachMakeADifference"},
		"NIGHTJAR_LOG_LEVEL":    {"TestSettingsEachMakeADifference"},
		"NIGHTJAR_LOG_FORMAT":   {"TestSettingsEachMakeADifference"},
	}
}

// contractVariables are the names of the two tables of variables that users script against.
func contractVariables() []string {
	return strings.Fields(`
		EGRESS_LISTEN_PORT SERVICE_ARN_X SERVICE_PATH_X SERVICE_CONTAINER_X SERVICE_PORT_X SERVICE_CLUSTER_X INGRESS_LISTEN_PORT CLUSTER
		CURRENT_SERVICE_ARN CONTAINER_NAME_X CONTAINER_PATH_X CONTAINER_PORT_X ENVOY_CONTAINER_NAME ENVOY_ADMIN_PORT WAITTIME AWS_REGION
		SERVICE_WEIGHT_X SERVICE_PROTOCOL_X CONTAINER_PROTOCOL_X SERVICE_LISTEN_PORT_X CONTAINER_LISTEN_PORT_X SERVICE_TIMEOUT_X CONTAINER_TIMEOUT_X
		SERVICE_RETRIES_X SERVICE_IDLE_TIMEOUT_X EGRESS_LISTEN_ADDRESS INGRESS_LISTEN_ADDRESS INGRESS_SCOPE INGRESS_TRUSTED_HOPS
		INGRESS_HEALTH_PATH ZONE_AWARE NIGHTJAR_XDS_LISTEN NIGHTJAR_ADMIN_LISTEN NIGHTJAR_AWS_RATE NIGHTJAR_AWS_BURST NIGHTJAR_ACCESS_LOG
		NIGHTJAR_ENVOY_STATS_LISTEN NIGHTJAR_ENVOY_PATH NIGHTJAR_DRAIN_TIME NIGHTJAR_LOG_LEVEL NIGHTJAR_LOG_FORMAT`)
}

// testNames are the tests of this package.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	must(t, err)
	names := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		must(t, err)
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}

func TestContractEachRowOfTheReferenceHasItsEndToEndTest(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/configuration.md")
	must(t, err)
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| .*$").FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = m[0]
	}
	settings := map[string]config.Setting{}
	for _, s := range config.Settings() {
		settings[s.Name] = s
	}
	names, proof := testNames(t), proofs()
	for _, variable := range contractVariables() {
		row, setting := rows[variable], settings[variable]
		if later := strings.Contains(row, "comes with part"); row == "" || setting.Name == "" || later != (setting.Part > config.ThisPart) {
			t.Errorf("%s: row %q, part %d", variable, row, setting.Part)
		}
		if setting.Part > config.ThisPart {
			continue
		}
		if len(proof[variable]) == 0 {
			t.Errorf("%s has no end-to-end test", variable)
		}
		for _, name := range proof[variable] {
			if !names[name] {
				t.Errorf("%s: there is no test %s", variable, name)
			}
		}
	}
	if len(settings) != len(contractVariables()) {
		t.Errorf("%d settings, %d variables of the contract", len(settings), len(contractVariables()))
	}
}
