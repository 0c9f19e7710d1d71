package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/config"
)

// proofs names the end-to-end tests of each row of the configuration reference.
func proofs() map[string][]string {
	return map[string][]string{
		"EGRESS_LISTEN_PORT":          {"TestBridgeWithEphemeralHostPorts", "TestSettingsEachMakeADifference"},
		"SERVICE_ARN_X":               {"TestAMistypedServiceBesideGoodOnes", "TestTwoECSClusters"},
		"SERVICE_PATH_X":              {"TestPathsAreWholeSegmentsLongestFirst", "TestWhatNoPathTakesAnswers404", "TestTheSameServiceUnderTwoPaths"},
		"SERVICE_CONTAINER_X":         {"TestAnAmbiguousContainerAnswers503AndNamesCandidatesAndVariable"},
		"SERVICE_PORT_X":              {"TestAPortChoosesTheContainer", "TestAWSVPCWithoutAPortNamesTheVariable", "TestHostMode"},
		"SERVICE_CLUSTER_X":           {"TestSettingsEachMakeADifference"},
		"CLUSTER":                     {"TestTheMetadataEndpointTellsTheECSClusterRegionAndNetworkMode", "TestSettingsEachMakeADifference"},
		"ENVOY_ADMIN_PORT":            {"TestReadyAndItsExitStatus"},
		"WAITTIME":                    {"TestSettingsEachMakeADifference"},
		"AWS_REGION":                  {"TestTheMetadataEndpointTellsTheECSClusterRegionAndNetworkMode"},
		"EGRESS_LISTEN_ADDRESS":       {"TestSettingsEachMakeADifference"},
		"NIGHTJAR_XDS_LISTEN":         {"TestTakenAddressesAndSocketsNameTheirVariable"},
		"NIGHTJAR_ADMIN_LISTEN":       {"TestReadyAndItsExitStatus", "TestTakenAddressesAndSocketsNameTheirVariable"},
		"NIGHTJAR_AWS_RATE":           {"TestSettingsEachMakeADifference"},
		"NIGHTJAR_AWS_BURST":          {"TestSettingsEachMakeADifference"},
		"NIGHTJAR_ENVOY_PATH":         {"TestSettingsEachMakeADifference"},
		"SERVICE_WEIGHT_X":            {"TestWeightsShareAPathAndAnEmptyServicePassesItsShareOn", "TestAWeightOfZeroTakesNothing"},
		"SERVICE_PROTOCOL_X":          {"TestProtocolsTowardsTheApp", "TestHTTP2FromTheClientToTheApp", "TestGRPC", "TestWebsockets"},
		"SERVICE_LISTEN_PORT_X":       {"TestListenPortsOfTheirOwn"},
		"SERVICE_TIMEOUT_X":           {"TestTimeoutsEndARequestAsAWhole"},
		"SERVICE_RETRIES_X":           {"TestRetries"},
		"SERVICE_IDLE_TIMEOUT_X":      {"TestSettingsEachMakeADifference"},
		"NIGHTJAR_ACCESS_LOG":         {"TestTheAccessLog"},
		"NIGHTJAR_ENVOY_STATS_LISTEN": {"TestTheListenerOfEnvoysMetricsServesNothingElse"},
		"INGRESS_LISTEN_PORT":         {"TestIngressReachesTheOwnContainersInEachNetworkMode"},
		"CURRENT_SERVICE_ARN":         {"TestIngressByServiceWarnsAndReachesItsTasks"},
		"CONTAINER_NAME_X":            {"TestIngressReachesTheOwnContainersInEachNetworkMode"},
		"CONTAINER_PATH_X":            {"TestIngressReachesTheOwnContainersInEachNetworkMode"},
		"CONTAINER_PORT_X":            {"TestIngressInBridgeModeNeedsNoPublishedPort"},
		"ENVOY_CONTAINER_NAME":        {"TestEnvoysContainerIsFoundThroughTheOwnTask"},
		"CONTAINER_PROTOCOL_X":        {"TestIngressSpeaksWhatEgressSpeaks"},
		"CONTAINER_LISTEN_PORT_X":     {"TestTwoInboundPorts"},
		"CONTAINER_TIMEOUT_X":         {"TestATimeoutOfIngressEndsARequestAsAWhole"},
		"INGRESS_LISTEN_ADDRESS":      {"TestIngressReachesTheOwnContainersInEachNetworkMode"},
		"INGRESS_SCOPE":               {"TestIngressByServiceWarnsAndReachesItsTasks"},
		"INGRESS_TRUSTED_HOPS":        {"TestTrustedHopsDecideWhichForwardedHeadersReachTheApp"},
		"INGRESS_HEALTH_PATH":         {"TestAnAppThatWaitsForNightjarStarts"},
		"ZONE_AWARE":                  {"TestTheOwnZoneGoesFirst"},
		"NIGHTJAR_DRAIN_TIME":         {"TestDrainingWhereECSStopsEnvoyFirst", "TestStreamsGoOnUntilTheDrainTimeIsOver"},
		"NIGHTJAR_LOG_LEVEL":          {"TestSettingsEachMakeADifference"},
		"NIGHTJAR_LOG_FORMAT":         {"TestSettingsEachMakeADifference"},
	}
}

