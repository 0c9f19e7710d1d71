package config

import (
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// many is an environment with n services.
func many(n int) map[string]string {
	env := good()
	for i := 1; i <= n; i++ {
		env["SERVICE_ARN_"+strconv.Itoa(i)] = fmt.Sprintf("%s-%d", ordersARN, i)
		env["SERVICE_PATH_"+strconv.Itoa(i)] = fmt.Sprintf("/service/%d", i)
	}
	return env
}

func TestThereIsAMostOfServices(t *testing.T) {
	c, err := Load(Input{Env: many(maxEntries)})
	if err != nil || len(c.Refs()) != maxEntries || len(c.Warnings) > 0 {
		t.Fatalf("%d services: %v", maxEntries, err)
	}
	want := []string{`SERVICE_ARN_10001="` + ordersARN + `-10001": at most 10000 can be given`}
	if diff := cmp.Diff(want, mistakesOf(t, Input{Env: many(maxEntries + 1)})); diff != "" {
		t.Fatal(diff)
	}
}

func TestNoCommandFailsForWhatItDoesNotNeed(t *testing.T) {
	wrong := map[string]string{
		"SERVICE_ARN_1": "a b", "SERVICE_WEIGHT_1": "1", "WAITTIME": "x", "NIGHTJAR_AWS_RATE": "x", "EGRESS_LISTEN_PORT": "x", "CLUSTER": "/",
	}
	tests := map[string]struct {
		purpose Purpose
		also    map[string]string
		wrong   []string
	}{
		"bootstrap": {ToDial, map[string]string{"NIGHTJAR_ADMIN_LISTEN": "x"}, []string{
			"NIGHTJAR_XDS_LISTEN=x", "ENVOY_ADMIN_PORT=x", "AWS_REGION=x", "ENVOY_CONTAINER_NAME=-",
		}},
		"envoy": {ToRun, map[string]string{"NIGHTJAR_ADMIN_LISTEN": "x", "NIGHTJAR_ACCESS_LOG": "x"}, []string{
			"NIGHTJAR_XDS_LISTEN=x", "ENVOY_ADMIN_PORT=x", "AWS_REGION=x", "NIGHTJAR_LOG_LEVEL=x", "NIGHTJAR_LOG_FORMAT=x",
			"NIGHTJAR_DRAIN_TIME=20", "NIGHTJAR_DRAIN_TIME=-1s", "NIGHTJAR_DRAIN_TIME=116s",
		}},
		"ready": {ToAsk, map[string]string{"NIGHTJAR_XDS_LISTEN": "x", "AWS_REGION": "x"}, []string{
			"NIGHTJAR_ADMIN_LISTEN=x", "ENVOY_ADMIN_PORT=x", "ENVOY_CONTAINER_NAME=-",
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			env := maps.Clone(wrong)
			maps.Copy(env, test.also)
			if _, err := Load(Input{Purpose: test.purpose, Env: env}); err != nil {
				t.Fatal(err)
			}
			for _, line := range test.wrong {
				variable, value, _ := strings.Cut(line, "=")
				lines := mistakesOf(t, Input{Purpose: test.purpose, Env: map[string]string{variable: value}})
				if len(lines) != 1 || !strings.HasPrefix(lines[0], variable) {
					t.Errorf("%s: %q", line, lines)
				}
			}
		})
	}
}

func TestTheDrainTime(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 20 * time.Second, "0s": 0, "1m55s": 115 * time.Second, "2500ms": 2500 * time.Millisecond} {
		c, err := Load(Input{Purpose: ToRun, Env: map[string]string{"NIGHTJAR_DRAIN_TIME": text, "NIGHTJAR_ENVOY_PATH": "/envoy"}})
		if err != nil || c.DrainTime != want || c.EnvoyPath != "/envoy" {
			t.Errorf("%q: %+v %v", text, c, err)
		}
	}
}

func TestTheBootstrapHasTheRegionThatIsKnown(t *testing.T) {
	for want, in := range map[string]Input{
		"":          {},
		"us-east-1": {Env: map[string]string{"AWS_REGION": "us-east-1"}, Task: task("awsvpc")},
		"eu-west-1": {Task: task("awsvpc")},
	} {
		in.Purpose = ToDial
		if c, err := Load(in); err != nil || c.Region != want {
			t.Errorf("want %q: %v %v", want, c, err)
		}
	}
}

// FuzzLoad: no environment makes a panic or an endless line; what is taken makes a mesh; and it reads the same twice.
func FuzzLoad(f *testing.F) {
	f.Add("SERVICE_ARN_1", ordersARN, "SERVICE_PATH_1", "/orders", "EGRESS_LISTEN_PORT", "8080", uint8(0))
	f.Add("SERVICE_ARN_1", "orders", "CLUSTER", "c", "AWS_REGION", "eu-west-1", uint8(1))
	f.Add("NIGHTJAR_XDS_LISTEN", "unix:/x", "WAITTIME", "1e3", "NIGHTJAR_AWS_RATE", "-Inf", uint8(2))
	f.Add("SERVICE_PATH_1", "/\x00", "SERVICE_PATH_2", "//", "SERVICE_PORT_99999999999999999999", "x", uint8(3))
	f.Add("SERVICE_ARN_2", oldARN, "SERVICE_PATH_2", "/orders", "SERVICE_CLUSTER_2", "shop", uint8(0))
	f.Add("SERVICE_ARN_01", "x", "SERVICE_X", "_", "_1", "_", uint8(0))
	f.Fuzz(func(t *testing.T, a, av, b, bv, c, cv string, how uint8) {
		env := good()
		maps.Copy(env, map[string]string{a: av, b: bv, c: cv})
		in := Input{Env: env, Purpose: Purpose(how % 3), Task: task([]string{"bridge", "host", "awsvpc", ""}[how%4])}
		got, err := Load(in)
		if (got == nil) == (err == nil) {
			t.Fatalf("config %v and error %v", got, err)
		}
		again, errAgain := Load(in)
		if fmt.Sprint(err) != fmt.Sprint(errAgain) || !cmp.Equal(got, again, cmpopts.EquateComparable(netip.AddrPort{})) {
			t.Fatalf("twice, and not the same: %v\n%v", err, errAgain)
		}
		for line := range strings.SplitSeq(fmt.Sprint(err), "\n") {
			if len(line) > 2000 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Fatalf("a line of %d bytes: %q", len(line), line)
			}
		}
		if err != nil {
			return
		}
		if _, err := mesh.New(unreadServices(got), []mesh.Proxy{got.Proxy()}); err != nil {
			t.Fatalf("accepted settings make no mesh: %v", err)
		}
	})
}

func unreadServices(c *Config) []*mesh.Service {
	var all []*mesh.Service
	for _, ref := range c.Refs() {
		all = append(all, &mesh.Service{Name: ref.Name()})
	}
	return all
}

func BenchmarkLoad1000Services(b *testing.B) {
	env := many(1000)
	for b.Loop() {
		if _, err := Load(Input{Env: env}); err != nil {
			b.Fatal(err)
		}
	}
}
