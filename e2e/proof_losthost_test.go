package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groboclown/nightjar-mesh/internal/demo"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/envoy/envoytest"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// lostHost is what became of a load when a host was lost: it answers no SYN, and open connections hang.
type lostHost struct {
	Sent, FailedGet, FailedPost int
	// SlowestGet is the longest a GET took that asked for no slow answer.
	SlowestGet time.Duration
}

const (
	// inNamespace marks the process that has a network of its own.
	inNamespace = "E2E_IN_NAMESPACE"
	// lostResult begins the line with what came of it.
	lostResult = "lost host: "
	// lostAt is where the host is that will be lost, and lostMAC its Ethernet address.
	lostAt  = "10.99.0.2"
	lostMAC = "02:00:00:00:00:02"
)

// loseHost runs TestInANetworkOfItsOwn in a network namespace, where a host can be lost without any harm.
func (p *proof) loseHost(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil {
		t.Fatal("this needs the command ip, to make a network of its own (Debian: apt-get install iproute2)")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestInANetworkOfItsOwn$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), inNamespace+"=1", "NIGHTJAR_ENVOY_PATH="+envoytest.Path(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in a network namespace (which needs root, or that the system allows user namespaces): %v\n%s", err, out)
	}
	_, line, found := strings.Cut(string(out), lostResult)
	if !found {
		t.Fatalf("it says nothing:\n%s", out)
	}
	must(t, json.NewDecoder(strings.NewReader(line)).Decode(&p.lost))
	t.Logf("%d requests; %d GET and %d POST failed; the slowest GET took %s", p.lost.Sent, p.lost.FailedGet, p.lost.FailedPost, p.lost.SlowestGet)
	if p.lost.FailedGet > 0 || p.lost.SlowestGet > 3500*time.Millisecond {
		t.Errorf("want no failed GET, and each within 3.5 s: %+v\n%s", p.lost, out)
	}
	if p.lost.SlowestGet < 2*time.Second {
		t.Error("no GET waited for a connection that hung: the host wasn't lost")
	}
}

// TestInANetworkOfItsOwn is run by the proof, in a process with a network of its own: of three hosts one is lost under load.
func TestInANetworkOfItsOwn(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		return // TestDeploymentsWithoutAFailedRequest runs it
	}
	ip(t, "link", "set", "lo", "up")
	lose, backends := hosts(t)
	service := &mesh.Service{Name: "c1/web", State: mesh.Active, Endpoints: backends}
	proxy := mesh.Proxy{
		Listeners: []mesh.Listener{{Name: "egress", Addr: netip.MustParseAddrPort("127.0.0.1:8000")}},
		Routes:    []mesh.Route{{Listener: "egress", Path: "/web", Service: "c1/web", Policy: usualPolicy()}},
	}
	m, err := mesh.New([]*mesh.Service{service}, []mesh.Proxy{proxy})
	must(t, err)
	p := &plane{t: t, at: "127.0.0.1:8001"}
	p.start(m)
	defer p.stop()
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapOptions{NodeID: "lost", NodeService: "test", XDSNetwork: "tcp", XDSAddress: p.at, AdminHost: "127.0.0.1"})
	must(t, err)
	envoytest.Start(t, envoytest.Options{Bootstrap: bootstrap}).WaitReady()

	load := newOpenLoad("http://127.0.0.1:8000", "c1/web", 10*proofRate, func(string) bool { return true })
	var besides sync.WaitGroup
	working := 0 // GETs that failed though the apps were only working on them
	besides.Go(func() {
		time.Sleep(1200 * time.Millisecond)
		_ = slowGets(load.base, 60, "500ms") // Envoy then holds some 20 idle connections to each host; the load itself needs two
		time.Sleep(500 * time.Millisecond)
		working = slowGets(load.base, 12, "1s") // of which the lost host has four
	})
	timer := time.AfterFunc(2500*time.Millisecond, lose)
	defer timer.Stop()
	load.run()
	besides.Wait()
	got := lostHost{Sent: len(load.shots), FailedGet: working}
	lost := false
	for _, s := range load.shots {
		lost = lost || s.task == "lost"
		if s.method == http.MethodGet && s.err == nil && !strings.Contains(s.path, "sleep") {
			got.SlowestGet = max(got.SlowestGet, s.end.Sub(s.at))
		}
		switch {
		case s.err == nil:
		case s.method == http.MethodGet:
			got.FailedGet++
			t.Logf("GET after %s: %v", s.end.Sub(s.at), s.err)
		default:
			got.FailedPost++
		}
	}
	if !lost {
		t.Error("the host that was lost has never answered before")
	}
	text, err := json.Marshal(got)
	must(t, err)
	fmt.Println(lostResult + string(text))
}

// slowGets sends so many GETs at once that ask for a slow answer, and returns how many failed.
func slowGets(base string, count int, sleep string) int {
	client := &http.Client{Timeout: proofLimit}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	var failed atomic.Int32
	for range count {
		all.Go(func() {
			if demo.Get(client, base, "/web?sleep="+sleep).Err != nil {
				failed.Add(1)
			}
		})
	}
	all.Wait()
	return int(failed.Load())
}

// hosts are three hosts: two that stay, and one in a network namespace of its own, which lose cuts off.
func hosts(t *testing.T) (lose func(), endpoints []mesh.Endpoint) {
	t.Helper()
	for n := range 2 {
		at := netip.MustParseAddrPort(fmt.Sprintf("127.0.1.%d:8080", n+1))
		b, err := demo.StartBackend(demo.Identity{Service: "c1/web", Task: fmt.Sprint(n)}, at)
		must(t, err)
		t.Cleanup(b.Kill)
		endpoints = append(endpoints, mesh.Endpoint{Addr: at, Task: fmt.Sprint(n)})
	}
	there, next, lost := make(chan int), make(chan struct{}), make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, as nobody else can use its network
		defer close(lost)
		must(t, unix.Unshare(unix.CLONE_NEWNET))
		there <- unix.Gettid()
		<-next
		ip(t, "addr", "add", lostAt+"/24", "dev", "there")
		ip(t, "link", "set", "there", "up")
		b, err := demo.StartBackend(demo.Identity{Service: "c1/web", Task: "lost"}, netip.MustParseAddrPort(lostAt+":8080"))
		must(t, err)
		there <- 0
		<-next
		ip(t, "addr", "flush", "dev", "there") // what arrives is dropped, and nothing is sent
		t.Cleanup(b.Kill)
	}()
	ip(t, "link", "add", "here", "type", "veth", "peer", "name", "there", "address", lostMAC)
	ip(t, "link", "set", "there", "netns", strconv.Itoa(<-there))
	ip(t, "addr", "add", "10.99.0.1/24", "dev", "here")
	ip(t, "link", "set", "here", "up")
	// As in a VPC, nothing tells of the loss: neither the link nor ARP.
	ip(t, "neigh", "replace", lostAt, "lladdr", lostMAC, "dev", "here", "nud", "permanent")
	next <- struct{}{}
	<-there
	return func() { next <- struct{}{}; <-lost }, append(endpoints, mesh.Endpoint{Addr: netip.MustParseAddrPort(lostAt + ":8080"), Task: "lost"})
}

// ip runs ip(8).
func ip(t testing.TB, args ...string) {
	t.Helper()
	cmd := exec.Command("ip", args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		t.Errorf("ip %s: %v: %s", strings.Join(args, " "), err, said.String())
	}
}
