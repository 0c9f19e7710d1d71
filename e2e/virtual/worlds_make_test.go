package virtual

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// randomWorld is a world, what nightjar is told of it, and what happens in it; all of it comes from a seed.
type randomWorld struct {
	seed uint64
	file *ecssim.File
	// routed are the services that nightjar reads, each with the container port that is meant.
	routed []routed
	rate   float64
	wait   time.Duration
	// begin is when nightjar starts, and end when the last happening is over.
	begin, end time.Duration
	happenings []happening
}

// routed is a service that nightjar reads.
type routed struct {
	ref       mesh.ServiceRef
	container string
	port      uint16
}

// happening is something that happens at a time; for is how long it lasts, where it lasts.
type happening struct {
	at   time.Duration
	what string
	// step is taken in the world; nil where nightjar, the account or a service's existence is meant.
	step *ecssim.FileStep
	// service is ECS-CLUSTER/NAME, and to how many tasks it is made anew with.
	service string
	to      int
	lasts   time.Duration
}

func (h happening) String() string {
	return fmt.Sprintf("%8s %s", h.at.Round(time.Millisecond), h.what)
}

// generator makes a world by chance.
type generator struct {
	*rand.Rand
	w *randomWorld
	// services are ECS-CLUSTER/NAME, with their containers.
	services   []string
	containers map[string][]string
	// instances are ECS-CLUSTER/ID of those that may be lost.
	spare []string
}

// one chooses one of several.
func one[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

// chance is true in so many of a hundred cases.
func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// between is a time from least to most.
func (g *generator) between(least, most time.Duration) time.Duration {
	return least + time.Duration(g.Int64N(int64(most-least)))
}

func newRandomWorld(seed uint64) *randomWorld {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 42)), w: &randomWorld{seed: seed}, containers: map[string][]string{}}
	w := g.w
	w.file = &ecssim.File{
		Seed: seed, Polite: g.chance(40), Latency: g.between(5*time.Millisecond, 300*time.Millisecond),
		Timing: ecssim.FileTiming{Provision: g.between(50*time.Millisecond, time.Second), Pull: g.between(100*time.Millisecond, 3*time.Second)},
	}
	w.rate = one(g, 1.0, 1, 1, 2, 5, 0.5)
	w.wait = one(g, 100*time.Millisecond, 100*time.Millisecond, 300*time.Millisecond, time.Second)
	w.begin = g.between(0, 20*time.Second)
	w.end = w.begin + g.between(time.Minute, 3*time.Minute)
	g.clusters()
	for range 5 + g.IntN(20) {
		g.happen(g.between(0, w.end))
	}
	slices.SortStableFunc(w.happenings, func(a, b happening) int { return int(a.at - b.at) })
	return w
}

func (g *generator) clusters() {
	clusters := make([]ecssim.FileCluster, 1+g.IntN(3))
	for n := range clusters {
		c := &clusters[n]
		c.Name, c.Subnet = fmt.Sprintf("c%d", n), fmt.Sprintf("10.0.%d.0/27", n) // small, so that addresses are soon used again
		for k := range 1 + g.IntN(3) {
			i := ecssim.FileInstance{ID: fmt.Sprintf("i-0%d%d", n, k), Address: fmt.Sprintf("10.1.%d.%d", n, k+1), Zone: "eu-west-1a"}
			c.Instances = append(c.Instances, i)
			if k > 0 {
				g.spare = append(g.spare, c.Name+"/"+i.ID)
			}
		}
	}
	for n := range 1 + g.IntN(6) {
		c := &clusters[g.IntN(len(clusters))]
		s, meant := g.service(n)
		c.Services = append(c.Services, s)
		name := c.Name + "/" + s.Name
		g.services = append(g.services, name)
		for _, container := range s.Containers {
			g.containers[name] = append(g.containers[name], container.Name)
		}
		if n == 0 || !g.chance(15) { // others take ports too
			meant.ref.Cluster = c.Name
			g.w.routed = append(g.w.routed, meant)
		}
	}
	g.w.file.Clusters = clusters
}

