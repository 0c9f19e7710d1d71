package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// The levels of a Finding.
const (
	// levelError: requests fail, or changes don't arrive.
	levelError = "error"
	// levelWarning: something is not as it was set up to be, and requests are served.
	levelWarning = "warning"
	// levelNote: worth a look.
	levelNote = "note"
)

const (
	// ackPatience is how long an Envoy may take to acknowledge a change before somebody should look.
	ackPatience = 10 * time.Second
	// outPatience is how long a task may take no traffic; shorter is what a deployment does.
	outPatience = 5 * time.Minute
	// upPatience is how long an app may take from its container's start until it listens.
	upPatience = 10 * time.Second
	// readPatience is how old a good reading may be where no fault is known, unless the pace is slower.
	readPatience = time.Minute
)

// Finding is something that somebody should look at.
type Finding struct {
	// Level is error (requests fail, or changes don't arrive), warning or note.
	Level string `json:"level"`
	// Kind is a stable word for it, such as cannot_read.
	Kind string `json:"kind"`
	// What is wrong, and what that means.
	What string `json:"what"`
	// Do says what to change or to look at, where What doesn't.
	Do string `json:"do,omitempty"`
	// Services are those that it strikes.
	Services []string  `json:"services,omitempty"`
	Since    time.Time `json:"since,omitzero"`
}

// attention finds what is wrong in a report, the worst first; left is when the last Envoy left. It is pure.
func attention(r *Report, left time.Time) []Finding {
	f := &findings{at: map[cause]int{}, list: []Finding{}}
	f.readiness(r, left)
	f.envoys(r)
	reached := map[string]bool{} // services that requests go to now
	for _, route := range r.Routes {
		reached[route.Service] = reached[route.Service] || route.Share > 0
	}
	for i := range r.Services {
		f.service(r, &r.Services[i], reached[r.Services[i].Name])
	}
	for _, route := range r.Routes {
		if route.PassedOn {
			f.add(Finding{
				Level: levelWarning, Kind: "share_passed_on", Services: []string{route.Service},
				What: passedOn + fmt.Sprintf("%s on %s goes to the others.", route.Path, route.Listener),
			})
		}
	}
	for i := range f.list {
		if n := &f.list[i]; len(n.Services) > 1 {
			n.What = ofSeveral(n.What)
		}
	}
	slices.SortStableFunc(f.list, func(a, b Finding) int { return cmp.Compare(rank(a.Level), rank(b.Level)) })
	return f.list
}

// The beginnings of what is said of one service, and of several.
const (
	itsPaths, theirPaths       = "Its paths answer 503: ", "Their paths answer 503: "
	itsTasks, theirTasks       = "Some of its tasks take no traffic: ", "Some of their tasks take no traffic: "
	allOfIt, allOfThem         = "All of its endpoints are unhealthy; ", "All of their endpoints are unhealthy; "
	nothingOfIt, nothingOfThem = "Nothing of it serves, and its paths answer 503", "Nothing of them serves, and their paths answer 503"
	passedOn, theyPassOn       = "It has nothing to serve, and its share of ", "They have nothing to serve, and their share of "
	unreadYet, theyAreUnread   = "AWS has not answered for it yet.", "AWS has not answered for them yet."

	itStays       = "What is served stays as it was, and no change of it arrives: "
	theyStay      = "What is served stays as it was, and no change of them arrives: "
	itNeverRead   = "It was not read since the start, and only an Envoy that had it before serves it: "
	theyNeverRead = "They were not read since the start, and only an Envoy that had them before serves them: "
	itIsOld       = "It was not read for a while, though no fault is known: a change of it comes late."
	theyAreOld    = "They were not read for a while, though no fault is known: a change of them comes late."
)

// ofSeveral says of several services what is said of one.
func ofSeveral(what string) string {
	for _, pair := range [][2]string{
		{itsPaths, theirPaths},
		{itNeverRead, theyNeverRead},
		{itStays, theyStay},
		{nothingOfIt, nothingOfThem},
		{itsTasks, theirTasks},
		{allOfIt, allOfThem},
		{passedOn, theyPassOn},
		{unreadYet, theyAreUnread},
		{itIsOld, theyAreOld},
	} {
		if rest, is := strings.CutPrefix(what, pair[0]); is {
			return pair[1] + rest
		}
	}
	return what
}