// contractVariables are the names of the two tables of variables that users script against, each with its default where that
// is one literal value.
func contractVariables() map[string]string {
	variables := map[string]string{}
	for _, word := range strings.Fields(`
		EGRESS_LISTEN_PORT SERVICE_ARN_X SERVICE_PATH_X SERVICE_CONTAINER_X SERVICE_PORT_X SERVICE_CLUSTER_X INGRESS_LISTEN_PORT CLUSTER
		CURRENT_SERVICE_ARN CONTAINER_NAME_X CONTAINER_PATH_X CONTAINER_PORT_X ENVOY_CONTAINER_NAME=localhost ENVOY_ADMIN_PORT=9901
		WAITTIME=100 AWS_REGION
		SERVICE_WEIGHT_X=1 SERVICE_PROTOCOL_X=http1 CONTAINER_PROTOCOL_X=http1 SERVICE_LISTEN_PORT_X CONTAINER_LISTEN_PORT_X
		SERVICE_TIMEOUT_X=off CONTAINER_TIMEOUT_X=off SERVICE_RETRIES_X=5 SERVICE_IDLE_TIMEOUT_X=4s EGRESS_LISTEN_ADDRESS
		INGRESS_LISTEN_ADDRESS INGRESS_SCOPE INGRESS_TRUSTED_HOPS=1 INGRESS_HEALTH_PATH=/.nightjar/health ZONE_AWARE=auto
		NIGHTJAR_XDS_LISTEN NIGHTJAR_ADMIN_LISTEN=127.0.0.1:9903 NIGHTJAR_AWS_RATE=1 NIGHTJAR_AWS_BURST=10 NIGHTJAR_ACCESS_LOG=errors
		NIGHTJAR_ENVOY_STATS_LISTEN NIGHTJAR_ENVOY_PATH NIGHTJAR_DRAIN_TIME=20s NIGHTJAR_LOG_LEVEL=info NIGHTJAR_LOG_FORMAT=text`) {
		name, value, _ := strings.Cut(word, "=")
		variables[name] = value
	}
	return variables
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

// documentedRows are the rows of docs/configuration.md's tables of variables.
func documentedRows(t *testing.T) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| .*$").FindAllStringSubmatch(readDoc(t, "../docs/configuration.md"), -1) {
		if rows[m[1]] != "" {
			t.Errorf("docs/configuration.md has two rows for %s", m[1])
		}
		rows[m[1]] = m[0]
	}
	return rows
}

func TestContractTheDocsKeepItsTables(t *testing.T) {
	t.Parallel()
	contract, rows := contractVariables(), documentedRows(t)
	for name, value := range contract {
		row := rows[name]
		if row == "" || value != "" && !strings.Contains(row, "| `"+value+"` |") {
			t.Errorf("%s with the default %q is documented as %q", name, value, row)
		}
	}
	for name := range rows {
		if _, known := contract[name]; !known {
			t.Errorf("docs/configuration.md has %s, which the contract doesn't have", name)
		}
	}
	page := readDoc(t, "../docs/configuration.md")
	for _, row := range []string{
		"| NIGHTJAR_XDS_LISTEN | `127.0.0.1:9902` | `127.0.0.1:9902` | `unix:/shared/xds.sock` |",
		"| EGRESS_LISTEN_ADDRESS | `127.0.0.1` | `127.0.0.1` | `0.0.0.0` |",
		"| INGRESS_LISTEN_ADDRESS | `0.0.0.0` | `0.0.0.0` | `0.0.0.0` |",
		"| Envoy's admin, in the bootstrap | `127.0.0.1` | `127.0.0.1` | `127.0.0.1` |",
	} {
		if !strings.Contains(page, row) {
			t.Errorf("docs/configuration.md lacks %s", row)
		}
	}
}

func TestContractEachRowOfTheReferenceHasItsEndToEndTest(t *testing.T) {
	t.Parallel()
	rows, names, proof := documentedRows(t), testNames(t), proofs()
	for _, s := range config.Settings() {
		if rows[s.Name] == "" {
			t.Errorf("%s is not documented", s.Name)
		}
		delete(rows, s.Name)
		tests := proof[s.Name]
		delete(proof, s.Name)
		if len(tests) == 0 {
			t.Errorf("%s has no end-to-end test", s.Name)
		}
		for _, name := range tests {
			if !names[name] {
				t.Errorf("%s: there is no test %s", s.Name, name)
			}
		}
	}
	for name := range rows {
		t.Errorf("docs/configuration.md has %s, which is no setting", name)
	}
	for name := range proof {
		t.Errorf("tests are named for %s, which is no setting", name)
	}
}
