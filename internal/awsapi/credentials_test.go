package awsapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecs"
)

// noKeys takes the keys from the environment, so that the SDK looks elsewhere.
func noKeys(t *testing.T) {
	t.Helper()
	setEnvironment(t)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "")
	}
}

// answering is a server on loopback, as credentials are fetched past the client's Transport.
func answering(t *testing.T, status int, kind, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func emptyList() *fakeAWS {
	return &fakeAWS{answers: func(string, map[string]any) (int, string) { return 200, `{"taskArns":[]}` }}
}

func TestFetchingCredentialsIsNoCallOfOurs(t *testing.T) {
	noKeys(t)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", answering(t, 200, "application/json",
		`{"AccessKeyId":"AKIDEXAMPLE","SecretAccessKey":"x","Token":"y","Expiration":"2099-01-01T00:00:00Z"}`))
	c, seen, _ := newClientWith(t, emptyList(), NewBudget(0.001, 1)) // one call, and none more for hours
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.ServiceTasks(ctx, "c1", "web"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"ListTasks ok"}; !slices.Equal(seen.all, want) {
		t.Fatalf("paid and counted: %v, want %v", seen.all, want)
	}
}

func TestAFaultOfCredentialsIsNoAnswerOfECS(t *testing.T) {
	const denied = `{"code":"AccessDenied","message":"the role cannot be assumed"}`
	tests := map[string]struct {
		set  func(*testing.T)
		want string
	}{
		"the task role's endpoint denies": {
			func(t *testing.T) {
				t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", answering(t, 403, "application/json", denied))
			},
			"the role cannot be assumed",
		},
		"the task has no role": {
			func(t *testing.T) {
				t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", answering(t, 400, "application/json", `{"code":"NoIdInRequest","message":"no ID"}`))
			},
			"no ID",
		},
		"STS denies": {
			func(t *testing.T) {
				token := filepath.Join(t.TempDir(), "token")
				if err := os.WriteFile(token, []byte("web-identity"), 0o600); err != nil {
					t.Fatal(err)
				}
				t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/nightjar")
				t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
				t.Setenv("AWS_ENDPOINT_URL_STS", answering(t, 403, "text/xml",
					`<ErrorResponse><Error><Code>AccessDenied</Code><Message>not for you</Message></Error></ErrorResponse>`))
			},
			"not for you",
		},
		"a credential_process prints what is no JSON": {
			func(t *testing.T) {
				profile := filepath.Join(t.TempDir(), "config")
				if err := os.WriteFile(profile, []byte("[default]\ncredential_process = echo "+secret+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				t.Setenv("AWS_CONFIG_FILE", profile)
			},
			"the credential_process of the AWS profile failed",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			noKeys(t)
			test.set(t)
			c, seen, log := newClientWith(t, emptyList(), NewBudget(10_000, 10_000))
			_, err := c.ServiceTasks(t.Context(), "c1", "web")
			if err == nil || !strings.Contains(err.Error(), "give the task definition a task role (taskRoleArn)") || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if errors.Is(err, ecs.ErrDenied) || !slices.Equal(seen.all, []string{"ListTasks credentials"}) {
				t.Errorf("taken for ECS's own answer: %v, %v", err, seen.all)
			}
			if told := err.Error() + log.String(); strings.Contains(told, secret) || strings.Contains(told, "web-identity") {
				t.Errorf("a secret is told: %s", told)
			}
		})
	}
}

// TestAWSRepeatsARequestAndItsTokenIsNotTold has answers as AWS gives them to a request that is signed wrongly.
func TestAWSRepeatsARequestAndItsTokenIsNotTold(t *testing.T) {
	for code, message := range map[string]string{
		"InvalidSignatureException":    "The Canonical String should have been 'POST x-amz-security-token:token-of-the-session'",
		"IncompleteSignatureException": "not valid in Authorization header: 'Credential=AKIDEXAMPLE/x, Signature=abc'",
	} {
		a := &fakeAWS{answers: func(string, map[string]any) (int, string) {
			return 400, `{"__type":"` + code + `","message":"` + message + `"}`
		}}
		c, _, log := newClient(t, a)
		_, err := c.ServiceTasks(t.Context(), "c1", "web")
		if err == nil || !strings.Contains(err.Error(), "AWS does not accept the credentials") || !strings.Contains(err.Error(), code) {
			t.Fatalf("error %v", err)
		}
		for _, s := range []string{"token-of-the-session", "AKIDEXAMPLE", "Signature="} {
			if strings.Contains(err.Error()+log.String(), s) {
				t.Errorf("%q is told: %v", s, err)
			}
		}
	}
}

func TestEachTryIsNumberedInTheLog(t *testing.T) {
	setEnvironment(t)
	synctest.Test(t, func(t *testing.T) { // for the pause between tries
		n := 0
		a := &fakeAWS{answers: func(string, map[string]any) (int, string) {
			if n++; n == 1 {
				return 400, `{"__type":"ThrottledException","message":"Rate exceeded"}`
			}
			return 200, `{"taskArns":[]}`
		}}
		c, _, log := newClientWith(t, a, NewBudget(10_000, 10_000))
		if _, err := c.ServiceTasks(t.Context(), "c1", "web"); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 {
			t.Fatalf("want two tries in the log:\n%s", log)
		}
		for i, want := range []string{"result=throttled", "result=ok"} {
			if !strings.Contains(lines[i], want) || !strings.HasSuffix(lines[i], fmt.Sprint("attempt=", i+1)) {
				t.Errorf("%s lacks %s attempt=%d", lines[i], want, i+1)
			}
		}
	})
}

// TestCredentialsThatAWSRefusesAreFetchedAnew though they have not expired, and not at each refusal.
func TestCredentialsThatAWSRefusesAreFetchedAnew(t *testing.T) {
	noKeys(t)
	var fetched atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"AccessKeyId":"AKID%d","SecretAccessKey":"x","Token":"y","Expiration":"2099-01-01T00:00:00Z"}`, fetched.Add(1))
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.URL)
	a := &fakeAWS{answers: func(string, map[string]any) (int, string) {
		return 400, `{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}`
	}}
	c, _, _ := newClientWith(t, a, NewBudget(10_000, 10_000))
	for call, want := range []int32{1, 2, 2, 2} {
		if _, err := c.ServiceTasks(t.Context(), "c1", "web"); err == nil {
			t.Fatal("no error")
		}
		if got := fetched.Load(); got != want {
			t.Errorf("after %d calls they were fetched %d times, want %d", call+1, got, want)
		}
	}
}
