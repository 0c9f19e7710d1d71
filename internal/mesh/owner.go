package mesh

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Claim is what a task has of the network: a port of a machine, or all of an address.
type Claim struct {
	// Addr is the address; its port is 0 where all ports are the task's.
	Addr netip.AddrPort
	Task string
	// Started is when the task began to run, zero where it only starts; Created is when it was made.
	Started, Created time.Time
}

// Newer tells whether a claim came after another: of an address that is used again the later task has it.
func (c Claim) Newer(o Claim) bool {
	switch {
	case c.Started.IsZero() != o.Started.IsZero():
		return c.Started.IsZero()
	case !c.Started.Equal(o.Started):
		return c.Started.After(o.Started)
	case !c.Created.Equal(o.Created):
		return c.Created.After(o.Created)
	default:
		return c.Task < o.Task
	}
}

// SortClaims puts claims in order of address and task.
func SortClaims(claims []Claim) {
	slices.SortFunc(claims, func(a, b Claim) int { return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Task, b.Task)) })
}

// Owners are the newest claims of all services.
type Owners map[netip.AddrPort]Claim

// NewOwners finds whose each address is.
func NewOwners(services []*Service) Owners {
	owners := Owners{}
	for _, s := range services {
		for _, c := range s.Claims {
			if has, taken := owners[c.Addr]; !taken || has.Task != c.Task && c.Newer(has) {
				owners[c.Addr] = c
			}
		}
	}
	return owners
}

// of is the newest claim to an endpoint's address.
func (o Owners) of(addr netip.AddrPort) (Claim, bool) {
	port, one := o[addr]
	whole, all := o[netip.AddrPortFrom(addr.Addr(), 0)]
	if all && (!one || port.Task != whole.Task && whole.Newer(port)) {
		return whole, true
	}
	return port, one
}

// Lost are the endpoints of a service whose address a newer task has, of this service or another: what they lead to is not
// this service any more.
func (o Owners) Lost(s *Service) []Endpoint {
	var lost []Endpoint
	for _, e := range s.Endpoints {
		if owner, claimed := o.of(e.Addr); claimed && owner.Task != e.Task {
			lost = append(lost, e)
		}
	}
	return lost
}

// Without is the service without endpoints that it lost.
func (o Owners) Without(s *Service, lost []Endpoint) *Service {
	rest := *s
	rest.Endpoints = slices.DeleteFunc(slices.Clone(s.Endpoints), func(e Endpoint) bool { return slices.Contains(lost, e) })
	rest.Excluded = slices.Clone(s.Excluded)
	for _, e := range lost {
		owner, _ := o.of(e.Addr)
		rest.Excluded = append(rest.Excluded, Excluded{
			Task: e.Task, Zone: e.Zone, Deployment: e.Deployment, Revision: e.Revision, Since: owner.Started,
			Reason: LostTo(owner.Task, e.Addr),
		})
	}
	slices.SortStableFunc(rest.Excluded, func(a, b Excluded) int { return cmp.Compare(a.Task, b.Task) })
	return &rest
}

// Owned are the services without the endpoints that they lost.
func Owned(services []*Service) []*Service {
	owners, all := NewOwners(services), slices.Clone(services)
	for i, s := range all {
		if lost := owners.Lost(s); len(lost) > 0 {
			all[i] = owners.Without(s, lost)
		}
	}
	return all
}

// LostTo is why a task is no target whose address a newer one has.
func LostTo(newer string, at netip.AddrPort) string {
	return fmt.Sprintf("the newer task %s has its address %s: a host port is used again after its task, and in host mode tasks of one "+
		"instance collide, as do machines with one nightjar.address", newer, at)
}
