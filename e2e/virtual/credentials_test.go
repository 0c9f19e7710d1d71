package virtual

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// clock signs requests as a machine does whose clock is off.
type clock struct {
	http.RoundTripper
	off atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (c *clock) RoundTrip(r *http.Request) (*http.Response, error) {
	const form = "20060102T150405Z"
	r = r.Clone(r.Context())
	if at, err := time.Parse(form, r.Header.Get("X-Amz-Date")); err == nil {
		r.Header.Set("X-Amz-Date", at.Add(time.Duration(c.off.Load())).Format(form))
	}
	return c.RoundTripper.RoundTrip(r)
}

// badCredentials are the ways in which credentials fail: how each begins and ends, and what the line in the log has to say.
var badCredentials = map[string]struct {
	begin, end func(*keyring)
	want       []string
}{
	"expired": {
		func(k *keyring) { must(k.t, k.sim.Server.Inject(ecssim.Fault{Kind: ecssim.ExpiredToken})) },
		func(k *keyring) { k.sim.Server.Heal() },
		[]string{"AWS does not accept the credentials: they are expired", "renew them", "AWS_SESSION_TOKEN", "the task role's are used"},
	},
	"rotated, and the role still has the old ones": {
		func(k *keyring) { k.sim.Server.KnowKeys("AKIDNEXT") },
		func(k *keyring) { k.role.give("AKIDNEXT", time.Hour) },
		[]string{"it knows no such access key", "AWS_ACCESS_KEY_ID", "AWS_REGION"},
	},
	"missing": {
		func(k *keyring) { k.role.now.Store(nil) },
		func(k *keyring) { k.role.give("AKIDFIRST", time.Hour) },
		[]string{"no AWS credentials", "give the task definition a task role (taskRoleArn)"},
	},
	"wrong": {
		func(k *keyring) { k.sim.Server.KnowKeys("AKIDOTHER") },
		func(k *keyring) { k.sim.Server.KnowKeys("AKIDFIRST") },
		[]string{"it knows no such access key", "AWS_ACCESS_KEY_ID", "AWS_REGION"},
	},
	"the clock is slow": {
		func(k *keyring) { k.clock.off.Store(int64(-10 * time.Minute)) },
		func(k *keyring) { k.clock.off.Store(0) },
		[]string{"the clock of this machine is off", "set it"},
	},
	"the clock is fast": {
		func(k *keyring) { k.clock.off.Store(int64(10 * time.Minute)) },
		func(k *keyring) { k.clock.off.Store(0) },
		[]string{"the clock of this machine is off", "set it"},
	},
}

// keyring is an account that knows one access key, which the task role has for a quarter of an hour.
type keyring struct {
	*account
	role  *role
	clock *clock
}

func newKeyring(t *testing.T, r *role) *keyring {
	a := newAccount(t, &ecssim.File{Polite: true, AccessKeys: []string{"AKIDFIRST"}, Clusters: []ecssim.FileCluster{{
		Name: "c1", Subnet: "10.0.0.0/16", Instances: []ecssim.FileInstance{{ID: "i-0aaaaaaaaaaaaaaa1", Address: "10.1.0.1"}},
		Services: []ecssim.FileService{{
			Name: "web", Desired: 2, Network: "bridge", Containers: []ecssim.FileContainer{{Name: "web", Ports: []uint16{8080}}},
		}},
	}}})
	k := &keyring{account: a, role: r, clock: &clock{RoundTripper: a.transport}}
	r.give("AKIDFIRST", 15*time.Minute)
	time.Sleep(10 * time.Second) // until its tasks run
	return k
}

func (k *keyring) start() *nightjar {
	return k.account.start(options{refs: []mesh.ServiceRef{{Cluster: "c1", Service: "web"}}, wait: time.Second, through: k.clock})
}

// right tells whether what is served are the tasks that run.
func (k *keyring) right(n *nightjar) bool {
	k.sim.World.Advance(time.Now())
	want := k.sim.World.Tasks("c1", "web")
	s := n.latest.service("c1/web")
	if s == nil || len(want) != 2 {
		return false
	}
	var got []string
	for _, e := range s.Endpoints {
		got = append(got, e.Task)
	}
	slices.Sort(got)
	slices.Sort(want)
	return slices.Equal(got, want)
}

// TestCredentialsThatFailWhileItServes lets them fail for half an hour, in which a task is replaced.
func TestCredentialsThatFailWhileItServes(t *testing.T) {
	r := taskRole(t)
	for name, kind := range badCredentials {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKeyring(t, r)
				n := k.start()
				within(t, 5*time.Second, "what runs is served", func() bool { return k.right(n) })
				before := n.latest.served()
				kind.begin(k)
				time.Sleep(12 * time.Minute)
				must(t, k.sim.World.Kill("c1", "web"))
				time.Sleep(18 * time.Minute)
				if now := n.latest.served(); !slices.Equal(now, before) || !n.report().Ready {
					t.Errorf("%v is served, and was %v before; ready: %v", now, before, n.report().Ready)
				}
				oneLine(t, n, kind.want)
				kind.end(k)
				within(t, 10*time.Second, "it goes on by itself", func() bool { return k.right(n) })
				time.Sleep(20 * time.Second) // an end is said after some calm
				if lines := n.log.lines("reading works again"); len(lines) != 1 {
					t.Errorf("%q", lines)
				}
			})
		})
	}
}

