package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// maxValue bounds a value, in bytes.
const maxValue = 4096

// loader reads an environment and gathers what is wrong with it.
type loader struct {
	Input
	config   *Config
	mistakes Mistakes
	table    map[string]Setting
}

// Load reads the settings. Its error is of type Mistakes: all of them at once.
func Load(in Input) (*Config, error) {
	l := &loader{Input: in, config: &Config{}, table: map[string]Setting{}}
	for _, s := range Settings() {
		l.table[s.Name] = s
	}
	l.task()
	l.listeners()
	if in.Purpose == ToServe {
		l.checkNames()
		l.limits()
		l.entries()
		l.region()
		l.conflicts()
	}
	if len(l.mistakes) > 0 {
		return nil, l.mistakes
	}
	return l.config, nil
}

func (l *loader) mistake(variable, problem string) {
	m := Mistake{Variable: clip(variable), Value: clip(l.Env[variable]), Problem: problem}
	if !slices.Contains(l.mistakes, m) {
		l.mistakes = append(l.mistakes, m)
	}
}

func (l *loader) warn(format string, args ...any) {
	l.config.Warnings = append(l.config.Warnings, fmt.Sprintf(format, args...))
}

// value is what a variable has, or its default.
func (l *loader) value(name string) string {
	v := l.Env[name]
	if len(v) > maxValue {
		l.mistake(name, fmt.Sprintf("a value has at most %d bytes, this one has %d", maxValue, len(v)))
		v = ""
	}
	if v != "" {
		return v
	}
	if l.table[name].Default == byMode {
		return l.modeDefault(name)
	}
	return l.table[name].Default
}

func (l *loader) modeDefault(name string) string {
	for _, d := range ModeDefaults() {
		if d.Name == name {
			return d.For(l.config.Mode)
		}
	}
	return ""
}

// task takes the own network mode and the node's names from the metadata endpoint.
func (l *loader) task() {
	c := l.config
	c.Mode, c.NodeID, c.NodeService = "awsvpc", "nightjar-envoy", "nightjar"
	t := l.Task
	if t == nil {
		return
	}
	if mode := t.NetworkMode(); mode != "" {
		c.Mode = mode
	}
	c.NodeID, c.Zone = t.ID(), t.AvailabilityZone
	for _, name := range []string{t.ServiceName, t.Family} {
		if name != "" {
			c.NodeService = name
			return
		}
	}
}

// listeners reads the addresses.
func (l *loader) listeners() {
	c := l.config
	c.Admin = l.address("NIGHTJAR_ADMIN_LISTEN")
	host, _ := netip.ParseAddr(l.modeDefault(adminAddress))
	c.EnvoyAdmin = netip.AddrPortFrom(host, l.port("ENVOY_ADMIN_PORT"))
	if l.Purpose == ToAsk {
		return
	}
	c.XDS = l.address("NIGHTJAR_XDS_LISTEN")
	if l.Purpose == ToDial && unspecified(c.XDS.Host) {
		if c.Mode == "bridge" {
			l.mistake("NIGHTJAR_XDS_LISTEN", "Envoy dials this address, and in bridge mode containers share no loopback: "+
				"want nightjar's container name (nightjar:"+strconv.Itoa(int(c.XDS.Port))+" with links) or unix:/shared/xds.sock")
		}
		c.XDS.Host = "127.0.0.1"
	}
}

func (l *loader) address(name string) Address {
	a, err := parseAddress(l.value(name))
	if err != nil {
		l.mistake(name, err.Error())
	}
	return a
}

// port reads a port; 0 where it isn't set or wrong.
func (l *loader) port(name string) uint16 {
	text := l.value(name)
	if text == "" {
		return 0
	}
	port, err := parsePort(text)
	if err != nil {
		l.mistake(name, err.Error())
	}
	return port
}

// limits reads the pace, the budget, the log and the path of Envoy.
func (l *loader) limits() {
	c := l.config
	c.Wait = time.Duration(l.number("WAITTIME", 1, 3_600_000)) * time.Millisecond
	c.Burst = l.number("NIGHTJAR_AWS_BURST", 1, 10_000)
	rate, err := strconv.ParseFloat(l.value("NIGHTJAR_AWS_RATE"), 64)
	if err != nil || !(rate >= 0.05 && rate <= 10_000) {
		l.mistake("NIGHTJAR_AWS_RATE", "want calls a second, from 0.05 to 10000")
	}
	c.Rate = rate
	c.EnvoyPath = l.value("NIGHTJAR_ENVOY_PATH")
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, known := levels[l.value("NIGHTJAR_LOG_LEVEL")]
	if !known {
		l.mistake("NIGHTJAR_LOG_LEVEL", "want debug, info, warn or error")
	}
	c.LogLevel = level
	format := l.value("NIGHTJAR_LOG_FORMAT")
	if format != "text" && format != "json" {
		l.mistake("NIGHTJAR_LOG_FORMAT", "want text or json")
	}
	c.LogJSON = format == "json"
}

