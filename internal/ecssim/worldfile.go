package ecssim

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// maxWorldFile bounds a world file, in bytes.
const maxWorldFile = 4 << 20

// maxTasks bounds the tasks that a world file asks for, all together and for one service.
const maxTasks = 20_000

// maxPorts bounds the ports of a container and of a range. Source: Amazon ECS API reference, PortMapping.
const maxPorts = 100

// File is a world and its timeline, as YAML has it. Durations are written as "1.5s".
type File struct {
	Region     string        `yaml:"region"`
	Account    string        `yaml:"account"`
	Seed       uint64        `yaml:"seed"`
	Polite     bool          `yaml:"polite"`
	Timing     FileTiming    `yaml:"timing"`
	Clusters   []FileCluster `yaml:"clusters"`
	Timeline   []FileStep    `yaml:"timeline"`
	Latency    time.Duration `yaml:"latency"`
	Unlimited  bool          `yaml:"unlimited"`
	AccessKeys []string      `yaml:"access_keys"`
	Denied     []string      `yaml:"denied"`
}

// FileTiming is Timing; what is left out has its default.
type FileTiming struct {
	Provision  time.Duration `yaml:"provision"`
	Pull       time.Duration `yaml:"pull"`
	Register   time.Duration `yaml:"register"`
	Deregister time.Duration `yaml:"deregister"`
	SIGTERM    time.Duration `yaml:"sigterm"`
	Exit       time.Duration `yaml:"exit"`
	Report     time.Duration `yaml:"report"`
}

// FileCluster is an ECS cluster.
type FileCluster struct {
	Name      string         `yaml:"name"`
	Subnet    string         `yaml:"subnet"`
	Instances []FileInstance `yaml:"instances"`
	Services  []FileService  `yaml:"services"`
}

// FileInstance is a container instance.
type FileInstance struct {
	ID         string            `yaml:"id"`
	Address    string            `yaml:"address"`
	IPv6       string            `yaml:"ipv6"`
	Docker     string            `yaml:"docker"`
	Zone       string            `yaml:"zone"`
	Attributes map[string]string `yaml:"attributes"`
}

// FileService is a service.
type FileService struct {
	Name             string          `yaml:"name"`
	Desired          int             `yaml:"desired"`
	Network          string          `yaml:"network"`
	Launch           string          `yaml:"launch"`
	Containers       []FileContainer `yaml:"containers"`
	LoadBalancers    []FileTarget    `yaml:"load_balancers"`
	Registries       []FileTarget    `yaml:"registries"`
	Controller       string          `yaml:"controller"`
	NoPrimary        bool            `yaml:"no_primary"`
	CapacityProvider string          `yaml:"capacity_provider"`
	Overlap          time.Duration   `yaml:"overlap"`
	HostBindings     bool            `yaml:"host_bindings"`
	IPv6             bool            `yaml:"ipv6"`
	IPv6Only         bool            `yaml:"ipv6_only"`
}

// FileContainer is a container of a service. A port is published in bridge mode, on an ephemeral host port.
type FileContainer struct {
	Name        string     `yaml:"name"`
	Ports       []uint16   `yaml:"ports"`
	UDP         []uint16   `yaml:"udp"`
	Fixed       []FilePort `yaml:"fixed"`
	Ranges      []FilePort `yaml:"ranges"`
	HealthCheck bool       `yaml:"healthcheck"`
	Unpublished []uint16   `yaml:"unpublished"`
	Held        bool       `yaml:"held"`
}

// FilePort is a port with a fixed host port, or a range of ports.
type FilePort struct {
	Container uint16 `yaml:"container"`
	Host      uint16 `yaml:"host"`
	End       uint16 `yaml:"end"`
}

// FileTarget is a container port that a target group or a registry names.
type FileTarget struct {
	Container string `yaml:"container"`
	Port      uint16 `yaml:"port"`
}

// FileStep is something that happens at a time from the start. Service is ECS-CLUSTER/NAME.
type FileStep struct {
	At      time.Duration `yaml:"at"`
	Do      string        `yaml:"do"`
	Service string        `yaml:"service"`
	To      *int          `yaml:"to"`
	Health  string        `yaml:"health"`
	Status  string        `yaml:"status"`
	Name    string        `yaml:"container"`
	Fault   FaultKind     `yaml:"fault"`
	Action  string        `yaml:"action"`
	For     time.Duration `yaml:"for"`
	Calls   int           `yaml:"calls"`
}

// LoadFile reads a world file.
func LoadFile(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the world file: %w", pathless(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxWorldFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the world file: %w", pathless(err))
	}
	return Load(text)
}

