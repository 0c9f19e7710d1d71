package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"

	"github.com/groboclown/nightjar-mesh/internal/admin"
	"github.com/groboclown/nightjar-mesh/internal/awsapi"
	"github.com/groboclown/nightjar-mesh/internal/check"
	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

func checkCommand() command {
	return command{
		name:    "check",
		summary: "try everything that a run needs, and say what to mend",
		help: func() string {
			return "Reads the settings as serve does, and tries with them: the task metadata endpoint, each AWS permission by itself, each\n" +
				"service with its container and port, the own containers, whether somebody listens there (up to 5 targets a service, 100 in all,\n" +
				"are dialled), paths that services share, what reading all of it costs, Envoy and where its bootstrap leads, a running nightjar\n" +
				"and what Envoy refuses, and who else can reach what listens. It changes nothing, pays its calls from NIGHTJAR_AWS_RATE and\n" +
				"NIGHTJAR_AWS_BURST, and ends within about two minutes.\n\n" +
				"A line is ok, note, warning or FAIL, what was checked, and what was found; below it stands what to do. With --json it is one\n" +
				"object, whose names stay as they are:\n" +
				"  {\"ok\": BOOL, \"findings\": [{\"check\": …, \"subject\": …, \"result\": …, \"found\": …, \"do\": …}]}\n" +
				"check is setting, metadata, permission, service, container, route, pace, envoy, nightjar or reach; result is one of the four\n" +
				"words; subject and do may be \"\"; ok is whether nothing is FAIL.\n\n" +
				"Exit status: 0 nothing failed; 1 something is wrong in the world; 2 the settings are wrong: the mistakes are the findings, and\n" +
				"what needs no good settings is checked all the same.\n\n" +
				"Example, in the container of nightjar:\n  nightjar check"
		},
		flags: func(f *flag.FlagSet) { f.Bool("json", false, "print one JSON object") },
		run:   runCheck,
	}
}

func runCheck(ctx context.Context, c *call) error {
	progress := newProgressLine(c.stderr)
	progress.show("reading the settings")
	todo, wrong := c.toCheck(ctx, progress)
	todo.Progress = progress.show
	report := todo.Run(ctx)
	progress.clear()
	if c.flags.Lookup("json").Value.String() == "true" {
		encoder := json.NewEncoder(c.stdout)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return err
		}
	} else if _, err := io.WriteString(c.stdout, report.Text()); err != nil {
		return err
	}
	switch {
	case wrong:
		return silentError{exitUsage}
	case !report.OK:
		return silentError{exitWorld}
	default:
		return nil
	}
}

// toCheck reads the settings, and as much of them as can be where some are wrong.
func (c *call) toCheck(ctx context.Context, progress *progressLine) (todo *check.Check, wrong bool) {
	in, faults := c.input(ctx, config.ToServe, checkPatience, func() { progress.show("waiting for the task metadata endpoint") })
	todo = &check.Check{Metadata: check.Metadata{Given: faults.metadataGiven, Task: in.Task, Err: faults.metadata}}
	if faults.profile != nil {
		todo.Warnings = append(todo.Warnings, faults.profile.Error())
	}
	settings, err := config.Load(in)
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		todo.Mistakes, todo.Warnings = mistakes.List, append(todo.Warnings, mistakes.Warnings...)
		todo.Local = whereToAsk(in)
		todo.Source = &neighbours{call: c, settings: todo.Local}
		return todo, true
	}
	todo.Schedule = schedule(settings)
	todo.Settings, todo.Local, todo.Warnings = settings, settings, append(todo.Warnings, settings.Warnings...)
	todo.Source = &neighbours{call: c, settings: settings}
	budget := awsapi.NewBudget(settings.Rate, settings.Burst)
	todo.AWS, todo.AWSErr = newClient(ctx, settings, budget, admin.NewMetrics(), slog.New(slog.DiscardHandler))
	return todo, false
}

// whereToAsk is where Envoy and a running nightjar are, of settings that are wrong elsewhere; nil where that is wrong too.
func whereToAsk(in config.Input) *config.Config {
	in.Purpose = config.ToAsk
	local, err := config.Load(in)
	if err != nil {
		return nil
	}
	in.Purpose = config.ToDial
	if dials, err := config.Load(in); err == nil {
		local.XDS = dials.XDS
	}
	return local
}

// neighbours is what runs beside nightjar in the task.
type neighbours struct {
	call     *call
	settings *config.Config
}

// Envoy implements check.Source.
func (n *neighbours) Envoy(ctx context.Context) check.Envoy {
	at := n.call.envoyAdmin(ctx, n.settings)
	sight, err := envoy.Look(ctx, envoy.NewAdmin("tcp", at))
	return check.Envoy{At: at, Sight: sight, Err: err}
}

// Nightjar implements check.Source.
func (n *neighbours) Nightjar(ctx context.Context) (*check.Nightjar, error) {
	status, answer, err := askNightjar(ctx, n.settings.Admin, "/api/status", maxStatus)
	switch {
	case nobody(err):
		return nil, nil //nolint:nilnil // nobody is there, and that is no error
	case err != nil:
		return nil, err
	case status != http.StatusOK:
		return nil, fmt.Errorf("it answers /api/status with %d", status)
	}
	var report admin.Report
	if err := json.Unmarshal(answer, &report); err != nil || report.Started.IsZero() {
		return nil, errors.New("what it answers on /api/status is no status of nightjar")
	}
	found := &check.Nightjar{Ready: report.Ready, NotReady: report.NotReady, Note: report.EnvoyNote}
	for _, node := range report.Envoys {
		found.Envoys = append(found.Envoys, node.ID)
		for _, r := range node.Refused {
			found.Refusals = append(found.Refusals, check.Refusal{Type: r.Type, Name: r.Name, Setting: r.Setting, Message: r.Message})
		}
	}
	return found, nil
}

// nobody tells whether an error of dialling says that nobody is there.
func nobody(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial" || errors.Is(err, syscall.ECONNREFUSED)
}

// Listens implements check.Source.
func (n *neighbours) Listens(ctx context.Context, at config.Address) bool {
	var d net.Dialer
	conn, err := d.DialContext(ctx, at.Network, at.String())
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// Dial implements check.Source.
func (n *neighbours) Dial(ctx context.Context, at netip.AddrPort) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

// HasDirectory implements check.Source.
func (n *neighbours) HasDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Containers implements check.Source.
func (n *neighbours) Containers(ctx context.Context, api ecs.API, refs []mesh.ServiceRef) []mesh.Reading {
	return readOwnOnce(ctx, newOwnReader(n.call, n.settings, api), refs)
}

// progressLine is a line on a terminal that says what happens now; elsewhere nothing is said.
type progressLine struct{ to io.Writer }

func newProgressLine(to io.Writer) *progressLine {
	if !isTerminal(to) {
		to = io.Discard
	}
	return &progressLine{to}
}

func (p *progressLine) show(what string) { fmt.Fprintf(p.to, "\r\x1b[K%s …", what) }
func (p *progressLine) clear()           { fmt.Fprint(p.to, "\r\x1b[K") }
