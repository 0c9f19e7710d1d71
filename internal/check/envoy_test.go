package check

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
)

func TestWhatIsSaidOfEnvoy(t *testing.T) {
	const here = "127.0.0.1:9902"
	sight := func(version, dials string) envoy.Sight {
		return envoy.Sight{Version: version, State: "LIVE", NodeID: "me", XDS: []string{dials}}
	}
	mine, other := &Nightjar{Ready: true, Envoys: []string{"me"}}, &Nightjar{Ready: true, Envoys: []string{"somebody"}}
	for name, test := range map[string]struct {
		e       Envoy
		bridge  bool
		listens string
		n       *Nightjar
		taken   bool
		result  Result
		found   string
		do      string
	}{
		"connected, whatever it dials": {Envoy{Sight: sight("1.40.2", "nightjar:1")}, false, here, mine, false, OK, "Envoy 1.40.2 is LIVE, and connected to nightjar", ""},
		"to another nightjar":          {Envoy{Sight: sight("1.40.0", here)}, false, here, other, false, Fail, "isn't connected to the nightjar that runs", "of the same task"},
		"before nightjar is ready":     {Envoy{Sight: sight("1.40.0", here)}, false, here, &Nightjar{}, false, Fail, "isn't connected", "it answers no Envoy before it has read AWS"},
		"astray":                       {Envoy{Sight: sight("1.40.0", "127.0.0.1:1")}, false, here, nil, false, Fail, "its bootstrap's xDS address is 127.0.0.1:1, mine is 127.0.0.1:9902", "NIGHTJAR_XDS_LISTEN"},
		"on its way":                   {Envoy{Sight: sight("1.40.0", here)}, false, here, nil, false, OK, "its bootstrap's xDS address is 127.0.0.1:9902", ""},
		"settings unknown":             {Envoy{Sight: sight("1.40.0", here)}, false, "", nil, false, Note, "while NIGHTJAR_XDS_LISTEN is wrong", ""},
		"away":                         {Envoy{Err: errors.New("refused")}, false, here, nil, false, Fail, "can't be asked: refused", "ENVOY_CONTAINER_NAME"},
		"away in bridge mode":          {Envoy{Err: errors.New("refused")}, true, here, nil, false, Fail, "refused", "in bridge mode it must listen on 0.0.0.0"},
		"away, and one is connected":   {Envoy{Err: errors.New("refused")}, false, here, mine, false, Warning, "refused", "ENVOY_ADMIN_PORT"},
		"neither runs":                 {Envoy{Err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}, false, here, nil, false, Note, "neither Envoy nor nightjar runs here", "nothing then; else start Envoy"},
		"neither, and a stranger":      {Envoy{Err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}, false, here, nil, true, Fail, "refused", "start Envoy"},
		"no such host":                 {Envoy{Err: fmt.Errorf("dial: %w", &net.DNSError{})}, true, here, nil, false, Note, "neither Envoy nor nightjar runs here", "in bridge mode"},
	} {
		t.Run(name, func(t *testing.T) {
			findings := judgeEnvoy(test.e, test.bridge, test.listens, test.n, test.taken)
			f := findings[0]
			if len(findings) != 1 || f.Result != test.result || !strings.Contains(f.Found, test.found) || !strings.Contains(f.Do, test.do) || test.do == "" && f.Do != "" {
				t.Errorf("%+v", findings)
			}
		})
	}
	old := judgeEnvoy(Envoy{Sight: sight("1.39.9", here)}, false, here, nil, false)
	if len(old) != 2 || old[1].Result != Note || old[1].Found != "it is 1.39.9, and nightjar is tested with 1.40" {
		t.Errorf("another series: %+v", old)
	}
}

func TestARefusedListenerNamesItsVariable(t *testing.T) {
	local := &config.Config{Admin: config.Address{Network: "tcp", Host: "127.0.0.1", Port: 9903}}
	for setting, variable := range map[string]string{
		"EGRESS_LISTEN_PORT": "EGRESS_LISTEN_PORT", "CONTAINER_LISTEN_PORT_2": "CONTAINER_LISTEN_PORT_2", "": "the variable of its port",
	} {
		n := &Nightjar{Ready: true, Envoys: []string{"me"}, Refusals: []Refusal{{Type: "listener", Name: "l", Setting: setting, Message: "cannot bind"}}}
		findings := judgeNightjar(Surroundings{Nightjar: n}, local)
		if len(findings) != 2 || findings[0].Result != OK || findings[1].Result != Fail || !strings.HasSuffix(findings[1].Do, "change "+variable) ||
			!strings.Contains(findings[1].Found, "cannot bind") {
			t.Errorf("%s: %+v", setting, findings)
		}
	}
	idle := judgeNightjar(Surroundings{Nightjar: &Nightjar{Ready: true, Note: "Envoy dials another address"}}, local)
	if idle[0].Result != Fail || idle[0].Do != "Envoy dials another address" {
		t.Errorf("no Envoy is connected: %+v", idle)
	}
	cluster := judgeRefusal(Refusal{Type: "cluster", Name: "c/a", Message: "bad"})
	if !strings.Contains(cluster.Do, "nightjar render") {
		t.Errorf("%+v", cluster)
	}
}