// pathless leaves out the path, which whoever asked for the file names.
func pathless(err error) error {
	if of, isPath := errors.AsType[*fs.PathError](err); isPath {
		return of.Err
	}
	return err
}

// Load reads the text of a world file. Errors name line and column.
func Load(text []byte) (*File, error) {
	if len(text) > maxWorldFile {
		return nil, fmt.Errorf("the world file has more than %d bytes", maxWorldFile)
	}
	var f File
	if err := unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("the world file is not right: %w", err)
	}
	if f.Region == "" {
		f.Region = "eu-west-1"
	}
	if f.Account == "" {
		f.Account = "111122223333"
	}
	if _, err := f.World(time.Time{}); err != nil {
		return nil, fmt.Errorf("the world file is not right: %w", err)
	}
	for _, action := range f.Denied {
		if !isRead(action) {
			return nil, fmt.Errorf("the world file is not right: denied has %q; there are %v, and all else is denied always", action, reads())
		}
	}
	return &f, f.checkTimeline()
}

// unmarshal reads YAML without unknown fields. The decoder panics at some tags, such as that of "timeline: !x y".
func unmarshal(text []byte, into any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it is YAML that can't be read: %v", r)
		}
	}()
	return yaml.UnmarshalWithOptions(text, into, yaml.Strict())
}

// World makes the file's world at a time.
func (f *File) World(start time.Time) (*World, error) {
	w := NewWorld(f.Region, f.Account, start, f.Timing.over(DefaultTiming()), f.Seed)
	tasks := 0
	for _, c := range f.Clusters {
		if err := c.add(w); err != nil {
			return nil, fmt.Errorf("ECS cluster %s: %w", c.Name, err)
		}
		for _, s := range c.Services {
			if tasks += s.Desired; s.Desired < 0 || s.Desired > maxTasks || tasks > maxTasks {
				return nil, fmt.Errorf("service %s/%s: desired is %d; a world has at most %d tasks", c.Name, s.Name, s.Desired, maxTasks)
			}
			if err := s.add(w, c.Name); err != nil {
				return nil, fmt.Errorf("service %s/%s: %w", c.Name, s.Name, err)
			}
		}
	}
	return w, nil
}

func (t FileTiming) over(d Timing) Timing {
	for _, pair := range []struct {
		from time.Duration
		to   *time.Duration
	}{
		{t.Provision, &d.Provision},
		{t.Pull, &d.Pull},
		{t.Register, &d.Register},
		{t.Deregister, &d.Deregister},
		{t.SIGTERM, &d.SIGTERM},
		{t.Exit, &d.Exit},
		{t.Report, &d.Report},
	} {
		if pair.from > 0 {
			*pair.to = pair.from
		}
	}
	return d
}

func (c FileCluster) add(w *World) error {
	if c.Name == "" {
		return errors.New("name is missing")
	}
	if w.clusters[c.Name] != nil {
		return errors.New("there are two of this name")
	}
	subnet, err := parseSubnet("subnet", c.Subnet, netip.MustParsePrefix("127.100.0.0/16"))
	if err != nil {
		return err
	}
	w.AddCluster(c.Name, subnet)
	for _, i := range c.Instances {
		if err := i.add(w, c.Name); err != nil {
			return fmt.Errorf("instance %s: %w", i.ID, err)
		}
	}
	return nil
}

func (i FileInstance) add(w *World, clusterName string) error {
	ipv4, err4 := parseOptional(i.Address)
	ipv6, err6 := parseOptional(i.IPv6)
	docker, err := parseSubnet("docker", i.Docker, netip.Prefix{})
	if err := errors.Join(err4, err6, err); err != nil {
		return err
	}
	if i.Docker != "" && !docker.Addr().Is4() {
		return fmt.Errorf("docker %q is no IPv4 subnet", i.Docker)
	}
	if other := w.overlapping(docker); other != "" {
		return fmt.Errorf("docker %s is also the instance %s's: on this machine they need subnets of their own", docker, other)
	}
	if !strings.HasPrefix(i.ID, "i-") && !strings.HasPrefix(i.ID, "mi-") {
		return fmt.Errorf("the ID is %q; want one that begins with i- or mi-", i.ID)
	}
	if w.hasInstance(i.ID) {
		return errors.New("there are two of this ID")
	}
	return w.AddInstance(clusterName, Instance{ID: i.ID, Zone: i.Zone, IPv4: ipv4, IPv6: ipv6, Docker: docker, Attributes: i.Attributes})
}

func (w *World) hasInstance(id string) bool {
	for _, c := range w.clusters {
		if slices.ContainsFunc(c.instances, func(i *instance) bool { return i.id == id }) {
			return true
		}
	}
	return false
}

