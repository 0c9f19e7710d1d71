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
	// What all sidecars together take of that is fleetRate for describing services, and for tasks listsRate and healthRate while
	// nothing changes, with followRate besides for what changes. The rest is for the account's owners.
	fleetRate, listsRate, healthRate, followRate = 12, 2, 3.5, 10
	// quickest is how often a service is described at most.
	quickest = time.Second
	// listAge is how seldom a quiet service is listed: its description shows that something moved.
	listAge = 30 * time.Second
	// taskAge is how old the description of a quiet task may get. Nothing else shows that a container's health or, after its
	// restart, its host port changed; the contract follows both within 6 s.
	taskAge = 5 * time.Second
)

// Size is what reading costs.
type Size struct {
	// Services are the services, and Tasks the tasks, of each ECS cluster.
	Services, Tasks map[string]int
	// Strangers are the tasks of others there, as far as they are known: a list of the ECS cluster names them too.
	Strangers map[string]int
	// Readers are the sidecars that read as this one does, this one included; at least 1.
	Readers int
}

// calls are those that describe all services, list all, and describe all tasks.
func (s Size) calls() (services, lists, tasks float64) {
	for cluster, n := range s.Services {
		services += pages(n, servicesTogether)
		// One list of the ECS cluster serves several services, where its pages are fewer than those.
		lists += min(float64(n), max(1, pages(s.Tasks[cluster]+s.Strangers[cluster], listed)))
		tasks += pages(s.Tasks[cluster], together)
	}
	return services, lists, tasks
}

// Intervals are how often what is read.
type Intervals struct {
	// Services is how often quiet services are described, and Moving those in motion, which are listed then too.
	Services, Moving time.Duration
	// Lists and Tasks are how often the tasks of quiet services are listed and described.
	Lists, Tasks time.Duration
	// Follow is how many calls a second may go to lists that follow a change.
	Follow float64
}

// IntervalsFor share the budget of one sidecar, rate calls a second, and what all readers together may take of the account's: a
// sidecar with a higher rate takes as much larger a share.
func IntervalsFor(size Size, rate float64) Intervals {
	services, lists, tasks := size.calls()
	share := rate / float64(max(1, size.Readers))
	// Lists and tasks are paid from one of AWS's buckets, services from another.
	i := Intervals{
		Lists:  max(listAge, after(lists, min(listsRate*share, 0.2*rate))),
		Tasks:  max(taskAge, after(tasks, min(healthRate*share, 0.4*rate))),
		Follow: followRate * share,
	}
	left := 0.95*rate - per(lists, i.Lists) - per(tasks, i.Tasks)
	i.Moving = max(quickest, after(services, fleetRate*share), after(1, rate), wave(size.Readers))
	i.Services = max(i.Moving, after(services, left))
	return i
}

// wave is over how long many sidecars must see the same change, so that the account pays for what that makes them ask: each lists
// and describes tasks at once. Its bucket fills again meanwhile, and most of a burst is there for what that doesn't pay.
func wave(readers int) time.Duration {
	const calls, kept, refill = 2, 20, 11
	return max(0, after(calls*float64(readers)-(accountBurst-kept), refill))
}

// inSteps are the intervals as they come out where it is looked at what is due after each pause.
func (i Intervals) inSteps(pause time.Duration) Intervals {
	up := func(d time.Duration) time.Duration { return (d + pause - 1).Truncate(pause) }
	return Intervals{Services: up(i.Services), Moving: up(i.Moving), Lists: up(i.Lists), Tasks: up(i.Tasks), Follow: i.Follow}
}

// after is how long so many calls take at a rate.
func after(calls, rate float64) time.Duration {
	return time.Duration(calls / rate * float64(time.Second))
}

// per are the calls a second of so many in each interval.
func per(calls float64, every time.Duration) float64 { return calls / every.Seconds() }

// Spread is over how long sidecars that start together put off what reading costs at first, so that the account's burst of 100
// calls and its refill pay for all of it and something is left.
func Spread(size Size) time.Duration {
	_, lists, tasks := size.calls()
	const kept, refill = 60, 14
	return min(15*time.Second, max(0, after(float64(size.Readers)*(lists+tasks+1)-(accountBurst-kept), refill)))
}

// accountBurst are the calls that may come at once after a rest. Source: as accountRate.
const accountBurst = 100

// Pace is what an Inventory costs in the long run, while nothing changes, and how fresh it is for that.
type Pace struct {
	Services, Tasks int
	// Calls is what one read of all services costs, on average.
	Calls float64
	// Every is how often what is read.
	Every Intervals
	// Sidecars are how many of the same kind use up what the account has.
	Sidecars int
	// Readers are the sidecars that the pace leaves room for.
	Readers int
	rate    float64
}

// NewPace is the pace of reading at a rate in calls a second, with a pause between reads.
func NewPace(size Size, rate float64, wait time.Duration) Pace {
	services, lists, tasks := size.calls()
	p := Pace{Every: IntervalsFor(size, rate).inSteps(wait), Readers: max(1, size.Readers), rate: rate}
	for cluster, n := range size.Services {
		p.Services += n
		p.Tasks += size.Tasks[cluster]
	}
	if p.Services == 0 {
		return p
	}
	ofServices, ofTasks := per(services, p.Every.Services), per(lists, p.Every.Lists)+per(tasks, p.Every.Tasks)
	p.Calls = (ofServices + ofTasks) * p.Every.Services.Seconds()
	p.Sidecars = int(accountRate / max(ofServices, ofTasks))
	return p
}

func pages(n, size int) float64 { return math.Ceil(float64(n) / float64(size)) }

// String is a line for people.
func (p Pace) String() string {
	line := fmt.Sprintf("%s, %s: a read costs %s; at %s you are fresh within %s",
		count(float64(p.Services), "service", "services"), count(float64(p.Tasks), "task", "tasks"),
		count(p.Calls, "call", "calls"), count(p.rate, "call/s", "calls/s"), seconds(p.Every.Services))
	if p.Every.Moving < p.Every.Services {
		line += fmt.Sprintf(" (%s while something moves)", seconds(p.Every.Moving))
	}
	if p.Every.Tasks > taskAge+time.Second {
		line += fmt.Sprintf(", %s for a container's health", seconds(p.Every.Tasks))
	}
	if p.Sidecars == 0 && p.Services > 0 {
		return line + fmt.Sprintf("; that alone is more than the %d calls/s that the whole account has", accountRate)
	}
	if p.Readers > 1 {
		line += fmt.Sprintf("; that leaves room for %d sidecars like this one, as many as are seen", p.Readers)
	}
	return line + fmt.Sprintf("; %s like this one would use up the %d reads a second that everybody in the account shares",
		count(float64(p.Sidecars), "sidecar", "sidecars"), accountRate)
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
