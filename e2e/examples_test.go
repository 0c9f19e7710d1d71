package e2e

import (
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

// exampleFiles are the files in examples with that ending.
func exampleFiles(t *testing.T, under, ending string) []string {
	t.Helper()
	var found []string
	must(t, filepath.WalkDir("../examples/"+under, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ending {
			found = append(found, path)
		}
		return err
	}))
	if len(found) == 0 {
		t.Fatalf("no %s in examples/%s", ending, under)
	}
	return found
}

func TestExamplesAllYAMLParses(t *testing.T) {
	t.Parallel()
	for _, path := range append(exampleFiles(t, "", ".yaml"), exampleFiles(t, "", ".yml")...) {
		var document any
		if err := yaml.Unmarshal([]byte(readDoc(t, path)), &document); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestExamplesAreAcceptedByEnvoy(t *testing.T) {
	t.Parallel()
	binary := envoytest.Path(t)
	for _, path := range exampleFiles(t, "envoy", ".yaml") {
		if out, err := exec.Command(binary, "--mode", "validate", "-c", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}

// TestExamplesAreWhatBootstrapPrints holds the generated bootstraps against the command. Their comments stay.
func TestExamplesAreWhatBootstrapPrints(t *testing.T) {
	t.Parallel()
	for path, settings := range map[string]map[string]string{
		"../examples/envoy/awsvpc.yaml": {},
		"../examples/envoy/bridge.yaml": {"NIGHTJAR_XDS_LISTEN": config.ModeDefaults()[0].For("bridge")},
	} {
		text := readDoc(t, path)
		want := strings.TrimSuffix(text, withoutComment(text)) + (&rig{t: t, settings: settings}).run("bootstrap")
		switch {
		case text == want:
		case *update:
			must(t, os.WriteFile(path, []byte(want), 0o644))
		default:
			t.Errorf("%s is not what `nightjar bootstrap` prints; with -update it is written anew. Printed is\n%s", path, want)
		}
	}
}

// withoutComment is a text without the lines of comment at its beginning.
func withoutComment(text string) string {
	for strings.HasPrefix(text, "#") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// moved is an example of a bootstrap with the rig's ports, and with the volume in a folder.
func (r *rig) moved(example, volume string) []byte {
	_, xds, _ := strings.Cut(r.settings["NIGHTJAR_XDS_LISTEN"], "127.0.0.1:")
	return []byte(strings.NewReplacer(
		"port_value: 9901", "port_value: "+r.settings["ENVOY_ADMIN_PORT"],
		"port_value: 9902", "port_value: "+xds,
		"port_value: 8090", "port_value: "+freePorts(r.t, 1)[0],
		"/shared/", volume+"/",
	).Replace(example))
}

// exampleService is a world with the service of the examples' Envoys.
const exampleService = `- {name: web, desired: 1, network: bridge, containers: [{name: app, ports: [8080]}]}`

func TestExamplesTheHardenedEnvoyGivesNothingAway(t *testing.T) {
	t.Parallel()
	volume := t.TempDir()
	r := newRig(t, worldOf(exampleService), append(services("/web", "c1/web"), "NIGHTJAR_XDS_LISTEN=unix:"+volume+"/xds.sock")...)
	r.startNightjar()
	r.envoy = envoytest.Start(t, envoytest.Options{Bootstrap: r.moved(readDoc(t, "../examples/envoy/hardened.yaml"), volume)})
	r.waitTasks("/web", "c1", "web", 1)
	r.run("ready", "--envoy")
	info, err := os.Stat(volume + "/envoy-admin.sock")
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the socket of admin is %v", info.Mode())
	}
	for _, call := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/ready", 200},
		{http.MethodGet, "/stats/prometheus", 200},
		{http.MethodGet, "/config_dump", 404},
		{http.MethodGet, "/ready/../config_dump", 404},
		{http.MethodGet, "/clusters", 404},
		{http.MethodPost, "/quitquitquit", 404},
		{http.MethodPost, "/ready", 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), call.method, "http://127.0.0.1:"+r.settings["ENVOY_ADMIN_PORT"], http.NoBody)
		must(t, err)
		req.URL.Path = call.path
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode != call.status {
			t.Errorf("%s %s answers %d, want %d", call.method, call.path, resp.StatusCode, call.status)
		}
	}
}

func TestExamplesTheStaticListenerStandsBesideTheRest(t *testing.T) {
	t.Parallel()
	r := newRig(t, worldOf(exampleService), services("/web", "c1/web")...)
	r.startNightjar()
	r.envoy = envoytest.Start(t, envoytest.Options{Bootstrap: r.moved(readDoc(t, "../examples/envoy/static.yaml"), t.TempDir())})
	r.envoy.WaitReady()
	r.waitTasks("/web", "c1", "web", 1)
}

// composeFile is what is looked at of examples/compose.
type composeFile struct {
	Services map[string]struct {
		Image       string
		Command     []string
		Entrypoint  []string
		Environment map[string]string
		User        string
		ReadOnly    bool     `yaml:"read_only"`
		VolumesFrom []string `yaml:"volumes_from"`
		NetworkMode string   `yaml:"network_mode"`
		Ports       []string
		HealthCheck struct{ Test []string }
	}
}

// TestExamplesTheComposeFileIsConsistent doesn't run it: bin/compose-test.sh does, with an engine.
func TestExamplesTheComposeFileIsConsistent(t *testing.T) {
	t.Parallel()
	var file composeFile
	must(t, yaml.Unmarshal([]byte(readDoc(t, "../examples/compose/docker-compose.yml")), &file))
	sim, nightjar, proxy := file.Services["sim"], file.Services["nightjar"], file.Services["envoy"]
	world, err := ecssim.LoadFile("../examples/compose/world.yaml")
	must(t, err)
	names := map[string]bool{}
	for _, s := range world.Clusters[0].Services {
		names[s.Name] = true
	}
	serve, err := config.Load(config.Input{Purpose: config.ToServe, Env: nightjar.Environment})
	must(t, err)
	dial, err := config.Load(config.Input{Purpose: config.ToDial, Env: proxy.Environment})
	must(t, err)
	if len(serve.Warnings)+len(dial.Warnings) > 0 || serve.XDS != dial.XDS {
		t.Errorf("warnings %q %q; nightjar listens at %s and Envoy dials %s", serve.Warnings, dial.Warnings, serve.XDS, dial.XDS)
	}
	for _, e := range serve.Entries {
		if !names[e.Ref.Service] || e.Ref.Cluster != world.Clusters[0].Name {
			t.Errorf("%s is for %s, which the world doesn't have", e.Origin, e.Ref.Name())
		}
	}
	runsNightjar(t, append([]string{"/shared/bin/nightjar"}, sim.Command...))
	runsNightjar(t, proxy.Entrypoint)
	for _, s := range []struct{ check []string }{{nightjar.HealthCheck.Test}, {proxy.HealthCheck.Test}} {
		saysNo(t, s.check)
	}
	if sim.Image != nightjar.Image || proxy.User != nightjarUser || !proxy.ReadOnly || !nightjar.ReadOnly || proxy.NetworkMode != "service:sim" ||
		strings.Join(proxy.VolumesFrom, " ") != "nightjar:ro" {
		t.Errorf("sim %+v\nnightjar %+v\nenvoy %+v", sim, nightjar, proxy)
	}
	for _, s := range file.Services {
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("the port %s is open to others than this machine", port)
			}
		}
	}
}

// nightjarUser is the user of nightjar's image, and of Envoy's.
const nightjarUser = "65532"

// runsNightjar expects nightjar's program at its place in the volume, and a command that it has.
func runsNightjar(t *testing.T, command []string) {
	t.Helper()
	overview, _, _ := (&trial{T: t, rig: &rig{t: t}}).try([]string{"--help"})
	if len(command) < 2 || command[0] != "/shared/bin/nightjar" || !contains(overview, "\n  "+command[1]+" ") {
		t.Errorf("%q is no command of nightjar", command)
	}
}

// saysNo runs a container's health check where there is neither nightjar nor Envoy: it must say so in its own words.
func saysNo(t *testing.T, check []string) {
	t.Helper()
	if len(check) < 3 || check[0] != "CMD" {
		t.Errorf("the health check is %q", check)
		return
	}
	runsNightjar(t, check[1:])
	_, stderr, status := (&trial{T: t, rig: &rig{t: t}}).try(check[2:], "NIGHTJAR_ADMIN_LISTEN=127.0.0.1:1", "ENVOY_ADMIN_PORT=1")
	if status != 1 || !strings.HasPrefix(stderr, "nightjar ready: ") {
		t.Errorf("the health check %q: status %d: %s", check, status, stderr)
	}
}
