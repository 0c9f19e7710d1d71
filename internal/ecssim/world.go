// Package ecssim is a small Amazon ECS and EC2 to run against: a world of ECS clusters, container instances, services and
// tasks that live as they do in AWS (world.go and its neighbours: no clock, no socket), and the read APIs on the wire
// (http.go). It imports nothing of nightjar, so that reader and simulator can't share a misunderstanding.
//
// Sources: Amazon ECS developer guide (task lifecycle, services, networking), Amazon ECS and EC2 API references.
package ecssim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// World is the simulated world. Time passes in it only by Advance. It is safe for concurrent use.
type World struct {
	mu       sync.Mutex
	now      time.Time
	rng      *rand.Rand
	events   events
	sequence int
	told     int // events of services

	region, account string
	timing          Timing
	clusters        map[string]*cluster
	tasks           map[string]*task // by ARN
	order           []*task          // by creation
	onUnplaced      func(service string, ports []uint16)
}

// Timing says how long the steps of a task's life take.
type Timing struct {
	// Provision is the time in PROVISIONING, Pull that in PENDING.
	Provision, Pull time.Duration
	// Register is the time in ACTIVATING of a task with a load balancer or a registry.
	Register time.Duration
	// Deregister is the load balancer's deregistration delay, before SIGTERM.
	Deregister time.Duration
	// SIGTERM is the time from desired status STOPPED to SIGTERM without a load balancer.
	SIGTERM time.Duration
	// Exit is how long an app takes to end after SIGTERM.
	Exit time.Duration
	// Report is how long it takes until ECS knows that a container died.
	Report time.Duration
}

// DefaultTiming is a brisk but possible ECS.
func DefaultTiming() Timing {
	return Timing{
		Provision: 500 * time.Millisecond, Pull: time.Second, Register: 100 * time.Millisecond, Deregister: 5 * time.Second,
		SIGTERM: time.Second, Exit: 200 * time.Millisecond, Report: 500 * time.Millisecond,
	}
}

// cluster is an ECS cluster.
type cluster struct {
	name      string
	services  map[string]*service
	instances []*instance
	subnet    netip.Prefix // of awsvpc tasks
	nextIP    netip.Addr
	taken     map[netip.Addr]bool // addresses of the subnet
}

// instance is a container instance.
type instance struct {
	arn, id    string
	zone       string
	ipv4, ipv6 netip.Addr
	attributes map[string]string
	ports      map[uint16]bool // taken host ports
	portsFrom  uint16          // below it all ephemeral ones are taken
	docker     netip.Prefix    // of bridge containers
	dockerIPs  map[netip.Addr]bool
	dockerFrom netip.Addr // below it all are taken
	// dockerReal tells that this machine has the docker addresses, so that apps can listen there.
	dockerReal bool
	fixed      map[uint16]bool // ports that tasks there ask for by number
	tasks      int             // that are not STOPPED
	lost       bool
	draining   bool
}

// takes tells whether tasks are placed there.
func (i *instance) takes() bool { return !i.lost && !i.draining }

// NewWorld makes an empty world at a time. Chance comes from the seed alone.
func NewWorld(region, account string, start time.Time, timing Timing, seed uint64) *World {
	return &World{
		now: start, rng: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)), //nolint:gosec // repeatable on purpose
		region: region, account: account, timing: timing, clusters: map[string]*cluster{}, tasks: map[string]*task{},
	}
}

// AddCluster adds an ECS cluster. Tasks in awsvpc mode get addresses of the subnet, in order.
func (w *World) AddCluster(name string, subnet netip.Prefix) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clusters[name] = &cluster{
		name: name, services: map[string]*service{}, subnet: subnet, nextIP: subnet.Addr().Next(), taken: map[netip.Addr]bool{},
	}
}

// Instance describes a container instance to add.
type Instance struct {
	// ID is "i-…" on EC2, "mi-…" outside of AWS.
	ID, Zone string
	// IPv4 and IPv6 are its private addresses; the zero Addr for none.
	IPv4, IPv6 netip.Addr
	// Docker is the subnet of its containers in bridge mode, which listen there too. The zero Prefix is docker's usual one, in
	// which nothing listens.
	Docker     netip.Prefix
	Attributes map[string]string
}

