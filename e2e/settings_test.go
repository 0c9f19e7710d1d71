package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

// settingsWorld has what the settings choose between.
const settingsWorld = `
region: eu-west-1
polite: true
timing: {provision: 10ms, pull: 10ms, register: 10ms, report: 10ms}
clusters:
- name: c1
  subnet: NET.2.0/24
  instances: [{id: i-0000000000000001, address: NET.1.1, zone: eu-west-1a}]
  services:
  - {name: web, desired: 1, network: bridge, containers: [{name: app, ports: [8080]}, {name: side, ports: [9090]}]}
- name: c2
  subnet: NET.3.0/24
  instances: [{id: i-0000000000000002, address: NET.1.2}]
  services: [{name: web, desired: 1, network: bridge, containers: [{name: app, ports: [8080]}]}]
`

// trial runs commands of nightjar against the settings' world.
type trial struct {
	*testing.T
	*rig
}

// newTrial has good settings for c1/web at its container app.
func newTrial(t *testing.T) *trial {
	r := newRig(t, settingsWorld, append(services("/web", "c1/web"), "SERVICE_CONTAINER_1=app")...)
	for late := time.Now().Add(patience); len(r.sim.World.Tasks("c1", "web"))+len(r.sim.World.Tasks("c2", "web")) < 2; {
		if time.Now().After(late) {
			t.Fatal("the world doesn't start")
		}
		time.Sleep(10 * time.Millisecond)
	}
	return &trial{t, r}
}

// try runs a command with NAME=VALUE settings on top and returns what it says and its exit status.
func (r *trial) try(args []string, settings ...string) (stdout, stderr string, status int) {
	all := map[string]string{}
	for k, v := range r.settings {
		all[k] = v
	}
	for _, line := range settings {
		name, value, _ := strings.Cut(line, "=")
		all[name] = value
	}
	var out, errs bytes.Buffer
	cmd := command(all, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		status = exit.ExitCode()
	}
	return out.String(), errs.String(), status
}

// rendered expects a text in what render prints with the settings, and not without them.
func (r *trial) rendered(want string, settings ...string) {
	r.T.Helper()
	with, stderr, status := r.try([]string{"render"}, settings...)
	without, _, _ := r.try([]string{"render"})
	if status != 0 || !contains(with, want) || contains(without, want) {
		r.T.Errorf("%v: status %d, %q in render: %v (and without it %v)\n%s", settings, status, want, contains(with, want), contains(without, want), stderr)
	}
}

// inward adds good settings for ingress to the service c1/web.
func (r *trial) inward() *trial {
	for _, line := range []string{
		"INGRESS_LISTEN_PORT=18094", "CONTAINER_NAME_1=app", "CONTAINER_PATH_1=/", "CURRENT_SERVICE_ARN=web", "CLUSTER=c1",
		"INGRESS_SCOPE=service",
	} {
		name, value, _ := strings.Cut(line, "=")
		r.settings[name] = value
	}
	return r
}

// booted expects a text in what bootstrap prints with the settings, and not without them.
func (r *trial) booted(want string, settings ...string) {
	r.T.Helper()
	with, _, status := r.try([]string{"bootstrap"}, settings...)
	without, _, _ := r.try([]string{"bootstrap"})
	if status != 0 || !contains(with, want) || contains(without, want) {
		r.T.Errorf("%v: status %d, %q in bootstrap: %v (and without it %v)", settings, status, want, contains(with, want), contains(without, want))
	}
}

// refused expects a mistake with a text.
func (r *trial) refused(want string, settings ...string) {
	r.T.Helper()
	stdout, stderr, status := r.try([]string{"serve"}, settings...)
	if status != 2 || stdout != "" || !contains(stderr, want) {
		r.T.Errorf("%v: status %d, stdout %q, want %q in\n%s", settings, status, stdout, want, stderr)
	}
}

// served runs serve with the settings until the condition holds, and returns its log.
func (r *trial) served(condition func() bool, settings ...string) string {
	r.T.Helper()
	for _, line := range settings {
		name, value, _ := strings.Cut(line, "=")
		r.settings[name] = value
	}
	r.startNightjar()
	r.eventually(fmt.Sprint("a difference by ", settings), condition)
	r.stopNightjar(syscall.SIGKILL)
	return r.nightjar.output()
}

