package mesh

import (
	"fmt"
	"net/netip"
	"strings"
)

// Change is what became different in one service between two meshes.
type Change struct {
	Service string
	// Added and Removed count endpoints by address; Serving counts those now.
	Added, Removed, Serving int
	// Ceased tells that it comes to serve nothing: it served before, or it is new and has nothing.
	Ceased bool
	// Note is a change of state or problem, in words; "" where there is none.
	Note string
}

// String reads well in a log line: "orders: +2 −1 endpoints, 4 serving".
func (c Change) String() string {
	var parts []string
	if c.Added > 0 {
		parts = append(parts, fmt.Sprintf("+%d", c.Added))
	}
	if c.Removed > 0 {
		parts = append(parts, fmt.Sprintf("−%d", c.Removed))
	}
	text := c.Service + ":"
	if len(parts) > 0 {
		text += " " + strings.Join(parts, " ") + " endpoints,"
	}
	text += fmt.Sprintf(" %d serving", c.Serving)
	if c.Note != "" {
		text += "; " + c.Note
	}
	return text
}

// Diff lists what users would notice between two meshes, in order of service; before may be nil. A change of health or
// of excluded tasks alone is none.
func Diff(before, after *Mesh) []Change {
	var changes []Change
	for _, s := range after.Services {
		var old *Service
		if before != nil {
			old = before.Service(s.Name)
		}
		if old == s {
			continue
		}
		if c, changed := diffService(old, s); changed {
			changes = append(changes, c)
		}
	}
	if before == nil {
		return changes
	}
	for _, s := range before.Services {
		if after.Service(s.Name) == nil {
			changes = append(changes, Change{Service: s.Name, Removed: len(s.Endpoints), Note: "no longer routed to"})
		}
	}
	return changes
}

func diffService(old, now *Service) (Change, bool) {
	if old == nil {
		old = &Service{}
	}
	c := Change{Service: now.Name, Serving: len(now.Endpoints)}
	had := make(map[netip.AddrPort]bool, len(old.Endpoints))
	for _, e := range old.Endpoints {
		had[e.Addr] = true
	}
	for _, e := range now.Endpoints {
		if !had[e.Addr] {
			c.Added++
		}
		delete(had, e.Addr)
	}
	c.Removed = len(had)
	c.Ceased = c.Serving == 0 && now.State != Unread && (len(old.Endpoints) > 0 || old.State == Unread)
	switch {
	case now.Problem != old.Problem && now.Problem != "":
		c.Note = now.Problem
	case now.Problem != old.Problem:
		c.Note = "the problem is gone"
	case now.State != old.State && (now.State != Active || old.State != Unread):
		c.Note = now.State.String()
	}
	return c, c.Added > 0 || c.Removed > 0 || c.Note != ""
}
