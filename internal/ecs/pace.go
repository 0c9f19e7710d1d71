package ecs

import (
	"fmt"
	"math"
	"time"
)

const (
	// listed is how many tasks a page of ListTasks names. Source: ECS API reference.
	listed = 100
	// accountRate are the calls a second that everybody in an account and Region has together for listing and describing
	// tasks; for describing services they are as many again.
	// Source: Amazon ECS API reference, "Request throttling for the Amazon ECS API": burst 100, refill 20 a second.
	accountRate = 20
)

// Size is what the cost of reading a service depends on.
type Size struct {
	// Cluster is the name of its ECS cluster: services of one share calls.
	Cluster string
	Tasks   int
}

// Pace is what an Inventory costs in the long run, while nothing changes, and how fresh it can be for that.
type Pace struct {
	Services, Tasks int
	// Calls is what one read of all services costs, on average.
	Calls float64
	// Round is the time from one read to the next: how old a reading gets.
	Round time.Duration
	// Health is how old the description of a task gets, and with it what is known of its containers' health.
	Health time.Duration
	// Sidecars are how many of the same kind use up what the account has.
	Sidecars int

	rate   float64
	waited bool // the pause between reads sets the pace, not the budget
}

// NewPace is the pace of reading services at a rate in calls a second, with a pause between reads. Services read under
// several names count once.
func NewPace(services []Size, rate float64, wait time.Duration) Pace {
	p := Pace{Services: len(services), rate: rate}
	tasksOf, servicesOf := map[string]int{}, map[string]int{}
	var lists, tasks, described float64
	for _, s := range services {
		p.Tasks += s.Tasks
		tasksOf[s.Cluster] += s.Tasks
		servicesOf[s.Cluster]++
		lists += max(1, pages(s.Tasks, listed))
	}
	for cluster, n := range servicesOf {
		tasks += pages(tasksOf[cluster], together)
		described += pages(n, servicesTogether)
	}
	took := func(calls float64) time.Duration {
		return max(wait, time.Duration(calls/rate*float64(time.Second)))
	}
	// What is described is due again in the first round in which it is old enough. For tasks the round's lists come first.
	everyTasks := roundsIn(taskAge, took(lists))
	inBucket := lists + tasks/everyTasks
	p.Calls = inBucket + described/roundsIn(serviceAge, took(inBucket))
	p.Round = took(p.Calls)
	p.Health = time.Duration(everyTasks * float64(p.Round))
	p.waited = p.Round == wait
	if p.Round > 0 && p.Services > 0 {
		p.Sidecars = int(accountRate * p.Round.Seconds() / inBucket)
	}
	return p
}

func pages(n, size int) float64 { return math.Ceil(float64(n) / float64(size)) }

// roundsIn is in how many rounds something gets that old, at least one.
func roundsIn(age, round time.Duration) float64 {
	if round <= 0 {
		return 1
	}
	return math.Ceil(float64(age) / float64(round))
}

// String is a line for people.
func (p Pace) String() string {
	at := fmt.Sprintf("at %s", count(p.rate, "call/s", "calls/s"))
	if p.waited {
		at = fmt.Sprintf("with WAITTIME=%d", p.Round.Milliseconds())
	}
	line := fmt.Sprintf("%s, %s: a read costs %s; %s you are fresh within %s",
		count(float64(p.Services), "service", "services"), count(float64(p.Tasks), "task", "tasks"),
		count(p.Calls, "call", "calls"), at, seconds(p.Round))
	if p.Health > max(p.Round, taskAge+time.Second) {
		line += fmt.Sprintf(" (%s for a container's health)", seconds(p.Health))
	}
	if p.Sidecars == 0 && p.Services > 0 {
		return line + fmt.Sprintf("; that alone is more than the %d calls/s that the whole account has", accountRate)
	}
	return line + fmt.Sprintf("; %s like this one would use the account's whole bucket", count(float64(p.Sidecars), "sidecar", "sidecars"))
}

// count is a number with at most one digit behind the point, and what it counts.
func count(n float64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%.4g %s", digits(n), many)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.4g s", digits(d.Seconds())) }

// digits keeps one digit behind the point, of small numbers two.
func digits(n float64) float64 {
	if n < 1 {
		return math.Round(n*100) / 100
	}
	return math.Round(n*10) / 10
}