func TestSettingsEachMakeADifference(t *testing.T) {
	t.Parallel()
	differences := map[string]func(*trial){
		"EGRESS_LISTEN_PORT": func(r *trial) { r.rendered(`"port_value": 18099`, "EGRESS_LISTEN_PORT=18099") },
		"SERVICE_ARN_X": func(r *trial) {
			r.rendered("c1/web2/app", "SERVICE_ARN_1=arn:aws:ecs:eu-west-1:111122223333:service/c1/web2")
		},
		"SERVICE_PATH_X":      func(r *trial) { r.rendered(`"path_separated_prefix": "/elsewhere"`, "SERVICE_PATH_1=/elsewhere") },
		"SERVICE_CONTAINER_X": func(r *trial) { r.rendered(`"name": "c1/web/side"`, "SERVICE_CONTAINER_1=side") },
		"SERVICE_PORT_X":      func(r *trial) { r.rendered(`"name": "c1/web:9090"`, "SERVICE_CONTAINER_1=", "SERVICE_PORT_1=9090") },
		"SERVICE_CLUSTER_X": func(r *trial) {
			r.rendered(`"name": "c2/web/app"`, "SERVICE_ARN_1=web", "SERVICE_CLUSTER_1=c2")
		},
		"CLUSTER":          func(r *trial) { r.rendered(`"name": "c2/web/app"`, "SERVICE_ARN_1=web", "CLUSTER=c2") },
		"ENVOY_ADMIN_PORT": func(r *trial) { r.booted("port_value: 19911", "ENVOY_ADMIN_PORT=19911") },
		"WAITTIME": func(r *trial) {
			r.served(func() bool {
				return contains(r.admin0("/api/status"), `"wait_seconds": 1`) && r.quiet(900*time.Millisecond)
			}, "WAITTIME=1000")
		},
		"AWS_REGION": func(r *trial) {
			r.refused("it is in the Region eu-west-1, and nightjar reads eu-west-2", "AWS_REGION=eu-west-2")
		},
		"EGRESS_LISTEN_ADDRESS": func(r *trial) { r.rendered(`"address": "0.0.0.0"`, "EGRESS_LISTEN_ADDRESS=0.0.0.0") },
		"NIGHTJAR_XDS_LISTEN": func(r *trial) {
			r.booted("pipe", "NIGHTJAR_XDS_LISTEN=unix:/shared/other.sock")
			path := filepath.Join(shortTempDir(r.T), "xds.sock")
			r.served(func() bool {
				info, err := os.Stat(path)
				return err == nil && info.Mode().Perm() == 0o666
			}, "NIGHTJAR_XDS_LISTEN=unix:"+path)
		},
		"NIGHTJAR_ADMIN_LISTEN": func(r *trial) {
			path := filepath.Join(shortTempDir(r.T), "admin.sock")
			r.served(func() bool {
				_, stderr, status := r.try([]string{"ready"})
				return status == 1 && contains(stderr, "no Envoy has connected")
			}, "NIGHTJAR_ADMIN_LISTEN=unix:"+path)
		},
		"NIGHTJAR_AWS_RATE": func(r *trial) {
			r.served(func() bool { return contains(r.admin0("/metrics"), `nightjar_aws_rate_limit{bucket="ecs_tasks"} 0.25`) }, "NIGHTJAR_AWS_RATE=0.25")
		},
		"NIGHTJAR_AWS_BURST": func(r *trial) {
			// A render makes five calls; at two a second without a burst the last comes after 2 s.
			begin := time.Now()
			r.try([]string{"render"}, "NIGHTJAR_AWS_RATE=2", "NIGHTJAR_AWS_BURST=1")
			if took := time.Since(begin); took < 1500*time.Millisecond {
				r.T.Errorf("five calls at two a second took %s", took)
			}
		},
		"NIGHTJAR_ENVOY_PATH": func(r *trial) {
			_, stderr, status := r.try([]string{"demo", "--once"}, "NIGHTJAR_ENVOY_PATH=/nowhere/envoy")
			if status != 1 || !contains(stderr, "NIGHTJAR_ENVOY_PATH") || !contains(stderr, "/nowhere/envoy") {
				r.T.Errorf("status %d\n%s", status, stderr)
			}
		},
		"NIGHTJAR_DRAIN_TIME": func(r *trial) {
			r.refused(`NIGHTJAR_DRAIN_TIME="20": want a duration from 0s to 115s`, "NIGHTJAR_DRAIN_TIME=20")
			stdout, stderr, status := r.try([]string{"envoy", "--", "--mode", "validate"}, "NIGHTJAR_DRAIN_TIME=7s")
			if status != 0 || !contains(stdout, "OK") || !contains(stderr, "drain_time=7s") {
				r.T.Errorf("status %d\n%s%s", status, stdout, stderr)
			}
		},
		"SERVICE_WEIGHT_X": func(r *trial) {
			r.rendered(`"weight": 7`, "SERVICE_WEIGHT_1=7", "SERVICE_ARN_2=arn:aws:ecs:eu-west-1:111122223333:service/c2/web",
				"SERVICE_PATH_2=/web", "SERVICE_CONTAINER_2=app")
			r.refused(`SERVICE_WEIGHT_1="0": the weights of the path /web are all 0`, "SERVICE_WEIGHT_1=0")
		},
		"SERVICE_PROTOCOL_X": func(r *trial) {
			r.rendered(`"max_stream_duration"`, "SERVICE_PROTOCOL_1=grpc")
			r.refused(`SERVICE_PROTOCOL_1="h2c": want http1, http2 or grpc`, "SERVICE_PROTOCOL_1=h2c")
		},
		"SERVICE_LISTEN_PORT_X": func(r *trial) {
			r.rendered(`"name": "egress-18098"`, "SERVICE_LISTEN_PORT_1=18098")
			r.refused("is NIGHTJAR_ADMIN_LISTEN's too", "SERVICE_LISTEN_PORT_1=18097", "NIGHTJAR_ADMIN_LISTEN=127.0.0.1:18097")
		},
		"SERVICE_TIMEOUT_X": func(r *trial) {
			r.rendered(`"timeout": "1.500s"`, "SERVICE_TIMEOUT_1=1500ms")
			r.refused("or off", "SERVICE_TIMEOUT_1=15")
		},
		"SERVICE_RETRIES_X":      func(r *trial) { r.rendered(`"num_retries": 2`, "SERVICE_RETRIES_1=2") },
		"SERVICE_IDLE_TIMEOUT_X": func(r *trial) { r.rendered(`"idle_timeout": "59s"`, "SERVICE_IDLE_TIMEOUT_1=59s") },
		"NIGHTJAR_ACCESS_LOG": func(r *trial) {
			with, _, _ := r.try([]string{"render"}, "NIGHTJAR_ACCESS_LOG=off")
			without, _, _ := r.try([]string{"render"})
			if contains(with, "access_log") || !contains(without, "access_log") {
				r.T.Errorf("off:\n%s", with)
			}
			r.refused("want off, errors or all", "NIGHTJAR_ACCESS_LOG=some")
		},
		"NIGHTJAR_ENVOY_STATS_LISTEN": func(r *trial) {
			r.rendered(`"port_value": 18096`, "NIGHTJAR_ENVOY_STATS_LISTEN=127.0.0.1:18096")
			r.refused("want HOST:PORT with an IP address", "NIGHTJAR_ENVOY_STATS_LISTEN=9904")
		},
		"INGRESS_LISTEN_PORT": func(r *trial) {
			r.rendered(`"port_value": 18095`, "INGRESS_LISTEN_PORT=18095", "CONTAINER_NAME_1=app", "CONTAINER_PATH_1=/", "CURRENT_SERVICE_ARN=web", "CLUSTER=c1")
		},
		"CURRENT_SERVICE_ARN": func(r *trial) {
			r.inward().rendered(`"name": "c2/web/app"`, "CURRENT_SERVICE_ARN=arn:aws:ecs:eu-west-1:111122223333:service/c2/web", "CLUSTER=")
		},
		"CONTAINER_NAME_X": func(r *trial) { r.inward().rendered(`"name": "c1/web/side"`, "CONTAINER_NAME_1=side") },
		"CONTAINER_PATH_X": func(r *trial) { r.inward().rendered(`"path_separated_prefix": "/inside"`, "CONTAINER_PATH_1=/inside") },
		"CONTAINER_PORT_X": func(r *trial) { r.inward().rendered(`"name": "c1/web/app:8080"`, "CONTAINER_PORT_1=8080") },
		"CONTAINER_PROTOCOL_X": func(r *trial) {
			r.inward().rendered(`"max_stream_duration"`, "CONTAINER_PROTOCOL_1=grpc", "SERVICE_ARN_1=")
			r.refused(`CONTAINER_PROTOCOL_1="h2c": want http1, http2 or grpc`, "CONTAINER_PROTOCOL_1=h2c")
		},
		"CONTAINER_LISTEN_PORT_X": func(r *trial) { r.inward().rendered(`"name": "ingress-18093"`, "CONTAINER_LISTEN_PORT_1=18093") },
		"CONTAINER_TIMEOUT_X":     func(r *trial) { r.inward().rendered(`"timeout": "1.500s"`, "CONTAINER_TIMEOUT_1=1500ms") },
		"INGRESS_LISTEN_ADDRESS":  func(r *trial) { r.inward().rendered(`"address": "127.0.0.9"`, "INGRESS_LISTEN_ADDRESS=127.0.0.9") },
		"INGRESS_TRUSTED_HOPS":    func(r *trial) { r.inward().rendered(`"xff_num_trusted_hops": 3`, "INGRESS_TRUSTED_HOPS=3") },
		"INGRESS_HEALTH_PATH":     func(r *trial) { r.inward().rendered(`"exact": "/up"`, "INGRESS_HEALTH_PATH=/up") },
		"INGRESS_SCOPE": func(r *trial) {
			r.settings["ECS_CONTAINER_METADATA_URI_V4"] = r.settings["AWS_ENDPOINT_URL"] + "/v4/" + r.sim.World.Tasks("c1", "web")[0]
			r.inward().rendered(`"name": "own-task/app"`, "INGRESS_SCOPE=task")
		},
		"ENVOY_CONTAINER_NAME": func(r *trial) {
			r.settings["ECS_CONTAINER_METADATA_URI_V4"] = r.settings["AWS_ENDPOINT_URL"] + "/v4/" + r.sim.World.Tasks("c1", "web")[0]
			r.booted("address: 0.0.0.0", "ENVOY_CONTAINER_NAME=envoy") // in bridge mode
			_, stderr, status := r.try([]string{"ready", "--envoy"}, "ENVOY_CONTAINER_NAME=127.0.0.77")
			if status != 1 || !contains(stderr, "127.0.0.77:") {
				r.T.Errorf("status %d\n%s", status, stderr)
			}
		},
		"ZONE_AWARE": func(r *trial) {
			r.settings["ECS_CONTAINER_METADATA_URI_V4"] = r.settings["AWS_ENDPOINT_URL"] + "/v4/" + r.sim.World.Tasks("c1", "web")[0]
			for value, want := range map[string]string{"auto": "zone eu-west-1a: the only endpoint is in", "off": "ZONE_AWARE=off: all zones share"} {
				if stdout, stderr, status := r.try([]string{"explain"}, "ZONE_AWARE="+value); status != 0 || !contains(stdout, want) {
					r.T.Errorf("%s: status %d, want %q in\n%s%s", value, status, want, stdout, stderr)
				}
			}
			r.refused(`ZONE_AWARE="on": want auto or off`, "ZONE_AWARE=on")
		},
		"NIGHTJAR_LOG_LEVEL": func(r *trial) {
			log := r.served(func() bool { return contains(r.admin0("/api/status"), `"state": "active"`) }, "NIGHTJAR_LOG_LEVEL=warn")
			if contains(log, "level=INFO") || contains(log, "level=DEBUG") {
				r.T.Errorf("log:\n%s", log)
			}
		},
		"NIGHTJAR_LOG_FORMAT": func(r *trial) {
			log := r.served(func() bool { return contains(r.nightjar.output(), "nightjar starts") }, "NIGHTJAR_LOG_FORMAT=json")
			if !contains(log, `"msg":"nightjar starts"`) {
				r.T.Errorf("log:\n%s", log)
			}
		},
	}
	for _, s := range config.Settings() {
		difference, known := differences[s.Name]
		if !known {
			t.Errorf("%s: no difference is named", s.Name)
			continue
		}
		delete(differences, s.Name)
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			difference(newTrial(t))
		})
	}
	for name := range differences {
		t.Errorf("%s is no setting", name)
	}
}

