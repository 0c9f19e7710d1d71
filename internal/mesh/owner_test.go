package mesh

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestAnAddressIsTheNewestTasks(t *testing.T) {
	at := func(minute int) time.Time {
		if minute < 0 {
			return time.Time{}
		}
		return time.Unix(1_700_000_000, 0).Add(time.Duration(minute) * time.Minute)
	}
	claim := func(addr, task string, started, created int) Claim {
		return Claim{Addr: netip.MustParseAddrPort(addr), Task: task, Started: at(started), Created: at(created)}
	}
	serving := func(name string, c Claim, addr string) *Service {
		return &Service{Name: name, Claims: []Claim{c}, Endpoints: []Endpoint{{Addr: netip.MustParseAddrPort(addr), Task: c.Task}}}
	}
	const port = "10.0.0.1:32768"
	tests := map[string]struct {
		newer Claim
		kept  bool
	}{
		"started later":              {claim(port, "new", 5, 4), false},
		"started earlier":            {claim(port, "new", 1, 4), true},
		"only starts, made earlier":  {claim(port, "new", -1, 0), false},
		"made earlier, begun later":  {claim(port, "new", 5, 0), false},
		"another port":               {claim("10.0.0.1:32769", "new", 5, 4), true},
		"all of the address":         {claim("10.0.0.1:0", "new", 5, 4), false},
		"all of another address":     {claim("10.0.0.2:0", "new", 5, 4), true},
		"the same task in two views": {claim(port, "old", 5, 4), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			// The newer claim may be of a task that takes no traffic, or of a port that no path leads to.
			other := &Service{Name: "c/b", Claims: []Claim{test.newer}}
			old := serving("c/a", claim(port, "old", 2, 2), port)
			got := Owned([]*Service{old, other})[0]
			if kept := len(got.Endpoints) == 1; kept != test.kept || test.kept && got != old {
				t.Fatalf("%+v", got)
			}
			if !test.kept && (len(got.Excluded) != 1 || !strings.Contains(got.Excluded[0].Reason, "the newer task new has its address "+port)) {
				t.Errorf("%+v", got.Excluded)
			}
			if len(old.Endpoints) != 1 || len(old.Excluded) != 0 {
				t.Error("a Service is never changed")
			}
		})
	}
}
