package control

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// calm is how long nothing fails before a fault is said to be over: one that strikes now this service and now that one is one
// fault.
const calm = 5 * time.Second

// causer is an error that tells its cause, which is the same for all services that one fault strikes.
type causer interface{ Cause() string }

// causeOf is the cause of an error.
func causeOf(err error) string {
	var c causer
	if errors.As(err, &c) {
		return c.Cause()
	}
	return err.Error()
}

// outage is a fault from the first reading that failed by its cause until none has for a while.
type outage struct {
	cause string
	// err is the first error, and said tells that it was logged.
	err  error
	said bool
	// struck are the services that it kept from being read so far, and failing those that it still does.
	struck, failing []string
	// unread are how many of the struck were not read before, since the start.
	unread int
	// began is when it began, quiet since when nothing fails.
	began, quiet time.Time
}

// outages are the faults that last. One that is over is said to be so in one line, however many services it struck.
type outages []*outage

// fail adds a service that a fault strikes: one that lasts, by its cause, or a new one.
func (all *outages) fail(service string, err error, unread bool, now time.Time) {
	cause := causeOf(err)
	at := slices.IndexFunc(*all, func(o *outage) bool { return o.cause == cause })
	if at < 0 {
		at = len(*all)
		*all = append(*all, &outage{cause: cause, err: err, began: now})
	}
	o := (*all)[at]
	o.failing = append(o.failing, service)
	if !slices.Contains(o.struck, service) {
		o.struck = append(o.struck, service)
		if unread {
			o.unread++
		}
	}
}

// effect says what becomes of the services that it strikes.
func (o *outage) effect() string {
	const read, unread = "what is served stays as it was", "only an Envoy that had it before serves it, as nothing was read since the start"
	switch o.unread {
	case 0:
		return read
	case len(o.struck):
		return unread
	default:
		return fmt.Sprintf("%s, and what was not read since the start (%d) only in an Envoy that had it before", read, o.unread)
	}
}

// begun are the faults that were not said yet.
func (all *outages) begun() []*outage {
	var begun []*outage
	for _, o := range *all {
		if !o.said {
			o.said = true
			begun = append(begun, o)
		}
	}
	return begun
}

// recover takes away a service that is read again.
func (all *outages) recover(service string, now time.Time) {
	for _, o := range *all {
		before := len(o.failing)
		o.failing = slices.DeleteFunc(o.failing, func(s string) bool { return s == service })
		if before > 0 && len(o.failing) == 0 {
			o.quiet = now
		}
	}
}

// over takes out the faults that are over.
func (all *outages) over(now time.Time) []*outage {
	var ended []*outage
	*all = slices.DeleteFunc(*all, func(o *outage) bool {
		if len(o.failing) > 0 || now.Sub(o.quiet) < calm {
			return false
		}
		ended = append(ended, o)
		return true
	})
	return ended
}
