package check

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// patience bounds all checks together.
const patience = 2 * time.Minute

// Source is where the checks look, beside AWS.
type Source interface {
	// Envoy asks the own Envoy.
	Envoy(ctx context.Context) Envoy
	// Nightjar asks a running nightjar; nil where none runs. Its error says that something else answers.
	Nightjar(ctx context.Context) (*Nightjar, error)
	// Listens tells whether somebody listens on an address.
	Listens(ctx context.Context, at config.Address) bool
	// Dial tries to connect to an address.
	Dial(ctx context.Context, at netip.AddrPort) error
	// HasDirectory tells whether a directory exists.
	HasDirectory(path string) bool
	// Containers reads containers of the own task; their target groups are asked of an API.
	Containers(ctx context.Context, api ecs.API, refs []mesh.ServiceRef) []mesh.Reading
}

// Check is what is checked.
type Check struct {
	Metadata Metadata
	// Settings are the settings, nil where they are wrong; Warnings what somebody may not have meant.
	Settings *config.Config
	Warnings []string
	// Mistakes are what is wrong with them.
	Mistakes []config.Mistake
	// Local is the part of the settings that tells where Envoy and a running nightjar are: Settings, or what could be read
	// though they are wrong; nil where even that is wrong. Its XDS is the zero Address where that isn't known.
	Local *config.Config
	// Schedule is how serve would read.
	Schedule *ecs.Schedule
	// AWS is what services are read from, and AWSErr why it can't be set up.
	AWS    ecs.API
	AWSErr error
	Source Source
	// Progress is told what happens now.
	Progress func(string)
}

// Surroundings is what was found beside AWS.
type Surroundings struct {
	// Envoy is nil where it can't be asked.
	Envoy    *Envoy
	Nightjar *Nightjar
	// Stranger says that something else answers in nightjar's place, Taken that somebody else has its xDS address.
	Stranger error
	Taken    bool
}

// Run makes all checks.
func (c *Check) Run(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	near := c.lookAround(ctx) // first, so that AWS can't use up the time for it
	findings := append(c.settings(), judgeMetadata(c.Metadata, c.Mistakes))
	if c.Settings != nil {
		findings = append(findings, c.world(ctx)...)
	}
	findings = append(findings, c.around(near)...)
	if s := c.Settings; s != nil {
		shared := s.XDS.Network != "unix" || c.Source.HasDirectory(filepath.Dir(s.XDS.Path))
		findings = append(findings, judgeReach(s, shared)...)
	}
	return newReport(findings)
}

// settings says what was found of the settings.
func (c *Check) settings() []Finding {
	var findings []Finding
	for _, m := range c.Mistakes {
		if m.Variable == taskmeta.URIVariable { // judgeMetadata tells it
			continue
		}
		f := Finding{Check: "setting", Subject: m.Variable, Result: Fail, Found: fmt.Sprintf("it is %q", m.Value), Do: m.Problem}
		if m.Value == "" {
			f.Found = "it isn't set"
		}
		findings = append(findings, f)
	}
	for _, w := range c.Warnings {
		findings = append(findings, Finding{Check: "setting", Result: Warning, Found: w})
	}
	s := c.Settings
	if s == nil {
		return findings
	}
	ok := Finding{Check: "setting", Result: OK, Found: fmt.Sprintf("%s, %s, Region %s, network mode %s",
		plural(len(s.Refs()), "service"), plural(len(s.Proxy().Routes), "path"), s.Region, s.Mode)}
	if own := len(s.OwnRefs()); own > 0 {
		ok.Found = plural(own, "own container") + ", " + ok.Found
	}
	return append(append([]Finding{ok}, findings...), judgeScope(s)...)
}

