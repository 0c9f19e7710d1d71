package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what happens between scrapes; what is merely so at a scrape comes from the Report's sources. It
// implements the observers of awsapi, control and xds. The names are a public promise.
type Metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	callTime *prometheus.HistogramVec
	changes  *prometheus.CounterVec
	publish  prometheus.Histogram
	nacks    *prometheus.CounterVec
	overdue  prometheus.Counter
}

// NewMetrics makes the metrics with a registry of their own.
func NewMetrics() *Metrics {
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nightjar_aws_calls_total", Help: "Calls to AWS, each try counted, by action and result.",
		}, []string{"action", "result"}),
		callTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "nightjar_aws_call_seconds", Help: "Time of a call to AWS, each try by itself.", Buckets: buckets,
		}, []string{"action"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nightjar_mesh_changes_total", Help: "Published changes of what a service serves.",
		}, []string{"service"}),
		publish: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "nightjar_publish_seconds", Buckets: buckets,
			Help: "Time from the publishing of a change to its last acknowledgement by an Envoy.",
		}),
		nacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nightjar_xds_nacks_total", Help: "Responses that an Envoy refused, by resource type.",
		}, []string{"type"}),
		overdue: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nightjar_xds_overdue_total", Help: "Times that an Envoy did not answer in 5 s and publishing went on without.",
		}),
	}
	m.registry.MustRegister(m.calls, m.callTime, m.changes, m.publish, m.nacks, m.overdue)
	return m
}

// Called counts a try of a call to AWS.
func (m *Metrics) Called(action, result string, took time.Duration) {
	m.calls.WithLabelValues(action, result).Inc()
	m.callTime.WithLabelValues(action).Observe(took.Seconds())
}

// Changed counts a change of what a service serves.
func (m *Metrics) Changed(service string) { m.changes.WithLabelValues(service).Inc() }

// Refused counts a response that an Envoy refused.
func (m *Metrics) Refused(shortType string) { m.nacks.WithLabelValues(shortType).Inc() }

// Overdue counts what went on without an Envoy's answer.
func (m *Metrics) Overdue() { m.overdue.Inc() }

// Acknowledged notes the time from publishing to the last acknowledgement.
func (m *Metrics) Acknowledged(took time.Duration) { m.publish.Observe(took.Seconds()) }

// gatherer adds what is so at the scrape.
func (m *Metrics) gatherer(s *Server) prometheus.Gatherers {
	now := prometheus.NewRegistry()
	now.MustRegister(newGauges(s))
	return prometheus.Gatherers{m.registry, now}
}

// gauges collects what is so at a scrape.
type gauges struct {
	server                                                                 *Server
	rate, age, endpoints, streams, acked, errors, ready, interval, readers *prometheus.Desc
}

func newGauges(s *Server) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("nightjar_"+name, help, labels, nil)
	}
	return &gauges{
		server: s,
		rate:   desc("aws_rate_limit", "Calls a second that may go to an AWS bucket now.", "bucket"),
		age:    desc("read_age_seconds", "Age of the last good reading of a service.", "service"),
		endpoints: desc("endpoints",
			"Endpoints of a service by state: healthy, unknown and unhealthy take traffic; at closed ones, of own containers, nothing listens; "+
				"excluded tasks take none.",
			"service", "state"),
		streams: desc("xds_streams", "Connected Envoys."),
		acked:   desc("xds_acked_age_seconds", "Age of the oldest published change that a connected Envoy has not acknowledged; 0 if all are."),
		errors:  desc("config_errors", "Services that cannot be served as they are set up; the status names each problem."),
		ready:   desc("ready", "1 when ready, else 0."),
		interval: desc("read_interval_seconds",
			"How often AWS is asked, as paced now: for a quiet service, for one that is moving, for running tasks.", "kind"),
		readers: desc("readers", "Sidecars that are seen to read AWS as this one does, this one included."),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.rate, g.age, g.endpoints, g.streams, g.acked, g.errors, g.ready, g.interval, g.readers} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	now, status := time.Now(), g.server.Loop.Status()
	problems := 0
	for _, s := range status.Services {
		name := s.Service.Name
		if !s.ReadAt.IsZero() {
			gauge(g.age, now.Sub(s.ReadAt).Seconds(), name)
		}
		for state, count := range countByHealth(s.Service, s.Own) {
			gauge(g.endpoints, float64(count), name, state)
		}
		gauge(g.endpoints, float64(len(s.Service.Excluded)), name, "excluded")
		if s.Service.Problem != "" {
			problems++
		}
	}
	nodes := g.server.Envoys.Nodes()
	oldest := time.Duration(0)
	for _, n := range nodes {
		if !n.Current {
			oldest = max(oldest, now.Sub(n.PendingSince))
		}
	}
	for bucket, rate := range g.server.Rates.Rates() {
		gauge(g.rate, rate, bucket)
	}
	gauge(g.streams, float64(len(nodes)))
	gauge(g.acked, oldest.Seconds())
	gauge(g.errors, float64(problems))
	ready := 0.0
	if notReady(status, g.server.Envoys.Accepted(), len(nodes)) == "" {
		ready = 1
	}
	gauge(g.ready, ready)
	if p := g.server.readPace(); p.Readers > 0 {
		gauge(g.readers, float64(p.Readers))
		for kind, every := range map[string]time.Duration{"quiet": p.Quiet, "moving": p.Moving, "tasks": p.Tasks} {
			gauge(g.interval, every.Seconds(), kind)
		}
	}
}
