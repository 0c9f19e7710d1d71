package control

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// caused is an error with a cause that several have.
type caused struct{ asked, cause string }

func (c caused) Error() string { return c.asked + ": " + c.cause }
func (c caused) Cause() string { return c.cause }

// count tells how often the log says that a fault began, and that one ended.
func count(log *logged) (began, ended int) {
	return strings.Count(log.String(), "cannot read;"), strings.Count(log.String(), "reading works again")
}

func TestAFaultThatStrikesServicesOneAfterAnotherIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ports: map[string][]uint16{"c/a": {1}, "c/b": {3}}, errs: map[string]error{}}
		_, _, log := start(t, w)
		strike := func(services ...string) {
			w.change(func() {
				clear(w.errs)
				for _, s := range services {
					w.errs[s] = caused{"asking for " + s, "throttled"}
				}
			})
			rounds(2)
		}
		for range 5 {
			strike("c/a")
			strike("c/a", "c/b")
			strike("c/b")
			strike()
		}
		if began, ended := count(log); began != 1 || ended != 0 {
			t.Fatalf("while it comes and goes it is said %d times to begin, %d to end:\n%s", began, ended, log)
		}
		rounds(5)
		if began, ended := count(log); began != 1 || ended != 1 {
			t.Fatalf("then it is said %d times to begin, %d to end:\n%s", began, ended, log)
		}
		if !strings.Contains(log.String(), `services="c/a, c/b" after=38s`) {
			t.Errorf("what it struck, and how long:\n%s", log)
		}
		strike("c/b")
		if began, _ := count(log); began != 2 {
			t.Errorf("later it is another one:\n%s", log)
		}
	})
}

func TestTwoCausesAreTwoFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ports: map[string][]uint16{"c/a": {1}, "c/b": {3}}, errs: map[string]error{}}
		_, _, log := start(t, w)
		w.change(func() {
			w.errs["c/a"], w.errs["c/b"] = caused{"a", "denied"}, errors.New("reset")
		})
		rounds(60)
		w.change(func() { delete(w.errs, "c/a") })
		rounds(6)
		if began, ended := count(log); began != 2 || ended != 1 {
			t.Errorf("said %d times to begin, %d to end:\n%s", began, ended, log)
		}
	})
}

func TestTheEndOfAFaultIsSaidThoughNothingIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ports: map[string][]uint16{"c/a": {1}, "c/b": {3}}, errs: map[string]error{}}
		_, _, log := start(t, w)
		w.change(func() { w.errs["c/a"] = errors.New("reset") })
		rounds(40)
		w.change(func() { clear(w.errs) })
		rounds(1)
		w.change(func() { w.idle = true })
		rounds(int(calm / time.Second))
		if began, ended := count(log); began != 1 || ended != 1 {
			t.Errorf("said %d times to begin, %d to end:\n%s", began, ended, log)
		}
	})
}

func TestAFaultSaysWhatStaysOnlyOfWhatWasRead(t *testing.T) {
	for name, test := range map[string]struct {
		atStart, later []string
		want           string
	}{
		"nothing was read": {[]string{"c/a", "c/b"}, nil, `"cannot read; only an Envoy that had it before serves it, as nothing was read since the start; reading goes on"`},
		"all was read":     {nil, []string{"c/a", "c/b"}, `"cannot read; what is served stays as it was; reading goes on"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{ports: map[string][]uint16{"c/a": {1}, "c/b": {3}}, errs: map[string]error{}}
				for _, s := range test.atStart {
					w.errs[s] = errors.New("refused")
				}
				_, _, log := start(t, w)
				rounds(40)
				w.change(func() {
					for _, s := range test.later {
						w.errs[s] = errors.New("reset")
					}
				})
				rounds(2)
				if !strings.Contains(log.String(), test.want) {
					t.Errorf("%s", log)
				}
			})
		})
	}
}

func TestAFaultThatStrikesBothSaysSo(t *testing.T) {
	o := outages{}
	o.fail("c/a", errors.New("reset"), true, time.Now())
	o.fail("c/b", errors.New("reset"), false, time.Now())
	if got := o.begun()[0].effect(); got != "what is served stays as it was, and what was not read since the start (1) only in an Envoy that had it before" {
		t.Error(got)
	}
}
