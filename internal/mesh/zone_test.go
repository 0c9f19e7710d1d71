package mesh

import (
	"fmt"
	"strings"
	"testing"
)

// zoned is a service with an endpoint for each letter: in that zone, or with "-" in one that is not known.
func zoned(zones string) *Service {
	s := &Service{State: Active}
	for i, zone := range strings.Split(zones, "") {
		s.Endpoints = append(s.Endpoints, Endpoint{Task: fmt.Sprint(i), Zone: strings.Trim(zone, "-")})
	}
	return s
}

func TestTheOwnZoneGoesFirstWhereItsShareIsAdequate(t *testing.T) {
	for zones, want := range map[string]string{
		"aaaabbbbcccc":   "4 of 12 endpoints are in this task's zone and take all requests while they work",
		"aaabbbcccc":     "3 of 10 endpoints are in this task's zone and take all requests while they work",
		"aabbbbcccc":     "2 of 10 endpoints are in this task's zone, too few for all requests: all zones share them",
		"aabbbccc":       "2 of 8 endpoints are in this task's zone and take all requests while they work", // 1.33 times the average
		"aabb":           "2 of 4 endpoints are in this task's zone and take all requests while they work",
		"aaaaaaaab":      "8 of 9 endpoints are in this task's zone and take all requests while they work",
		"aaaaabbbbbbbbb": "5 of 14 endpoints are in this task's zone and take all requests while they work", // 1.4 times: the bound itself
		"aaaabbbbbbbb":   "4 of 12 endpoints are in this task's zone, too few for all requests: all zones share them",
		"abbbbcccc":      "1 of 9 endpoints is in this task's zone, too few for all requests: all zones share them",
		"abc":            "1 of 3 endpoints is in this task's zone, too few for all requests: all zones share them",
		"aa--":           "2 of 4 endpoints are in this task's zone and take all requests while they work",
		"aabc-":          "2 of 5 endpoints are in this task's zone and take all requests while they work",
		"bbbbcccc":       "no endpoint is in this task's zone; all zones share the requests",
		"----":           "no endpoint is in this task's zone; all zones share the requests",
		"aaa":            "all 3 endpoints are in this task's zone",
		"a":              "the only endpoint is in this task's zone",
	} {
		v := zoned(zones).SeenFrom("a")
		if v.First != strings.Contains(want, "take all") || v.String() != "zone a: "+want {
			t.Errorf("%s: first %t, %q", zones, v.First, v)
		}
	}
}

func TestWithoutAZoneOrHealthAllShare(t *testing.T) {
	s := zoned("aabb--")
	if v := s.SeenFrom(""); v.First || v.Local != 0 || v.String() != "" {
		t.Errorf("without a zone: %+v %q", v, v)
	}
	if v := (&Service{}).SeenFrom("a"); v.First || v.String() != "" {
		t.Errorf("without endpoints: %+v %q", v, v)
	}
	for i := range s.Endpoints {
		s.Endpoints[i].Health = Unhealthy
	}
	if v := s.SeenFrom("a"); v.First || !strings.Contains(v.String(), "as all endpoints are UNHEALTHY") {
		t.Errorf("all unhealthy: %+v %q", v, v)
	}
}

// FuzzZoneView holds what is promised: nobody in a zone that goes first gets more than 1.4 times the average, by the requests
// of zones that are alike, and nobody is alone.
func FuzzZoneView(f *testing.F) {
	f.Add("aaaabbbbcccc", "a")
	f.Add("ab-", "")
	f.Fuzz(func(t *testing.T, zones, zone string) {
		s := zoned(zones)
		v := s.SeenFrom(zone)
		distinct := map[string]int{}
		for _, e := range s.Endpoints {
			distinct[e.Zone]++
		}
		local := distinct[zone]
		if zone == "" {
			local = 0
		}
		load := float64(v.All) / float64(len(distinct)) / float64(local) // of a local endpoint, where 1 is the average
		if want := local >= 2 && local < v.All && load <= 1.4+1e-9; v.First != want || v.Local != local || v.All != len(s.Endpoints) {
			t.Errorf("%q from %q: %+v; a local endpoint gets %.3f times the average", zones, zone, v, load)
		}
		if got := v.String(); (got == "") != (zone == "" || v.All == 0) || v.First != strings.Contains(got, "take all requests") {
			t.Errorf("%q", got)
		}
	})
}