// overlapping is the ID of an instance whose docker subnet has addresses in common with this one, "" for none.
func (w *World) overlapping(docker netip.Prefix) string {
	for _, c := range w.clusters {
		for _, i := range c.instances {
			if i.dockerReal && docker.IsValid() && i.docker.Overlaps(docker) {
				return i.id
			}
		}
	}
	return ""
}

// parseSubnet reads the subnet of a field.
func parseSubnet(field, text string, otherwise netip.Prefix) (netip.Prefix, error) {
	if text == "" {
		return otherwise, nil
	}
	subnet, err := netip.ParsePrefix(text)
	if err != nil || subnet.Addr().BitLen()-subnet.Bits() < 2 {
		return otherwise, fmt.Errorf("%s %q is none, such as 127.0.2.0/24", field, text)
	}
	return subnet.Masked(), nil
}

func parseOptional(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	return netip.ParseAddr(text)
}

func (s FileService) add(w *World, clusterName string) error {
	def := Definition{
		Family: s.Name, Revision: 1, NetworkMode: s.Network, LaunchType: s.Launch,
		HostBindings: s.HostBindings, IPv6: s.IPv6, IPv6Only: s.IPv6Only,
	}
	if def.LaunchType == "" {
		def.LaunchType = "EC2"
	}
	if err := checkMode(def); err != nil || s.Name == "" {
		return errors.Join(err, errIf(s.Name == "", "name is missing"))
	}
	if c := w.clusters[clusterName]; c.services[s.Name] != nil {
		return errors.New("there are two of this name")
	}
	for _, c := range s.Containers {
		spec := c.spec()
		if err := spec.check(); err != nil {
			return fmt.Errorf("container %s: %w", c.Name, err)
		}
		if slices.ContainsFunc(def.Containers, func(other ContainerSpec) bool { return other.Name == c.Name }) {
			return fmt.Errorf("container %s: there are two of this name", c.Name)
		}
		def.Containers = append(def.Containers, spec)
	}
	return w.AddService(ServiceSpec{
		Cluster: clusterName, Name: s.Name, Desired: s.Desired, Definition: def, LoadBalancers: targets(s.LoadBalancers),
		Registries: targets(s.Registries), Controller: s.Controller, NoPrimary: s.NoPrimary, Overlap: s.Overlap,
		CapacityProvider: s.CapacityProvider,
	})
}

func errIf(wrong bool, text string) error {
	if wrong {
		return errors.New(text)
	}
	return nil
}

func checkMode(d Definition) error {
	switch d.NetworkMode {
	case "awsvpc", "none":
	case "bridge", "host":
		if d.LaunchType == "FARGATE" {
			return fmt.Errorf("Fargate has no network mode %s", d.NetworkMode)
		}
	default:
		return fmt.Errorf("network is %q; want bridge, host, awsvpc or none", d.NetworkMode)
	}
	switch d.LaunchType {
	case "EC2", "FARGATE", "MANAGED_INSTANCES", "EXTERNAL":
		return nil
	default:
		return fmt.Errorf("launch is %q; want EC2, FARGATE, MANAGED_INSTANCES or EXTERNAL", d.LaunchType)
	}
}

func (c FileContainer) spec() ContainerSpec {
	spec := ContainerSpec{Name: c.Name, HealthCheck: c.HealthCheck, Held: c.Held}
	for _, p := range c.Ports {
		spec.Ports = append(spec.Ports, PortSpec{Container: p})
	}
	for _, p := range c.Unpublished {
		spec.Ports = append(spec.Ports, PortSpec{Container: p, Unpublished: true})
	}
	for _, p := range c.UDP {
		spec.Ports = append(spec.Ports, PortSpec{Container: p, Protocol: "udp"})
	}
	for _, p := range append(append([]FilePort(nil), c.Fixed...), c.Ranges...) {
		spec.Ports = append(spec.Ports, PortSpec{Container: p.Container, Host: p.Host, End: p.End})
	}
	return spec
}

// check finds a container that ECS would refuse.
func (c ContainerSpec) check() error {
	if c.Name == "" {
		return errors.New("name is missing")
	}
	for _, p := range c.Ports {
		if p.Container == 0 {
			return errors.New("a port is 0; want 1 to 65535")
		}
		if len(c.Ports) > maxPorts || p.End > 0 && (p.End < p.Container || p.End-p.Container > maxPorts) {
			return fmt.Errorf("a container has at most %d ports, a range as many", maxPorts)
		}
	}
	return nil
}

func targets(all []FileTarget) []Target {
	var out []Target
	for _, t := range all {
		out = append(out, Target(t))
	}
	return out
}
