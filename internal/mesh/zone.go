package mesh

import (
	"fmt"
	"slices"
)

// ZoneView is how a proxy of one availability zone sees the endpoints of a service.
type ZoneView struct {
	// Zone is the proxy's, "" for none.
	Zone string
	// Local endpoints are in that zone, of All.
	Local, All int
	// First tells that the local endpoints take all requests while they work. Else all endpoints share them.
	First bool
	// sick tells that unhealthy endpoints serve, as there are no others.
	sick bool
}

const (
	// leastLocal are the endpoints that a zone needs to go first: one alone would take all of the zone's requests, and each
	// of its deployments and deaths would move them all.
	leastLocal = 2
	// mostLoad bounds in percent what an endpoint gets of the load that it would have if all shared it. It is Envoy's usual
	// overprovisioning factor: what Envoy itself lets the endpoints of a zone bear more before others help.
	mostLoad = 140
)

// SeenFrom tells how a proxy of a zone sees the service. The own zone goes first where its share of the endpoints is adequate:
// requests come from all zones alike, as far as anybody knows, so each zone's endpoints are to bear one part in as many as there
// are zones.
func (s *Service) SeenFrom(zone string) ZoneView {
	v := ZoneView{Zone: zone, All: len(s.Endpoints)}
	var zones []string // few; one that is not known counts as one more
	for _, e := range s.Endpoints {
		if !slices.Contains(zones, e.Zone) {
			zones = append(zones, e.Zone)
		}
		if zone != "" && e.Zone == zone {
			v.Local++
		}
		v.sick = v.sick || e.Health == Unhealthy
	}
	v.First = !v.sick && v.Local >= leastLocal && v.Local < v.All && v.Local*len(zones)*mostLoad >= v.All*100
	return v
}

// String says it to people; "" where there is nothing to say.
func (v ZoneView) String() string {
	of := fmt.Sprintf("%d of %d endpoints are", v.Local, v.All)
	switch {
	case v.Zone == "" || v.All == 0:
		return ""
	case v.Local == v.All && v.All == 1:
		return "zone " + v.Zone + ": the only endpoint is in this task's zone"
	case v.Local == v.All:
		return fmt.Sprintf("zone %s: all %d endpoints are in this task's zone", v.Zone, v.All)
	case v.Local == 0:
		return "zone " + v.Zone + ": no endpoint is in this task's zone; all zones share the requests"
	case v.Local == 1:
		of = fmt.Sprintf("1 of %d endpoints is", v.All)
	}
	text := fmt.Sprintf("zone %s: %s in this task's zone", v.Zone, of)
	switch {
	case v.First:
		return text + " and take all requests while they work"
	case v.sick:
		return text + "; as all endpoints are UNHEALTHY, all zones share the requests"
	default:
		return text + ", too few for all requests: all zones share them"
	}
}
