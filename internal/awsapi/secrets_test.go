package awsapi

import (
	"bytes"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// signed keeps the signatures and tokens of the requests that pass.
type signed struct {
	*fakeAWS
	mu   sync.Mutex
	seen []string
}

func (s *signed) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.seen = append(s.seen, r.Header.Get("X-Amz-Security-Token"))
	s.seen = append(s.seen, regexp.MustCompile(`Signature=([0-9a-f]{64})`).FindStringSubmatch(r.Header.Get("Authorization"))[1:]...)
	s.mu.Unlock()
	return s.fakeAWS.RoundTrip(r)
}

func TestNoCallOfAWholeRunTellsASecret(t *testing.T) {
	setEnvironment(t)
	answers := map[string]struct {
		status int
		body   string
	}{
		"good":        {200, `{"taskArns":[],"services":[{"serviceName":"x"}],"tasks":[{"taskArn":"x"}],"containerInstances":[{"containerInstanceArn":"x"}]}`},
		"denied":      {400, `{"__type":"AccessDeniedException","message":"no"}`},
		"throttled":   {400, `{"__type":"ThrottlingException","message":"Rate exceeded"}`},
		"expired":     {400, `{"__type":"ExpiredTokenException","message":"expired"}`},
		"clock":       {400, `{"__type":"InvalidSignatureException","message":"Signature expired"}`},
		"server":      {500, `{"__type":"ServerException","message":"later"}`},
		"broken off":  {200, `{"taskArns":["a"`},
		"a page":      {200, `<html>login</html>`},
		"empty":       {200, ``},
		"an error of": {503, ``},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &signed{fakeAWS: &fakeAWS{answers: func(string, map[string]any) (int, string) { return answer.status, answer.body }}}
				seen, log := &results{}, &bytes.Buffer{}
				c, err := New(t.Context(), Options{
					Region: "eu-west-1", Budget: NewBudget(10_000, 10_000), Observer: seen, Transport: a,
					Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				})
				if err != nil {
					t.Fatal(err)
				}
				_, err1 := c.ServiceTasks(t.Context(), "c1", "x")
				_, err2 := c.Services(t.Context(), "c1", []string{"x"})
				_, err3 := c.Tasks(t.Context(), "c1", []string{"x"})
				_, err4 := c.ContainerInstances(t.Context(), "c1", []string{"x"})
				_, err5 := c.InstanceAddrs(t.Context(), []string{"i-1"})
				told := log.String()
				for _, err := range []error{err1, err2, err3, err4, err5} {
					if err != nil {
						told += "\n" + err.Error()
					}
				}
				if len(a.seen) < 10 || len(seen.all) < 5 || strings.Count(log.String(), "called AWS") != len(seen.all) {
					t.Fatalf("%d signatures and tokens, %d tries, in the log:\n%s", len(a.seen), len(seen.all), log)
				}
				for _, s := range append(a.seen, secret, "AKIDEXAMPLE", "token-of-the-session") {
					if s == "" || strings.Contains(told, s) {
						t.Errorf("%q is told:\n%s", s, told)
					}
				}
			})
		})
	}
}
