package envoy_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sidecar() envoy.BootstrapOptions {
	return envoy.BootstrapOptions{
		NodeID:      "web/0123456789abcdef0123456789abcdef",
		NodeService: "web",
		Region:      "eu-west-1",
		Zone:        "eu-west-1a",
		XDSNetwork:  "tcp",
		XDSAddress:  "127.0.0.1:9902",
		AdminHost:   "127.0.0.1",
		AdminPort:   9901,
	}
}

// goldens are the options of each golden file.
func goldens() map[string]envoy.BootstrapOptions {
	unix, name, ipv6 := sidecar(), sidecar(), sidecar()
	unix.XDSNetwork, unix.XDSAddress = "unix", "/shared/xds.sock"
	name.XDSAddress = "nightjar:9902"
	name.Region, name.Zone = "", ""
	name.AdminHost = "0.0.0.0"
	ipv6.XDSAddress = "[::]:9902"
	ipv6.AdminHost = "::1"
	return map[string]envoy.BootstrapOptions{"tcp": sidecar(), "unix": unix, "name": name, "ipv6": ipv6}
}

func golden(name string) string { return filepath.Join("testdata", "bootstrap-"+name+".yaml") }

func TestBootstrapIsTheGoldenOne(t *testing.T) {
	for name, options := range goldens() {
		t.Run(name, func(t *testing.T) {
			got, err := envoy.Bootstrap(options)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(golden(name), got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden(name))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("want −, got + (if it is right, run with -update):\n%s", diff)
			}
		})
	}
}

func TestEnvoyAcceptsEachGolden(t *testing.T) {
	path := envoytest.Path(t)
	for name := range goldens() {
		t.Run(name, func(t *testing.T) {
			said, err := exec.CommandContext(t.Context(), path, "--mode", "validate", "--config-path", golden(name)).CombinedOutput()
			if err != nil || bytes.Contains(said, []byte("][warning]")) {
				t.Errorf("Envoy says (%v):\n%s", err, said)
			}
		})
	}
}

// The envoytest package fails this test for a warning and for a deprecated feature.
func TestEnvoyRunsEachBootstrapWithoutAWarning(t *testing.T) {
	for name, options := range goldens() {
		t.Run(name, func(t *testing.T) {
			options.AdminHost, options.AdminPort = "127.0.0.1", 0
			bootstrap, err := envoy.Bootstrap(options)
			if err != nil {
				t.Fatal(err)
			}
			e := envoytest.Start(t, envoytest.Options{Bootstrap: bootstrap})
			info, err := e.Admin.ServerInfo(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if info.State == "LIVE" {
				t.Errorf("without a control plane Envoy says that it is %s", info.State)
			}
		})
	}
}

func TestBootstrapNamesTheMistake(t *testing.T) {
	for want, change := range map[string]func(*envoy.BootstrapOptions){
		"needs an ID":                      func(o *envoy.BootstrapOptions) { o.NodeID = "" },
		"the name of its service":          func(o *envoy.BootstrapOptions) { o.NodeService = "" },
		"one of them has more":             func(o *envoy.BootstrapOptions) { o.Zone = strings.Repeat("z", 1025) },
		`the xDS network is "udp"`:         func(o *envoy.BootstrapOptions) { o.XDSNetwork = "udp" },
		`"9902" is not HOST:PORT`:          func(o *envoy.BootstrapOptions) { o.XDSAddress = "9902" },
		"the port of the xDS address":      func(o *envoy.BootstrapOptions) { o.XDSAddress = "127.0.0.1:0" },
		"neither an IP address nor a name": func(o *envoy.BootstrapOptions) { o.XDSAddress = "a b:9902" },
		"has 108 bytes; it needs 1 to 107": func(o *envoy.BootstrapOptions) {
			o.XDSNetwork, o.XDSAddress = "unix", strings.Repeat("/", 108)
		},
		`admin API, "envoy", is not an IP addr`: func(o *envoy.BootstrapOptions) { o.AdminHost = "envoy" },
	} {
		t.Run(want, func(t *testing.T) {
			o := sidecar()
			change(&o)
			got, err := envoy.Bootstrap(o)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the error is %v, want one with %q", err, want)
			}
			if got != nil {
				t.Errorf("there is a bootstrap beside the error:\n%s", got)
			}
		})
	}
}

func FuzzBootstrapAddress(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:9902", "[::1]:9902", "nightjar:9902", "0.0.0.0:1", "", "a:b:c", "[fe80::1%eth0]:1", "x\n:1"} {
		f.Add("tcp", seed)
	}
	f.Add("unix", "/shared/xds.sock")
	f.Add("unix", "@abstract\x00")
	f.Fuzz(func(t *testing.T, network, address string) {
		o := sidecar()
		o.XDSNetwork, o.XDSAddress = network, address
		got, err := envoy.Bootstrap(o)
		if (err == nil) != (len(got) > 0) {
			t.Errorf("%q %q: %d bytes beside the error %v", network, address, len(got), err)
		}
		again, _ := envoy.Bootstrap(o)
		if !bytes.Equal(got, again) {
			t.Errorf("%q %q makes two bootstraps:\n%s\n%s", network, address, got, again)
		}
	})
}
