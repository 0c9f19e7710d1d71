package config

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAddressesThatCannotBothBeListenedOn(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:1", "127.0.0.1:1", true},
		{"127.0.0.1:1", "127.0.0.1:2", false},
		{"127.0.0.1:1", "127.0.0.2:1", false},
		{"127.0.0.1:1", "0.0.0.0:1", true},
		{"[::]:1", "127.0.0.1:1", true},
		{"[::1]:1", "127.0.0.1:1", false},
		{"localhost:1", "127.0.0.1:1", true},
		{"[::ffff:127.0.0.1]:1", "127.0.0.1:1", true},
		{"Nightjar:1", "nightjar:1", true},
		{"unix:/a", "unix:/a", true},
		{"unix:/a", "unix:/b", false},
		{"unix:/a", "0.0.0.0:1", false},
	}
	for _, test := range tests {
		a, errA := parseAddress(test.a)
		b, errB := parseAddress(test.b)
		if errA != nil || errB != nil || overlap(a, b) != test.want || overlap(b, a) != test.want {
			t.Errorf("%s and %s: want %v (%v, %v)", test.a, test.b, test.want, errA, errB)
		}
	}
	if overlap(Address{}, Address{}) {
		t.Error("what isn't set is in nobody's way")
	}
}

func TestInBridgeModeEnvoyHasItsOwnNetwork(t *testing.T) {
	if lines := mistakesOf(t, Input{Env: good("EGRESS_LISTEN_PORT=9903"), Task: task("bridge")}); lines != nil {
		t.Errorf("egress on the port of nightjar's admin address: %q", lines)
	}
	if lines := mistakesOf(t, Input{Env: good("EGRESS_LISTEN_PORT=9903"), Task: task("host")}); len(lines) != 1 {
		t.Errorf("the same in host mode: %q", lines)
	}
	if lines := mistakesOf(t, Input{Env: good("EGRESS_LISTEN_PORT=9901"), Task: task("bridge")}); len(lines) != 1 {
		t.Errorf("egress on Envoy's admin port: %q", lines)
	}
}

// FuzzAddress: what is taken says the same again when it is printed.
func FuzzAddress(f *testing.F) {
	for _, text := range []string{"127.0.0.1:9902", "[::1]:1", "nightjar:65535", "unix:/shared/xds.sock", ":1", "1.2.3:4", "[fe80::1%eth0]:1", "unix:"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAddress(text)
		if err != nil {
			return
		}
		printed := a.String()
		if a.Network == "unix" {
			printed = "unix:" + printed
		}
		if again, err := parseAddress(printed); err != nil || again != a {
			t.Fatalf("%q → %q → %+v (%v)", text, printed, again, err)
		}
		if a.Network == "tcp" && strings.Contains(a.Host, ":") {
			if _, err := netip.ParseAddr(a.Host); err != nil {
				t.Fatalf("%q is taken with the host %q", text, a.Host)
			}
		}
	})
}