// world checks what AWS and the own task tell: permissions, services, containers and the paths that lead to them.
func (c *Check) world(ctx context.Context) []Finding {
	refs, own := c.Settings.Refs(), c.Settings.OwnRefs()
	if c.AWSErr != nil {
		const do = "mend the AWS_* variables, or the profile that they name"
		return []Finding{{Check: "permission", Result: Fail, Found: c.AWSErr.Error(), Do: do}}
	}
	api := newWatched(c.AWS)
	told := causes{}
	inventory := ecs.NewInventory(api, nil)
	services := readServices(ctx, inventory, refs, c.Progress)
	var containers []mesh.Reading
	if len(own) > 0 {
		c.Progress("reading the own task")
		containers = c.Source.Containers(ctx, api, own)
	}
	findings := c.permissions(ctx, api, refs, told)
	c.Progress("trying whether the targets listen")
	readings := slices.Concat(containers, services)
	reached := dialTargets(ctx, c.Source.Dial, readings)
	for _, r := range services {
		f := judgeService(r, pathsOf(c.Settings, r.Ref.Name()), told)
		f.reached(r, reached, c.Metadata.Task != nil)
		findings = append(findings, f)
	}
	for _, r := range containers {
		f := judgeContainer(r, c.Metadata.Task)
		f.listens(r, reached, c.Metadata.Task)
		findings = append(findings, f)
	}
	findings = append(findings, judgeRoutes(c.Settings, readings)...)
	return append(findings, judgePace(c.Settings, inventory.Size(c.Schedule), services)...)
}

// permissions tries what no reading has tried yet, and judges all.
func (c *Check) permissions(ctx context.Context, api *watched, refs []mesh.ServiceRef, told causes) []Finding {
	if len(refs) == 0 && api.tried(describeServices) { // for the ports that the target groups of the own service name
		return []Finding{judgePermission(describeServices, api.of(describeServices), unknownNeed, told)}
	}
	if len(refs) == 0 {
		const none = "none was tried: ingress goes to the own containers, and the settings name no service"
		return []Finding{{Check: "permission", Result: Note, Found: none}}
	}
	n := unknownNeed
	switch {
	case api.of(describeContainers).allowed && !api.tried(describeInstances):
		n = ofMachines
	case api.tried(describeContainers):
		n = needed
	case api.known().tasks > 0:
		n = notNeeded
	}
	c.Progress("trying permissions")
	try(ctx, api, refs[0])
	findings := make([]Finding, 0, len(permissions()))
	for _, p := range permissions() {
		findings = append(findings, judgePermission(p, api.of(p), n, told))
	}
	return findings
}

// lookAround looks at Envoy and for a running nightjar.
func (c *Check) lookAround(ctx context.Context) Surroundings {
	var near Surroundings
	if c.Local == nil {
		return near
	}
	ask := func(what string, do func(context.Context)) {
		c.Progress(what)
		ctx, cancel := context.WithTimeout(ctx, probePatience)
		defer cancel()
		do(ctx)
	}
	ask("asking nightjar", func(ctx context.Context) { near.Nightjar, near.Stranger = c.Source.Nightjar(ctx) })
	if near.Nightjar == nil && c.Local.XDS.Network != "" {
		ask("looking at NIGHTJAR_XDS_LISTEN", func(ctx context.Context) { near.Taken = c.Source.Listens(ctx, c.Local.XDS) })
	}
	if !cantAsk(c.Local) {
		ask("asking Envoy", func(ctx context.Context) {
			e := c.Source.Envoy(ctx)
			near.Envoy = &e
		})
	}
	return near
}

// around judges what was found of Envoy and a running nightjar.
func (c *Check) around(near Surroundings) []Finding {
	if c.Local == nil {
		const nowhere = "neither Envoy nor a running nightjar is asked: the settings that say where they are, are wrong"
		return []Finding{{Check: "envoy", Result: Note, Found: nowhere}}
	}
	findings := []Finding{cantAskEnvoy()}
	if near.Envoy != nil {
		findings = judgeEnvoy(*near.Envoy, c.Local.Mode == "bridge", c.Local.XDS.Setting(), near.Nightjar, near.Taken || near.Stranger != nil)
	}
	return append(findings, judgeNightjar(near, c.Local)...)
}
