package admin

import (
	"cmp"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/xds"
)

// The page is bounded, whatever the size of the mesh.
const (
	maxFindings   = 15
	maxNamed      = 5    // services that a finding names
	maxServices   = 50   // on one page
	maxTasks      = 200  // on one page, in the order of its services
	maxTasksOfOne = 2000 // where one service is asked for
	maxRoutes     = 100
	maxPaths      = 20 // beside a service
	maxEnvoys     = 50
	maxText       = 200 // bytes that are searched for
)

// How often the page refreshes itself, in seconds.
const (
	refreshEvery = 5
	maxRefresh   = 3600
)

// pageQuery is what somebody asks the page for.
type pageQuery struct {
	// Text is looked for in all that the page has of a service.
	Text string
	// Only keeps the services that need attention.
	Only bool
	// Service is the one service to show, "" for all.
	Service string
	// Page counts from 1.
	Page int
	// Refresh is in seconds, 0 to hold still.
	Refresh int
}

func queryOf(values url.Values) pageQuery {
	q := pageQuery{
		Text: clip(strings.TrimSpace(values.Get("q")), maxText), Only: values.Get("only") == "attention",
		Service: values.Get("service"), Page: 1, Refresh: refreshEvery,
	}
	if n, err := strconv.Atoi(values.Get("page")); err == nil && n > 0 {
		q.Page = n
	}
	if n, err := strconv.Atoi(values.Get("refresh")); err == nil && n >= 0 && n <= maxRefresh {
		q.Refresh = n
	}
	return q
}

// OwnRefresh tells whether somebody chose how often to refresh.
func (q pageQuery) OwnRefresh() bool { return q.Refresh != refreshEvery }

// Filtered tells whether services are left out.
func (q pageQuery) Filtered() bool { return q.Text != "" || q.Only || q.Service != "" }

// pageView is what the page's template shows.
type pageView struct {
	R             *Report
	Query         pageQuery
	Title         string
	Ready, Levels string
	CSS           template.CSS
	JS            template.JS
	Findings      []findingView
	MoreFindings  int
	Total         tally
	// Shown says which services are shown, of how many.
	Shown          string
	Services       []serviceView
	Pages          int
	Previous, Next string
	Listeners      []listenerView
	MoreRoutes     int
	Envoys         []xds.Node
	MoreEnvoys     int
	StillRefused   string
	MaxText        int
}

type findingView struct {
	Finding
	Named   []string
	Unnamed int
}

type serviceView struct {
	*Service
	StateWords string
	// StateTone is that of the state; where something else is wrong, a good state is none.
	StateTone string
	// Concerns are the findings about it, except its state.
	Concerns []Finding
	Tally    tally
	Read     string
	Open     bool
	Routes   []routeView
	Zones    []zoneView
	Tasks    []taskView
	More     int
}

type zoneView struct {
	Zone  string
	Count int
}

// taskView is an endpoint, or with a Reason an excluded task.
type taskView struct {
	Endpoint
	State, Reason string
}

// Inside is the container and its port.
func (t taskView) Inside() string { return inside(t.Endpoint) }

type listenerView struct {
	Listener
	Routes []routeView
}

type routeView struct {
	Route
	Words string
}

// whenView is a time for machines and for people.
type whenView struct{ ISO, Text string }

// When tells a time, and how long ago it was.
func (v *pageView) When(t time.Time) whenView {
	return whenView{t.UTC().Format(time.RFC3339), since(v.R.Now, t)}
}

// Link is the page for another question: a value of its query, or all services where name is "".
func (v *pageView) Link(name, value string) string {
	return pageQuery{Refresh: v.Query.Refresh}.link(name, value)
}

// Turn is the page for the same question with one value changed.
func (v *pageView) Turn(name, value string) string { return v.Query.link(name, value) }

// link is the address of the page for a query with one value changed, "" to leave it out.
func (q pageQuery) link(name, value string) string {
	values := url.Values{}
	set := func(name, value string) {
		values.Del(name)
		if value != "" {
			values.Set(name, value)
		}
	}
	set("q", q.Text)
	set("service", q.Service)
	if q.Only {
		set("only", "attention")
	}
	if q.Refresh != refreshEvery {
		set("refresh", strconv.Itoa(q.Refresh))
	}
	set(name, value)
	return "?" + values.Encode()
}

