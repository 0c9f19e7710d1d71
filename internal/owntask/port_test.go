package owntask

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

func TestAnOwnContainerWithoutAListenerIsClosed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(listener.Addr().String()).Port()
	health := func(known, word string) mesh.Health {
		t.Helper()
		c := taskmeta.Container{Name: "web", KnownStatus: known, Networks: network("awsvpc", "10.0.0.5"), Health: taskmeta.Health{Status: word}}
		reader := &Reader{Fetch: func(context.Context) (*taskmeta.Task, error) { return task(c), nil }, Closed: PortClosed}
		return reader.Read(t.Context(), []mesh.ServiceRef{ref(port)})[0].Service.Endpoints[0].Health
	}
	if got := health("RUNNING", ""); got != mesh.HealthUnknown {
		t.Errorf("while something listens: %s", got)
	}
	if got := health("RUNNING", "HEALTHY"); got != mesh.Healthy {
		t.Errorf("while something listens: %s", got)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		known, word string
		want        mesh.Health
	}{
		"running":                   {"RUNNING", "", mesh.Closed},
		"healthy by its own check":  {"RUNNING", "HEALTHY", mesh.Closed},
		"unhealthy stays that":      {"RUNNING", "UNHEALTHY", mesh.Unhealthy},
		"one that doesn't run yet":  {"CREATED", "", mesh.HealthUnknown},
		"one that is only prepared": {"PULLED", "", mesh.HealthUnknown},
	} {
		if got := health(test.known, test.word); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestAPortThatIsSlowToAnswerIsNotClosed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if PortClosed(ctx, netip.MustParseAddrPort("127.0.0.1:1")) {
		t.Error("the time was over before it could tell")
	}
}