// rank orders levels, the worst first; "" comes last.
func rank(level string) int {
	switch level {
	case levelError:
		return 0
	case levelWarning:
		return 1
	case levelNote:
		return 2
	default:
		return 3
	}
}

// findings are found one after another. One cause that strikes many services is one finding.
type findings struct {
	list []Finding
	at   map[cause]int
}

type cause struct{ level, kind, what, do string }

func (f *findings) add(n Finding) {
	key := cause{n.Level, n.Kind, n.What, n.Do}
	i, known := f.at[key]
	if !known {
		f.at[key] = len(f.list)
		f.list = append(f.list, n)
		return
	}
	same := &f.list[i]
	for _, name := range n.Services {
		if same.Services[len(same.Services)-1] != name { // those of one service come one after another
			same.Services = append(same.Services, name)
		}
	}
	if same.Since.IsZero() || !n.Since.IsZero() && n.Since.Before(same.Since) {
		same.Since = n.Since
	}
}

func (f *findings) readiness(r *Report, left time.Time) {
	toConnect := "See that Envoy runs, and that its bootstrap dials NIGHTJAR_XDS_LISTEN: `nightjar bootstrap` prints one that does."
	if r.EnvoyNote != "" {
		toConnect = r.EnvoyNote
	}
	switch {
	case !r.Ready && len(r.Envoys) == 0:
		f.add(Finding{Level: levelError, Kind: "not_ready", What: "Not ready yet: " + r.NotReady, Do: toConnect, Since: r.Started})
	case !r.Ready:
		f.add(Finding{Level: levelError, Kind: "not_ready", What: "Not ready yet: " + r.NotReady, Since: r.Started})
	case len(r.Envoys) == 0:
		f.add(Finding{
			Level: levelError, Kind: "no_envoy", Do: toConnect, Since: left,
			What: "No Envoy is connected: one that runs goes on with the routes it has, and no change reaches it.",
		})
	}
	if r.EnvoyNote != "" && len(r.Envoys) > 0 {
		f.add(Finding{Level: levelNote, Kind: "envoy_note", What: r.EnvoyNote})
	}
}

func (f *findings) envoys(r *Report) {
	for _, n := range r.Envoys {
		for _, refused := range n.Refused {
			f.add(Finding{
				Level: levelError, Kind: "refused", Since: refused.At, Do: refused.Remedy(),
				What: fmt.Sprintf("Envoy refuses the %s %s and goes on with what it had before. Envoy says: %s",
					refused.Type, refused.Name, refused.Message),
			})
		}
		if len(n.Refused) == 0 && !n.Current && r.Now.Sub(n.PendingSince) >= ackPatience {
			f.add(Finding{
				Level: levelError, Kind: "not_acknowledged", Since: n.PendingSince,
				What: fmt.Sprintf("The Envoy %s has not acknowledged what was published: it may go on with old routes.", n.ID),
				Do:   "Look at Envoy's own log, and whether it is short of CPU.",
			})
		}
	}
}

// service finds what is wrong with a service; reached tells whether requests go to it now.
func (f *findings) service(r *Report, s *Service, reached bool) {
	about := func(level, kind, what, do string, since time.Time) {
		f.add(Finding{Level: level, Kind: kind, What: what, Do: do, Services: []string{s.Name}, Since: since})
	}
	if s.Error != "" && s.Error != s.Problem {
		effect := itStays
		if s.ReadAt.IsZero() {
			effect = itNeverRead
		}
		about(levelError, "cannot_read", effect+s.Error, "", s.FailingSince)
	}
	switch {
	case s.State == mesh.Unread.String():
		if s.Error == "" {
			about(levelWarning, "unread", unreadYet, "", r.Started)
		}
	case s.State == mesh.Denied.String():
		about(levelError, s.State, itNeverRead+s.Problem, "", s.ChangedAt)
	case s.State != mesh.Active.String():
		about(levelError, s.State, itsPaths+s.Problem, "", s.ChangedAt)
	case s.Problem != "" && len(s.Endpoints) == 0:
		about(levelError, "setting", itsPaths+s.Problem, "", s.ChangedAt)
	case s.Problem != "":
		about(levelWarning, "setting", itsTasks+s.Problem, "", s.ChangedAt)
	case len(s.Endpoints) == 0 && reached:
		what, do := nothingServes(s)
		about(levelError, "nothing_serves", what, do, lastOut(s))
	default:
		f.tasks(r, s, about)
	}
	if s.Source == sourceAWS && s.Error == "" && s.ReadAge > slow(r.Pace).Seconds() {
		about(levelWarning, "old_reading", itIsOld,
			"See the pace. NIGHTJAR_AWS_RATE allows more calls, where the account can spare them.", s.ReadAt)
	}
}