// quiet waits for the next call of AWS after others, and tells whether there was none for so long before it.
func (r *rig) quiet(least time.Duration) bool {
	calls := func() (n int) {
		for _, count := range r.sim.Server.Counts() {
			n += count
		}
		return n
	}
	before, since := calls(), time.Now()
	for before > 0 && calls() == before && time.Since(since) < patience {
		time.Sleep(time.Millisecond)
	}
	return before > 0 && calls() > before && time.Since(since) >= least
}

// admin0 is a path of the admin address, "" while nobody answers there.
func (r *rig) admin0(path string) string {
	resp, err := http.Get("http://" + r.settings["NIGHTJAR_ADMIN_LISTEN"] + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, _ = b.ReadFrom(resp.Body)
	return b.String()
}

// shortTempDir is a folder whose path leaves room for the name of a unix socket.
func shortTempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nj")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestTheMetadataEndpointTellsTheECSClusterRegionAndNetworkMode(t *testing.T) {
	t.Parallel()
	r := newTrial(t)
	task := r.sim.World.Tasks("c2", "web")[0]
	endpoint := "ECS_CONTAINER_METADATA_URI_V4=" + r.settings["AWS_ENDPOINT_URL"] + "/v4/" + task
	stdout, stderr, status := r.try([]string{"render"}, endpoint, "SERVICE_ARN_1=web", "AWS_REGION=", "NIGHTJAR_XDS_LISTEN=127.0.0.1:9902")
	if status != 0 || !contains(stdout, `"name": "c2/web/app"`) || !contains(stdout, `"address": "0.0.0.0"`) {
		t.Errorf("in bridge mode, by name alone: status %d\n%s\n%s", status, stderr, stdout)
	}
	stdout, _, _ = r.try([]string{"bootstrap"}, endpoint, "NIGHTJAR_XDS_LISTEN=")
	if !contains(stdout, "/shared/xds.sock") || !contains(stdout, task) {
		t.Errorf("the bootstrap in bridge mode:\n%s", stdout)
	}
	_, stderr, status = r.try([]string{"render"}, "ECS_CONTAINER_METADATA_URI_V4=http://127.0.0.1:1/v4/x")
	if status != 0 || !contains(stderr, "ECS_CONTAINER_METADATA_URI_V4") {
		t.Errorf("an endpoint that doesn't answer is a warning: status %d\n%s", status, stderr)
	}
}