// AddInstance registers a container instance with an ECS cluster.
func (w *World) AddInstance(clusterName string, i Instance) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.clusters[clusterName]
	if c == nil {
		return fmt.Errorf("there is no ECS cluster %s", clusterName)
	}
	added := &instance{
		arn: w.arn("container-instance", clusterName, w.id()), id: i.ID, zone: i.Zone, ipv4: i.IPv4, ipv6: i.IPv6,
		attributes: i.Attributes, ports: map[uint16]bool{}, fixed: map[uint16]bool{},
		docker: i.Docker, dockerIPs: map[netip.Addr]bool{}, dockerReal: i.Docker.IsValid(),
	}
	if !added.dockerReal {
		added.docker = netip.MustParsePrefix("172.17.0.0/16")
	}
	added.dockerFrom = added.docker.Addr().Next().Next() // the first but one is the bridge's own
	c.instances = append(c.instances, added)
	w.placeAgain(c)
	return nil
}

// Advance lets time pass until now: everything that is due happens, in order.
func (w *World) Advance(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(now)
}

func (w *World) advance(now time.Time) {
	for len(w.events) > 0 && !w.events[0].at.After(now) {
		e, _ := heap.Pop(&w.events).(event)
		if e.at.After(w.now) {
			w.now = e.at
		}
		e.do()
	}
	if now.After(w.now) {
		w.now = now
	}
}

// Next is when something happens next by itself; false if nothing ever will.
func (w *World) Next() (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.events) == 0 {
		return time.Time{}, false
	}
	return w.events[0].at, true
}

// after schedules something.
func (w *World) after(d time.Duration, do func()) {
	w.sequence++
	heap.Push(&w.events, event{at: w.now.Add(d), sequence: w.sequence, do: do})
}

// id is a new ID of 32 hexadecimal digits, as tasks and container instances have.
func (w *World) id() string { return fmt.Sprintf("%016x%016x", w.rng.Uint64(), w.rng.Uint64()) }

// partition is the partition of the world's Region.
func (w *World) partition() string {
	switch {
	case len(w.region) > 3 && w.region[:3] == "cn-":
		return "aws-cn"
	case len(w.region) > 7 && w.region[:7] == "us-gov-":
		return "aws-us-gov"
	default:
		return "aws"
	}
}

// arn is an ARN of ecs in the new form: KIND/ECS-CLUSTER/NAME.
func (w *World) arn(kind, clusterName, name string) string {
	return fmt.Sprintf("arn:%s:ecs:%s:%s:%s/%s/%s", w.partition(), w.region, w.account, kind, clusterName, name)
}

func (w *World) clusterARN(name string) string {
	return fmt.Sprintf("arn:%s:ecs:%s:%s:cluster/%s", w.partition(), w.region, w.account, name)
}

// firstHostPort is the first ephemeral port. Source: Linux, ip_local_port_range.
const firstHostPort = 32768

// hostPort takes the lowest free ephemeral port, so that ports of stopped tasks are soon used again.
func (i *instance) hostPort() uint16 {
	for p := max(i.portsFrom, firstHostPort); p < 61000; p++ {
		if !i.ports[p] {
			i.ports[p], i.portsFrom = true, p
			return p
		}
	}
	return 0
}

// address takes the next address of the subnet that is free, or one that is shared where it is full.
func (c *cluster) address() netip.Addr {
	first := c.nextIP
	for a := first; ; {
		c.nextIP = a.Next()
		if !c.subnet.Contains(c.nextIP) {
			c.nextIP = c.subnet.Addr().Next()
		}
		if !c.taken[a] || c.nextIP == first {
			c.taken[a] = true
			return a
		}
		a = c.nextIP
	}
}

// event is something that will happen.
type event struct {
	at       time.Time
	sequence int
	do       func()
}

// events is a heap by time.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].sequence < e[j].sequence
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface.
func (e *events) Push(x any) {
	if v, ok := x.(event); ok {
		*e = append(*e, v)
	}
}

// Pop implements heap.Interface.
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = slices.Delete(*e, len(*e)-1, len(*e))
	return last
}
