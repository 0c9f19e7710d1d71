package envoy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// timeline is a drain in which looks are taken four times a second.
type timeline struct {
	drainTime time.Duration
	asked     time.Duration // SIGTERM; below 0 for never
	task      func(at time.Duration) Task
	load      func(at time.Duration) *Load
}

// play says when each step came, and why, within a minute.
func (l timeline) play() string {
	begin := time.Unix(1_000_000, 0)
	d := &drain{time: l.drainTime}
	var said []string
	for at := time.Duration(0); at <= time.Minute && d.step != leaving; at += 250 * time.Millisecond {
		for {
			m := moment{now: begin.Add(at)}
			if l.asked >= 0 && at >= l.asked {
				m.asked = begin.Add(l.asked)
				m.load = l.load(at)
			}
			if l.task != nil {
				m.task = l.task(at)
			}
			due, why := d.next(m)
			if due == d.step {
				break
			}
			if d.step = due; due == draining {
				d.since = m.now
			}
			name := map[step]string{draining: "draining", closing: "closing", leaving: "leaving"}[due]
			said = append(said, strings.TrimSuffix(fmt.Sprintf("%s %s: %s", at, name, why), ": "))
		}
	}
	return strings.Join(said, "; ")
}

// loads are ingress and egress as they are until a time and from then on.
func loads(until time.Duration, busy, idle Load) func(time.Duration) *Load {
	return func(at time.Duration) *Load {
		now := idle
		if at < until {
			now = busy
			now.Ingress.Answered = uint64(at) // it moves
		} else {
			now.Ingress.Answered = uint64(until)
		}
		return &now
	}
}

// stopping is a task with three apps, of which one is done before; it begins to stop, and the others are gone later.
func stopping(begins, gone time.Duration) func(time.Duration) Task {
	return func(at time.Duration) Task {
		task := Task{Stopping: at >= begins, Apps: 3, Gone: 1}
		if at >= gone {
			task.Gone = 3
		}
		return task
	}
}

func TestTheOrderOfADrain(t *testing.T) {
	const never, second = time.Hour, time.Second
	lane := func(active uint64) Lane { return Lane{There: true, Active: active} }
	both := func(ingress, egress uint64) Load { return Load{Ingress: lane(ingress), Egress: lane(egress)} }
	ingress := func(active uint64) Load { return Load{Ingress: lane(active)} }
	const drain, over, idle, gone = "draining: SIGTERM; ", "closing: the drain time is over; ", "closing: nothing is in flight, and nothing comes; ",
		"closing: the apps have stopped, and nothing is in flight; "
	for name, test := range map[string]struct {
		timeline
		want string
	}{
		"app first": {
			timeline{20 * second, 10 * second, stopping(2*second, 9*second), loads(9*second, both(3, 1), both(0, 0))},
			"2s draining: the task is being stopped; 10s " + gone + "10s leaving",
		},
		"app first, and something is still in flight": {
			timeline{20 * second, 10 * second, stopping(2*second, 9*second), loads(12*second, both(0, 1), both(0, 0))},
			"2s draining: the task is being stopped; 12s " + gone + "12s leaving",
		},
		"Envoy first: an app may need egress": {
			timeline{20 * second, second, stopping(second, never), loads(4*second, both(3, 1), both(0, 0))},
			"1s " + drain + "19s " + over + "20s leaving",
		},
		"Envoy first, and something is in flight to the end": {
			timeline{20 * second, second, stopping(second, never), loads(never, both(3, 1), both(0, 0))},
			"1s " + drain + "19s " + over + "20s leaving",
		},
		"Envoy first, ingress alone": {
			timeline{20 * second, second, stopping(second, never), loads(2*second, ingress(3), ingress(0))},
			"1s " + drain + "4s " + idle + "4s leaving",
		},
		"ingress alone, and others still send": {
			timeline{20 * second, second, stopping(second, never), loads(9*second, ingress(0), ingress(0))},
			"1s " + drain + "10s " + idle + "10s leaving",
		},
		"all at once": {
			timeline{20 * second, 0, stopping(0, 2*second), loads(second, both(3, 1), both(0, 0))},
			"0s " + drain + "2s " + gone + "2s leaving",
		},
		"Envoy's container alone": {
			timeline{20 * second, 0, stopping(never, never), loads(second, both(3, 1), both(0, 0))},
			"0s " + drain + "3s " + idle + "3s leaving",
		},
		"no task is known": {
			timeline{20 * second, 0, nil, loads(5*second, both(0, 1), both(0, 0))},
			"0s " + drain + "6s " + idle + "6s leaving",
		},
		"answers that clients take slowly": {
			timeline{20 * second, 0, nil, loads(8*second, Load{Ingress: Lane{There: true, Unsent: 9}}, ingress(0))},
			"0s " + drain + "9s " + idle + "9s leaving",
		},
		"a short time": {
			timeline{3 * second, 0, nil, loads(never, both(3, 1), both(0, 0))},
			"0s " + drain + "2s " + over + "2.5s leaving",
		},
		"no time": {
			timeline{0, 0, nil, loads(never, both(3, 1), both(0, 0))},
			"0s " + drain + "0s " + over + "0s leaving",
		},
		"no listener yet": {
			timeline{20 * second, 0, stopping(0, never), loads(0, Load{}, Load{})},
			"0s " + drain + "0s closing: there is nothing to serve; 0s leaving",
		},
		"Envoy doesn't tell": {
			timeline{20 * second, 0, stopping(0, 2*second), func(time.Duration) *Load { return nil }},
			"0s " + drain + "18s " + over + "19s leaving",
		},
		"SIGTERM doesn't come": {
			timeline{20 * second, -1, stopping(second, 2*second), nil}, "1s draining: the task is being stopped",
		},
		"nobody wants its end": {timeline{20 * second, -1, stopping(never, 2*second), nil}, ""},
	} {
		if got := test.play(); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

func TestTheLoadIsThatOfIngressAndEgress(t *testing.T) {
	got := loadIn(map[string]uint64{
		"http.ingress.downstream_rq_active": 1, "http.ingress-8081.downstream_rq_active": 2, "http.egress.downstream_rq_active": 4,
		"http.ingress.downstream_rq_completed": 10, "http.ingress-8081.downstream_rq_completed": 20, "http.ingress.downstream_rq_total": 99,
		"http.ingress-8081.downstream_cx_tx_bytes_buffered": 7,
		"http.admin.downstream_rq_active":                   5, "http.envoy-stats.downstream_rq_active": 6,
	})
	want := Load{Ingress: Lane{There: true, Active: 3, Answered: 30, Unsent: 7}, Egress: Lane{There: true, Active: 4}}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if none := loadIn(map[string]uint64{"http.admin.downstream_rq_active": 1}); none != (Load{}) || none.busy() {
		t.Errorf("%+v", none)
	}
}