// view makes what the template shows. It is pure.
func view(r *Report, q pageQuery) *pageView {
	v := &pageView{
		R: r, Query: q, Levels: levels(r.Attention), Title: levels(r.Attention) + " · nightjar", Ready: "ready",
		CSS: template.CSS(pageCSS), JS: template.JS(pageJS), //nolint:gosec // they are files of this package
		Total: tallyOf(r.Services...), MaxText: maxText, Envoys: r.Envoys[:min(len(r.Envoys), maxEnvoys)],
	}
	v.MoreEnvoys = len(r.Envoys) - len(v.Envoys)
	if !r.Ready {
		v.Ready, v.Title = "not ready", "not ready · nightjar"
	}
	if r.LastRefusal != nil {
		v.StillRefused = r.stillRefused()
	}
	for _, f := range r.Attention[:min(len(r.Attention), maxFindings)] {
		named := f.Services[:min(len(f.Services), maxNamed)]
		v.Findings = append(v.Findings, findingView{f, named, len(f.Services) - len(named)})
	}
	v.MoreFindings = len(r.Attention) - len(v.Findings)
	x := indexOf(r)
	matched := x.match(q)
	v.choose(x, matched)
	v.routes(matched)
	return v
}

// index is a report by service.
type index struct {
	r        *Report
	worst    map[string]string
	concerns map[string][]Finding
	routes   map[string][]Route
}

func indexOf(r *Report) *index {
	x := &index{r: r, worst: worst(r.Attention), concerns: map[string][]Finding{}, routes: map[string][]Route{}}
	for _, f := range r.Attention {
		for _, name := range f.Services {
			x.concerns[name] = append(x.concerns[name], f)
		}
	}
	for _, route := range r.Routes {
		x.routes[route.Service] = append(x.routes[route.Service], route)
	}
	return x
}

// match are the services that a query asks for, those that need attention first.
func (x *index) match(q pageQuery) []Service {
	text := strings.ToLower(q.Text)
	return slices.DeleteFunc(byConcern(x.r.Services, x.worst), func(s Service) bool {
		return q.Service != "" && s.Name != q.Service || q.Only && x.worst[s.Name] == "" || text != "" && !x.has(&s, text)
	})
}

// has tells whether what the page has of a service holds a text, which is in lower case.
func (x *index) has(s *Service, text string) bool {
	holds := func(fields ...string) bool {
		return slices.ContainsFunc(fields, func(f string) bool { return strings.Contains(strings.ToLower(f), text) })
	}
	return holds(s.Name, stateWords(s, x.routes[s.Name]), s.Problem, s.Empty, s.Error, source(s.Source)) ||
		slices.ContainsFunc(x.concerns[s.Name], func(f Finding) bool { return holds(f.Level, words(f.Kind)) }) ||
		slices.ContainsFunc(x.routes[s.Name], func(r Route) bool { return holds(r.Path, r.Origin, r.Listener) }) ||
		slices.ContainsFunc(s.Endpoints, func(e Endpoint) bool {
			return holds(e.Address, inside(e), e.Task, e.Health, healthWords(e.Health), e.Zone, e.Deployment, e.Revision)
		}) ||
		slices.ContainsFunc(s.Excluded, func(e Excluded) bool {
			return holds("excluded", e.Task, e.Reason, e.Zone, e.Deployment, e.Revision)
		})
}

// choose takes the services of one page.
func (v *pageView) choose(x *index, matched []Service) {
	q := &v.Query
	v.Pages = max(1, (len(matched)+maxServices-1)/maxServices)
	q.Page = min(q.Page, v.Pages)
	first := (q.Page - 1) * maxServices
	here := matched[first:min(first+maxServices, len(matched))]
	if q.Page > 1 {
		v.Previous = strconv.Itoa(q.Page - 1)
	}
	if q.Page < v.Pages {
		v.Next = strconv.Itoa(q.Page + 1)
	}
	v.Shown = shown(first, len(here), len(matched), len(v.R.Services), *q)
	room := maxTasks
	if q.Service != "" {
		room = maxTasksOfOne
	}
	for i := range here {
		s := x.view(&here[i], room)
		room -= len(s.Tasks)
		s.Open = len(here) == 1
		v.Services = append(v.Services, s)
	}
}