func (l *loader) number(name string, low, high int) int {
	n, err := strconv.Atoi(l.value(name))
	if err != nil || n < low || n > high {
		l.mistake(name, fmt.Sprintf("want a whole number from %d to %d (%s)", low, high, l.table[name].Type))
		return low
	}
	return n
}

// region finds the Region: AWS_REGION, AWS_DEFAULT_REGION, the profile, the own task, the service ARNs if they agree.
func (l *loader) region() {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if v := l.value(name); v != "" && !validRegion(v) {
			l.mistake(name, "want a Region, such as eu-west-1")
			return
		}
	}
	taskRegion := ""
	if l.Task != nil {
		taskRegion = l.Task.Region()
	}
	for _, r := range []string{l.value("AWS_REGION"), l.value("AWS_DEFAULT_REGION"), l.ProfileRegion, taskRegion} {
		if r != "" {
			l.config.Region = r
			l.checkRegions()
			return
		}
	}
	regions := map[string]bool{}
	for _, arn := range l.arns() {
		regions[arn.Region] = true
		l.config.Region = arn.Region
	}
	switch {
	case len(regions) == 0:
		l.mistake("AWS_REGION", "needed: neither AWS_DEFAULT_REGION, a profile, the own task nor a service ARN tells the Region")
	case len(regions) > 1:
		l.mistake("AWS_REGION", "needed: the service ARNs are of several Regions, and nightjar reads one")
	}
}

// checkRegions finds service ARNs of another Region than the one that is read.
func (l *loader) checkRegions() {
	for variable, arn := range l.arns() {
		if arn.Region != l.config.Region {
			l.mistake(variable, fmt.Sprintf("it is in the Region %s, and nightjar reads %s (AWS_REGION)", arn.Region, l.config.Region))
		}
	}
}

// conflicts finds paths given twice, and addresses that can't both be listened on.
func (l *loader) conflicts() {
	for _, c := range mesh.Conflicts(l.config.routes()) {
		if c.Fatal() {
			l.mistake(c.Second.Origin, c.Error())
		} else {
			l.warn("%s", c.Error())
		}
	}
	type place struct {
		variable string
		at       Address
	}
	c := l.config
	places := []place{
		{"NIGHTJAR_XDS_LISTEN", c.XDS},
		{"NIGHTJAR_ADMIN_LISTEN", c.Admin},
		{"ENVOY_ADMIN_PORT", tcp(c.EnvoyAdmin)},
		{"EGRESS_LISTEN_PORT", tcp(c.Egress)},
	}
	for i, b := range places {
		for _, a := range places[:i] {
			if (b.at.Port != 0 || b.at.Path != "") && overlap(a.at, b.at) {
				l.mistake(b.variable, fmt.Sprintf("the address %s is %s's too; choose another port for one of them", b.at, a.variable))
			}
		}
	}
}

func tcp(a netip.AddrPort) Address {
	if !a.IsValid() {
		return Address{}
	}
	return Address{Network: "tcp", Host: a.Addr().String(), Port: a.Port()}
}

// name reads the name of a container.
func (l *loader) name(variable string) string {
	v := l.value(variable)
	if v != "" && !validName(v) {
		l.mistake(variable, "want a container's name: letters, digits, hyphens and underscores, at most 255")
		return ""
	}
	return v
}

// clusterOf finds the ECS cluster of a service: its own variable, else its ARN's, else CLUSTER, else the own task's.
func (l *loader) clusterOf(index string, arn ServiceARN) string {
	variable := "SERVICE_CLUSTER_" + index
	if v := l.value(variable); v != "" {
		name, err := clusterName(v)
		if err != nil {
			l.mistake(variable, err.Error())
		} else if arn.Cluster != "" && arn.Cluster != name {
			l.mistake(variable, fmt.Sprintf("SERVICE_ARN_%s says that the ECS cluster is %s; unset one of the two", index, arn.Cluster))
		}
		return name
	}
	if arn.Cluster != "" {
		return arn.Cluster
	}
	name, err := l.ownCluster()
	if err != nil {
		l.mistake("CLUSTER", err.Error())
		return ""
	}
	if name == "" {
		l.mistake(variable, fmt.Sprintf(
			"needed, or CLUSTER: SERVICE_ARN_%s is without an ECS cluster, and no task metadata endpoint tells it", index))
	}
	return name
}

func (l *loader) ownCluster() (string, error) {
	if v := l.value("CLUSTER"); v != "" {
		return clusterName(v)
	}
	if l.Task != nil {
		return l.Task.ClusterName(), nil
	}
	return "", nil
}

// serviceARN reads the ARN or name of a service; a name alone leaves all else of the ARN empty.
func serviceARN(text string) (ServiceARN, error) {
	if strings.HasPrefix(text, "arn:") {
		return ParseServiceARN(text)
	}
	if !validName(text) {
		return ServiceARN{}, errors.New("want arn:PARTITION:ecs:REGION:ACCOUNT:service/ECS-CLUSTER/NAME, or the service's name")
	}
	return ServiceARN{Service: text}, nil
}