// tasks finds what is wrong with the tasks of a service that is otherwise well.
func (f *findings) tasks(r *Report, s *Service, about func(level, kind, what, do string, since time.Time)) {
	unhealthy := 0
	for _, e := range s.Endpoints {
		switch e.Health {
		case mesh.Unhealthy.String():
			unhealthy++
		case mesh.Closed.String():
			closed(r, s, e, about)
		}
	}
	const look = "See the container's health check and its log."
	switch {
	case unhealthy > 0 && unhealthy == len(s.Endpoints) && s.Source == sourceOwn:
		about(levelError, "all_unhealthy", allOfIt+"Envoy uses them all the same; the health path answers 503, so a load balancer takes "+
			"this task out.", look, s.ChangedAt)
	case unhealthy > 0 && unhealthy == len(s.Endpoints):
		about(levelError, "all_unhealthy", allOfIt+"Envoy uses them all the same.", look, time.Time{})
	case unhealthy > 0:
		about(levelWarning, "unhealthy", fmt.Sprintf("%d of its %d endpoints are unhealthy.", unhealthy, len(s.Endpoints)), look, time.Time{})
	}
	for _, e := range s.Excluded {
		if !e.Since.IsZero() && r.Now.Sub(e.Since) >= outPatience {
			about(levelNote, "excluded", "A task takes no traffic for longer than a deployment needs: "+e.Reason, "", e.Since)
		}
	}
}

// closed says that nothing listens where an own container is to.
func closed(r *Report, s *Service, e Endpoint, about func(level, kind, what, do string, since time.Time)) {
	if started := cmp.Or(e.Since, s.ChangedAt); r.Now.Sub(started) < upPatience {
		about(levelNote, "closed", fmt.Sprintf("Nothing listens at %s yet: the container has only just started.", e.Address), "", s.ChangedAt)
		return
	}
	setting := "its port"
	if i := slices.IndexFunc(r.Routes, func(route Route) bool { return route.Service == s.Name }); i >= 0 {
		setting = strings.Replace(r.Routes[i].Origin, "_PATH_", "_PORT_", 1)
	}
	about(levelError, "closed",
		fmt.Sprintf("Nothing listens at %s: its paths answer 503, and so does the health path: a load balancer takes this task out.", e.Address),
		fmt.Sprintf("Is %s right, and is the app up?", setting), s.ChangedAt)
}

// nothingServes says why a service has no endpoint.
func nothingServes(s *Service) (what, do string) {
	const effect = nothingOfIt
	switch {
	case len(s.Excluded) == 0 && s.Empty != "":
		return effect + ": " + s.Empty, ""
	case len(s.Excluded) == 0:
		return effect + ": it has no task.", "See the service's desired count and its events in ECS."
	}
	var reasons []string
	for _, e := range s.Excluded {
		if !slices.Contains(reasons, e.Reason) {
			reasons = append(reasons, e.Reason)
		}
	}
	const most = 3
	what = effect + ": " + strings.Join(reasons[:min(len(reasons), most)], "; ")
	if more := len(reasons) - most; more > 0 {
		what += fmt.Sprintf("; and %d more reasons", more)
	}
	return what, ""
}

// lastOut is when the last task of a service ceased to serve, as far as it is known.
func lastOut(s *Service) time.Time {
	last := time.Time{}
	for _, e := range s.Excluded {
		if e.Since.After(last) {
			last = e.Since
		}
	}
	if last.IsZero() {
		return s.ChangedAt
	}
	return last
}

// slow is the age at which a good reading is too old for the pace.
func slow(p Pace) time.Duration {
	return max(readPatience, time.Duration(3*(p.Wait+p.Quiet)*float64(time.Second)))
}
