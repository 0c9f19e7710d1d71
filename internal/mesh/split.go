package mesh

import (
	"fmt"
	"slices"
)

// Split is what a path of a listener leads to now: one service, or several that share it by weight.
type Split struct {
	Listener, Path string
	Policy         Policy
	Shares         []Share
}

// Share is a service's part of a path.
type Share struct {
	Service string
	// Weight is relative to the sum of all weights of the path.
	Weight uint32
	// PassedOn marks a service that has nothing to serve, so that its weight is 0 and the others take its share.
	PassedOn bool
}

// Equal tells whether both lead to the same.
func (s Split) Equal(o Split) bool {
	return s.Listener == o.Listener && s.Path == o.Path && s.Policy == o.Policy && slices.Equal(s.Shares, o.Shares)
}

// Splits lists what the routes of a proxy lead to, in match order. Where services share a path by weight, one with nothing
// to serve passes its share to the others; where none of them has anything, the weights stay as they were set. A weight of
// 0 stays 0: it was set so that no request goes there.
func (m *Mesh) Splits(p Proxy) []Split {
	splits := make([]Split, 0, len(p.Routes))
	shares := make([]Share, 0, len(p.Routes)) // of all splits, as routes of one path are neighbours
	for _, r := range p.Routes {
		shares = append(shares, Share{Service: r.Service, Weight: r.share()})
		end := len(shares)
		if n := len(splits); n > 0 && splits[n-1].Listener == r.Listener && splits[n-1].Path == r.Path {
			splits[n-1].Shares = shares[end-len(splits[n-1].Shares)-1 : end : end]
			continue
		}
		splits = append(splits, Split{Listener: r.Listener, Path: r.Path, Policy: r.Policy, Shares: shares[end-1 : end : end]})
	}
	for _, s := range splits {
		if len(s.Shares) > 1 {
			m.passOn(s.Shares)
		}
	}
	return splits
}

func (m *Mesh) passOn(shares []Share) {
	serves := func(s Share) bool { return s.Weight > 0 && len(m.Service(s.Service).Endpoints) > 0 }
	if !slices.ContainsFunc(shares, serves) {
		return
	}
	for i, s := range shares {
		if s.Weight > 0 && !serves(s) {
			shares[i].Weight, shares[i].PassedOn = 0, true
		}
	}
}

// share is the route's weight as set, 1 without one.
func (r Route) share() uint32 {
	if r.Weighted {
		return r.Weight
	}
	return 1
}

// DiffShares says in words which services began or ceased to pass their share of a path on; before may be nil.
func DiffShares(before, after *Mesh) []string {
	was, words := map[passed]bool{}, []string(nil)
	if before != nil {
		was = before.passedOn()
	}
	now := after.passedOn()
	for p := range now {
		if !was[p] {
			words = append(words, fmt.Sprintf("%s %s: %s has nothing to serve; the others take its share", p.listener, p.path, p.service))
		}
	}
	for p := range was {
		if !now[p] {
			words = append(words, fmt.Sprintf("%s %s: %s has its share again", p.listener, p.path, p.service))
		}
	}
	slices.Sort(words)
	return words
}

// passed is a share that is passed on.
type passed struct{ proxy, listener, path, service string }

func (m *Mesh) passedOn() map[passed]bool {
	found := map[passed]bool{}
	for _, p := range m.Proxies {
		if !slices.ContainsFunc(p.Routes, func(r Route) bool { return r.Weighted }) {
			continue
		}
		for _, s := range m.Splits(p) {
			for _, share := range s.Shares {
				if share.PassedOn {
					found[passed{p.ID, s.Listener, s.Path, share.Service}] = true
				}
			}
		}
	}
	return found
}