func TestTakenAddressesAndSocketsNameTheirVariable(t *testing.T) {
	t.Parallel()
	r := newTrial(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	fails := func(want string, settings ...string) {
		t.Helper()
		_, stderr, status := r.try([]string{"serve"}, settings...)
		if status != 1 || !contains(stderr, want) {
			t.Errorf("%v: status %d, want %q in\n%s", settings, status, want, stderr)
		}
	}
	fails("NIGHTJAR_XDS_LISTEN: the address "+l.Addr().String()+" is taken", "NIGHTJAR_XDS_LISTEN="+l.Addr().String())
	fails("NIGHTJAR_ADMIN_LISTEN: the address "+l.Addr().String()+" is taken", "NIGHTJAR_ADMIN_LISTEN="+l.Addr().String())
	fails("mount the volume that nightjar and Envoy share (volumesFrom)", "NIGHTJAR_XDS_LISTEN=unix:/no/such/xds.sock")
	dir := shortTempDir(t)
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	fails("there is something else than a socket", "NIGHTJAR_XDS_LISTEN=unix:"+file)

	stale := filepath.Join(dir, "xds.sock")
	r.served(func() bool { _, err := os.Stat(stale); return err == nil }, "NIGHTJAR_XDS_LISTEN=unix:"+stale) // killed: it stays
	r.startNightjar()
	r.eventually("a stale socket is removed at start", func() bool { return contains(r.admin0("/api/status"), `"state": "active"`) })
	fails("another nightjar answers there", "NIGHTJAR_ADMIN_LISTEN=unix:"+filepath.Join(dir, "a.sock"))
	r.startEnvoy()
	r.waitStatus("/web", http.StatusOK) // by the unix socket
}

func TestReadyAndItsExitStatus(t *testing.T) {
	t.Parallel()
	r := newTrial(t)
	if _, stderr, status := r.try([]string{"ready"}); status != 1 || !contains(stderr, "NIGHTJAR_ADMIN_LISTEN") {
		t.Errorf("without nightjar: %d %s", status, stderr)
	}
	if _, stderr, status := r.try([]string{"ready", "--envoy"}); status != 1 || !contains(stderr, "ENVOY_ADMIN_PORT") {
		t.Errorf("without Envoy: %d %s", status, stderr)
	}
	must(t, r.sim.Server.Inject(ecssim.Fault{Kind: ecssim.ServerError}))
	r.startNightjar()
	r.eventually("not ready says what it waits for", func() bool {
		_, stderr, status := r.try([]string{"ready"})
		return status == 1 && contains(stderr, "AWS has not answered yet for 1 of 1 services: c1/web/app")
	})
	r.sim.Server.Heal()
	r.startEnvoy()
	r.eventually("both are ready", func() bool {
		_, _, a := r.try([]string{"ready"})
		_, _, b := r.try([]string{"ready", "--envoy"})
		return a == 0 && b == 0
	})
	must(t, r.sim.Server.Inject(ecssim.Fault{Kind: ecssim.AccessDenied}))
	r.envoy.Stop()
	r.eventually("the fault is known", func() bool { return r.status().Services[0].Error != "" })
	if _, stderr, status := r.try([]string{"ready"}); status != 0 {
		t.Errorf("once ready, ready: %s", stderr)
	}
}