// service makes a service, and says what of it is meant.
func (g *generator) service(n int) (ecssim.FileService, routed) {
	s := ecssim.FileService{
		Name: fmt.Sprintf("s%d", n), Desired: g.IntN(4), Network: one(g, "bridge", "bridge", "bridge", "awsvpc", "awsvpc", "host"),
		Overlap: one(g, 0, 0, 2*time.Second, 10*time.Second),
	}
	port := uint16(8080)
	switch {
	case s.Network == "host": // one that is its own, as ECS would see to
		port += uint16(100 * n)
		s.HostBindings = g.chance(50)
	case s.Network == "awsvpc" && g.chance(50):
		s.Launch = "FARGATE"
	}
	s.Containers = []ecssim.FileContainer{{Name: "web", Ports: []uint16{port}, HealthCheck: g.chance(50)}}
	if g.chance(40) {
		s.Containers = append(s.Containers, ecssim.FileContainer{Name: "side", Ports: []uint16{port + 1}, HealthCheck: g.chance(50)})
	}
	if g.chance(20) {
		s.Containers = append(s.Containers, ecssim.FileContainer{Name: "batch"})
	}
	if g.chance(30) {
		s.LoadBalancers = []ecssim.FileTarget{{Container: "web", Port: port}}
	}
	if g.chance(20) && s.Network != "host" { // there two task sets would want the same port of a machine: ECS places no such task
		s.Controller = one(g, "CODE_DEPLOY", "EXTERNAL")
	}
	if g.chance(20) && s.Launch != "FARGATE" {
		s.CapacityProvider = "machines"
	}
	ref := mesh.ServiceRef{Service: s.Name}
	known := s.Network == "bridge" && len(s.Containers) == 1 || len(s.LoadBalancers) > 0
	if !known || g.chance(50) {
		ref.Container, ref.Port = "web", port
	}
	return s, routed{ref: ref, container: "web", port: port}
}

// happen lets something happen at a time.
func (g *generator) happen(at time.Duration) {
	service := one(g, g.services...)
	step := func(s ecssim.FileStep) {
		if s.Service == "" {
			s.Service = service
		}
		g.add(happening{at: at, what: s.String(), step: &s})
	}
	switch chance := g.IntN(100); {
	case chance < 14:
		step(ecssim.FileStep{Do: "deploy"})
		g.add(switched(at+2*time.Second, service))
	case chance < 28:
		step(ecssim.FileStep{Do: "scale", To: new(one(g, 0, 0, 1, 1, 2, 3, 5))})
	case chance < 36:
		step(ecssim.FileStep{Do: "kill"})
	case chance < 44:
		step(ecssim.FileStep{Do: "stop"})
	case chance < 52:
		step(ecssim.FileStep{Do: "restart"})
	case chance < 60:
		g.containerStops(at, service)
	case chance < 68:
		step(ecssim.FileStep{Do: "health", Name: one(g, g.containers[service]...), Health: one(g, "UNHEALTHY", "UNHEALTHY", "HEALTHY")})
	case chance < 71:
		if len(g.spare) > 0 {
			step(ecssim.FileStep{Do: "lose-instance", Service: one(g, g.spare...)})
		}
	case chance < 76:
		step(ecssim.FileStep{Do: "delete"})
		after := g.between(100*time.Millisecond, 30*time.Second)
		g.add(happening{at: at + after, what: "make anew " + service, service: service, to: 1 + g.IntN(3)})
	case chance < 78:
		step(ecssim.FileStep{Do: "run-task"})
	case chance < 92:
		f := g.fault()
		g.add(happening{at: at, what: fmt.Sprintf("%s for %s or %d calls", f, f.For, f.Calls), step: &f, lasts: f.For})
	case chance < 95:
		lasts := g.between(time.Second, 40*time.Second)
		g.add(happening{at: at, what: fmt.Sprintf("others drain the account for %s", lasts), lasts: lasts})
	default:
		g.add(happening{at: at, what: "nightjar is started again"})
	}
}

func (g *generator) add(h happening) { g.w.happenings = append(g.w.happenings, h) }

// switched makes the newest task set the primary one, where the service has any.
func switched(at time.Duration, service string) happening {
	s := ecssim.FileStep{Do: "primary", Service: service}
	return happening{at: at, what: s.String(), step: &s}
}

// containerStops stops a container, which mostly is started again.
func (g *generator) containerStops(at time.Duration, service string) {
	name := one(g, g.containers[service]...)
	s := ecssim.FileStep{Do: "container", Service: service, Name: name, Status: "STOPPED"}
	g.add(happening{at: at, what: s.String(), step: &s})
	if g.chance(70) {
		again := s
		again.Status = "RUNNING"
		g.add(happening{at: at + g.between(0, 20*time.Second), what: again.String(), step: &again})
	}
}

func (g *generator) fault() ecssim.FileStep {
	f := ecssim.FileStep{Do: "fault", For: g.between(time.Second, 60*time.Second)}
	f.Fault = one(g, ecssim.Throttle, ecssim.ServerError, ecssim.Unavailable, ecssim.AccessDenied, ecssim.ExpiredToken, ecssim.Truncated,
		ecssim.WrongType, ecssim.Reset, ecssim.Hang, ecssim.Huge, ecssim.Empty, ecssim.Empty, ecssim.MissingDescribe, ecssim.MissingDescribe,
		ecssim.LateList, ecssim.LateList)
	f.Action = one(g, "", "", "ListTasks", "ListTasks", "DescribeTasks", "DescribeTasks", "DescribeServices", "DescribeServices",
		"DescribeContainerInstances", "DescribeInstances")
	switch {
	case f.Fault == ecssim.Huge: // costs much of this machine
		f.Calls = 1
	case g.chance(30):
		f.Calls = 1 + g.IntN(4)
	}
	return f
}