// shown says which services are shown.
func shown(first, here, matched, all int, q pageQuery) string {
	of := count(all, "service", "services")
	switch {
	case q.Service != "" && matched == 0:
		return "There is no service " + q.Service + "."
	case q.Service != "":
		return "One of " + of + "."
	case matched == 0 && q.Filtered():
		return "None of " + of + " match."
	}
	text := "All of " + of
	if q.Filtered() {
		text = fmt.Sprintf("%d of %s match", matched, of)
	}
	if here < matched {
		text += fmt.Sprintf(", %d to %d here", first+1, first+here)
	}
	return text + "; what needs attention comes first."
}

// view shows a service with at most so many of its tasks.
func (x *index) view(s *Service, room int) serviceView {
	state := stateWords(s, x.routes[s.Name])
	v := serviceView{Service: s, StateWords: state, StateTone: tone(state), Tally: tallyOf(*s), Read: s.read(), Zones: zones(s)}
	if v.StateTone == "good" && rank(x.worst[s.Name]) <= rank(levelWarning) {
		v.StateTone = ""
	}
	for _, f := range x.concerns[s.Name] {
		if f.Kind != s.State {
			v.Concerns = append(v.Concerns, f)
		}
	}
	for _, r := range x.routes[s.Name][:min(len(x.routes[s.Name]), maxPaths)] {
		v.Routes = append(v.Routes, routeView{r, r.shareWords()})
	}
	for _, e := range s.Excluded[:min(len(s.Excluded), room)] {
		v.Tasks = append(v.Tasks, taskView{e.endpoint(), "excluded", e.Reason})
	}
	for _, e := range badFirst(s.Endpoints)[:min(len(s.Endpoints), room-len(v.Tasks))] {
		v.Tasks = append(v.Tasks, taskView{e, healthWords(e.Health), ""})
	}
	v.More = len(s.Excluded) + len(s.Endpoints) - len(v.Tasks)
	return v
}

// badFirst puts unhealthy endpoints before the others.
func badFirst(endpoints []Endpoint) []Endpoint {
	sorted := make([]Endpoint, 0, len(endpoints))
	for _, bad := range []bool{true, false} {
		for _, e := range endpoints {
			if (tone(e.Health) == "bad") == bad {
				sorted = append(sorted, e)
			}
		}
	}
	return sorted
}

// read says how old the last good reading is.
func (s *Service) read() string {
	if s.ReadAge < 0 {
		return "never"
	}
	return seconds(s.ReadAge) + " ago"
}

// zones counts endpoints by zone.
func zones(s *Service) []zoneView {
	var found []zoneView
	for _, e := range s.Endpoints {
		zone := cmp.Or(e.Zone, "zone unknown")
		i := slices.IndexFunc(found, func(z zoneView) bool { return z.Zone == zone })
		if i < 0 {
			found, i = append(found, zoneView{Zone: zone}), len(found)
		}
		found[i].Count++
	}
	slices.SortFunc(found, func(a, b zoneView) int { return cmp.Compare(a.Zone, b.Zone) })
	return found
}

// routes takes the routes to the services that match.
func (v *pageView) routes(matched []Service) {
	names := make(map[string]bool, len(matched))
	for _, s := range matched {
		names[s.Name] = true
	}
	room := maxRoutes
	for _, l := range v.R.Listeners {
		at := listenerView{Listener: l}
		for _, r := range v.R.Routes {
			switch {
			case r.Listener != l.Name || !names[r.Service]:
			case room == 0:
				v.MoreRoutes++
			default:
				room--
				at.Routes = append(at.Routes, routeView{r, r.shareWords()})
			}
		}
		if len(at.Routes) > 0 || !v.Query.Filtered() {
			v.Listeners = append(v.Listeners, at)
		}
	}
}