// TestCredentialsThatFailAtStart ends no nightjar, and it goes on by itself.
func TestCredentialsThatFailAtStart(t *testing.T) {
	r := taskRole(t)
	for name, kind := range badCredentials {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKeyring(t, r)
				kind.begin(k)
				n := k.start()
				time.Sleep(10 * time.Minute)
				if n.latest.endpoints("c1/web") != 0 {
					t.Errorf("%d endpoints; want a mesh with none", n.latest.endpoints("c1/web"))
				}
				oneLine(t, n, kind.want)
				kind.end(k)
				within(t, 10*time.Second, "it goes on by itself", func() bool { return k.right(n) })
			})
		})
	}
}

// oneLine checks that the fault has one line, that it says what to do, and that it tells no secret.
func oneLine(t *testing.T, n *nightjar, want []string) {
	t.Helper()
	lines := n.log.lines("cannot read")
	if len(lines) != 1 {
		t.Fatalf("%d lines:\n%s", len(lines), strings.Join(lines, ""))
	}
	for _, w := range want {
		if !strings.Contains(lines[0], w) {
			t.Errorf("%s\nlacks %q", lines[0], w)
		}
	}
	if strings.Contains(lines[0], "AKIDFIRST") || strings.Contains(lines[0], "Signature=") {
		t.Errorf("a secret is told: %s", lines[0])
	}
}

// TestKeysThatAWSTakesBackEarly are those that the SDK would use until they expire.
func TestKeysThatAWSTakesBackEarly(t *testing.T) {
	r := taskRole(t)
	synctest.Test(t, func(t *testing.T) {
		k := newKeyring(t, r)
		r.give("AKIDFIRST", 24*time.Hour)
		n := k.start()
		within(t, 5*time.Second, "what runs is served", func() bool { return k.right(n) })
		k.sim.Server.KnowKeys("AKIDNEXT")
		r.give("AKIDNEXT", 24*time.Hour)
		must(t, k.sim.World.Kill("c1", "web"))
		time.Sleep(3 * time.Second)
		within(t, 15*time.Second, "it fetches the new ones", func() bool { return k.right(n) })
		asked := r.asked.Load()
		time.Sleep(time.Hour)
		if now := r.asked.Load(); now != asked {
			t.Errorf("credentials that are good are fetched %d times more", now-asked)
		}
	})
}

func TestAnotherRegionThanTheServices(t *testing.T) {
	fakeCredentials(t)
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, &ecssim.File{Polite: true, Clusters: []ecssim.FileCluster{{Name: "c1"}}})
		a.region = "eu-west-2"
		n := a.start(options{refs: []mesh.ServiceRef{{Cluster: "c1", Service: "web", ServiceVar: "SERVICE_ARN_1"}}})
		time.Sleep(10 * time.Second)
		s := n.latest.service("c1/web")
		if s == nil || s.State != mesh.Missing || !strings.Contains(s.Problem, "SERVICE_ARN_1 (and AWS_REGION)") {
			t.Errorf("%+v", s)
		}
		if lines := n.log.lines("AWS_REGION"); len(lines) != 1 {
			t.Errorf("%q", lines)
		}
	})
}
