package ecssim

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
)

// view is the world as one call sees it: late, short and in no order, unless the server is polite.
type view struct {
	*World
	at       time.Time // what is newer is not shown
	pageSize int
	shuffle  func([]string)
	missing  bool // nothing asked for is known
	// elsewhere is a view of another Region, in which the account has nothing.
	elsewhere bool
}

// view makes the view of a call. The world is locked by the view's methods.
func (s *Server) view(action string, fault FaultKind) *view {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &view{World: s.world, at: s.clock(), pageSize: 100, shuffle: func([]string) {}, missing: fault == MissingDescribe}
	if !s.options.Polite {
		late := 300 * time.Millisecond
		v.at = v.at.Add(-time.Duration(s.rng.Int64N(int64(late))))
		v.pageSize = 100 - s.rng.IntN(30)
		seed := s.rng.Uint64()
		v.shuffle = func(all []string) {
			for i := range all { // a cheap shuffle that is the same on each page of a list
				j := int((seed + uint64(i)*2654435761) % uint64(len(all)))
				all[i], all[j] = all[j], all[i]
			}
		}
	}
	if fault == LateList && action == "ListTasks" {
		v.at = v.at.Add(-10 * time.Second)
	}
	return v
}

// page cuts a page out of a sorted list; the token has where it ended.
func (v *view) page(all []string, token string, size int) (items []string, next string, err error) {
	slices.Sort(all)
	after := ""
	if token != "" {
		raw, err := base64.StdEncoding.DecodeString(token)
		if err != nil || !strings.HasPrefix(string(raw), "after:") {
			return nil, "", clientError("InvalidParameterException", "Invalid token")
		}
		after = strings.TrimPrefix(string(raw), "after:")
	}
	i, found := slices.BinarySearch(all, after)
	if found {
		i++
	}
	all = all[i:]
	if size <= 0 || size > v.pageSize {
		size = v.pageSize
	}
	if len(all) > size {
		next = base64.StdEncoding.EncodeToString([]byte("after:" + all[size-1]))
		all = all[:size]
	}
	all = slices.Clone(all)
	v.shuffle(all)
	return all, next, nil
}

// clusterOf finds an ECS cluster by name or ARN; "" is the one called default.
func (v *view) clusterOf(text string) (*cluster, error) {
	name := text[strings.LastIndex(text, "/")+1:]
	if name == "" {
		name = "default"
	}
	c := v.clusters[name]
	if c == nil || v.elsewhere || strings.HasPrefix(text, "arn:") && text != v.clusterARN(name) {
		return nil, clientError("ClusterNotFoundException", "Cluster not found.")
	}
	return c, nil
}

// epoch is a time as awsJson has it: seconds since 1970, with milliseconds.
type epoch time.Time

// MarshalJSON writes the number.
func (e epoch) MarshalJSON() ([]byte, error) {
	return []byte(strconv.FormatFloat(float64(time.Time(e).UnixMilli())/1000, 'f', 3, 64)), nil
}

// at is a time, nil where there is none.
func at(t time.Time) *epoch {
	if t.IsZero() {
		return nil
	}
	e := epoch(t)
	return &e
}
