package config

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// maxValue bounds a value, in bytes.
const maxValue = 4096

// loader reads an environment and gathers what is wrong with it.
type loader struct {
	Input
	config   *Config
	mistakes Mistakes
	// wrong has the variables with a mistake.
	wrong map[string]bool
	table map[string]Setting
	// ownCluster is the own ECS cluster, from CLUSTER or the own task.
	ownCluster clusterRef
	// untold are the settings that are needed because the task metadata endpoint fails.
	untold []string
	// arns are what ARNs say of Region and account, in the order of their variables.
	arns []placed
}

// placed is the place that an ARN is of.
type placed struct {
	variable, region, account string
}

// Load reads the settings. Its error is of type Mistakes: all of them at once.
func Load(in Input) (*Config, error) {
	l := &loader{Input: in, config: &Config{}, wrong: map[string]bool{}, table: map[string]Setting{}}
	for _, s := range Settings() {
		l.table[s.Name] = s
	}
	l.task()
	l.checkNames()
	l.addresses()
	if in.Purpose == ToServe {
		l.limits()
	}
	if in.Purpose == ToServe || in.Purpose == ToRun {
		l.log()
		l.ofEnvoy()
	}
	if in.Purpose == ToServe {
		l.entries()
		l.accounts()
		l.routeConflicts()
		l.addressConflicts()
	}
	if in.Purpose != ToAsk {
		l.region()
	}
	l.failedTask()
	if len(l.mistakes.List) > 0 {
		l.mistakes.Warnings = l.config.Warnings
		return nil, l.mistakes
	}
	return l.config, nil
}

// mistake notes what is wrong with a variable. The first of a variable counts: what follows is often only its shadow.
func (l *loader) mistake(variable, problem string) {
	if l.wrong[variable] {
		return
	}
	l.wrong[variable] = true
	l.mistakes.List = append(l.mistakes.List, Mistake{Variable: printable(variable), Value: cut(l.Env[variable]), Problem: problem})
}

// missing notes that a setting is needed as the own task isn't known. Where that is because its endpoint fails, this is the
// mistake, and instead is what may be set in its place.
func (l *loader) missing(variable, problem, instead string) {
	if l.TaskErr == nil {
		l.mistake(variable, problem)
		return
	}
	l.wrong[variable] = true
	if !slices.Contains(l.untold, instead) {
		l.untold = append(l.untold, instead)
	}
}

// failedTask notes that the task metadata endpoint fails, where settings are missing because of it.
func (l *loader) failedTask() {
	if len(l.untold) == 0 {
		return
	}
	cause := l.TaskErr
	if inner := errors.Unwrap(cause); inner != nil { // the outer one names the variable, as the mistake does
		cause = inner
	}
	l.mistake(taskmeta.URIVariable, fmt.Sprintf("%v: without it the own task is not known; mend that, or set %s",
		cause, strings.Join(l.untold, ", and ")))
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
	if usual := l.table[genericName(name)].Default; usual != byMode {
		return usual
	}
	return l.modeDefault(name)
}

func (l *loader) modeDefault(name string) string {
	if name == "INGRESS_LISTEN_ADDRESS" && l.config.Mode == "awsvpc" && l.Task != nil && l.Task.IPv6Only() {
		return "::"
	}
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
	c.Mode, c.NodeID, c.NodeService, c.Sidecar = "awsvpc", "nightjar-envoy", "nightjar", "nightjar"
	t := l.Task
	if t == nil {
		return
	}
	if mode := t.NetworkMode(); mode != "" {
		c.Mode = mode
	}
	c.NodeID, c.Zone, c.OwnCluster, c.OwnService = t.ID(), t.AvailabilityZone, t.ClusterName(), t.ServiceName
	if t.Own.Name != "" {
		c.Sidecar = t.Own.Name
	}
	for _, name := range []string{t.ServiceName, t.Family} {
		if name != "" {
			c.NodeService = name
			return
		}
	}
}

// limits reads the pace, the budget, and where Envoy's logs and metrics go.
func (l *loader) limits() {
	c := l.config
	c.Wait = time.Duration(l.number("WAITTIME", 1, 3_600_000)) * time.Millisecond
	c.Burst = l.number("NIGHTJAR_AWS_BURST", 1, 10_000)
	rate, err := strconv.ParseFloat(l.value("NIGHTJAR_AWS_RATE"), 64)
	if err != nil || !(rate >= 0.05 && rate <= 10_000) {
		l.mistake("NIGHTJAR_AWS_RATE", "want calls a second, from 0.05 to 10000")
	}
	c.Rate = rate
	c.AccessLog, c.Stats, c.ZoneAware = l.accessLog(), l.statsListen(), l.zoneAware()
}

// maxDrainTime leaves 5 s of the longest stopTimeout.
// Source: Amazon ECS API reference, ContainerDefinition: stopTimeout is at most 120 s.
const maxDrainTime = 115 * time.Second

// ofEnvoy reads the path of Envoy, and how long its end may take.
func (l *loader) ofEnvoy() {
	const variable = "NIGHTJAR_DRAIN_TIME"
	l.config.EnvoyPath = l.value("NIGHTJAR_ENVOY_PATH")
	d, err := time.ParseDuration(l.value(variable))
	if err != nil || d < 0 || d > maxDrainTime {
		l.mistake(variable, "want a duration from 0s to 115s, such as 20s, that is shorter than the stopTimeout of Envoy's container")
		return
	}
	l.config.DrainTime = d
}

// log reads what the log has and how it looks.
func (l *loader) log() {
	c := l.config
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
		l.mistake(name, fmt.Sprintf("want a whole number from %d to %d (%s)", low, high, l.table[genericName(name)].Type))
		return low
	}
	return n
}
