package awsapi

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecs"
)

// broken is a transport that fails.
type broken struct{ err error }

func (b broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }

// TestWhatKeepsAWSFromAnsweringIsToldInItsParts has faults below AWS. Their parts are alike for every call that they strike.
func TestWhatKeepsAWSFromAnsweringIsToldInItsParts(t *testing.T) {
	setEnvironment(t)
	tests := map[string]struct {
		err             error
		wrong, do, said string
	}{
		"a name": {
			&net.DNSError{Err: "no such host", Name: "ecs.eu-wset-1.amazonaws.com", IsNotFound: true},
			"the name ecs.eu-wset-1.amazonaws.com can't be resolved", "look at AWS_REGION, AWS_ENDPOINT_URL and the VPC's DNS", "no such host",
		},
		"a refusal":    {&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}, "AWS can't be reached", "look at the way out", "dial tcp: refused"},
		"a time-out":   {&net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}, "no answer in time", "NAT or VPC endpoints", ""},
		"a DNS server": {&net.DNSError{Err: "i/o timeout", Name: "x", IsTimeout: true}, "the name x can't be resolved", "the VPC's DNS", "i/o timeout"},
		"a certificate": {
			&tls.CertificateVerificationError{Err: errors.New("signed by unknown authority")},
			"the certificate is none of AWS's", "AWS_CA_BUNDLE", "signed by unknown authority",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // for the pauses between tries
				c, err := New(t.Context(), Options{
					Region: "eu-west-1", Budget: NewBudget(10_000, 10_000), Observer: &results{}, Log: slog.New(slog.DiscardHandler), Transport: broken{test.err},
				})
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.ServiceTasks(t.Context(), "c1", "web")
				_, err2 := c.InstanceAddrs(t.Context(), []string{"i-1"})
				var one, other *ecs.Fault
				if !errors.As(err, &one) || !errors.As(err2, &other) {
					t.Fatalf("%v; %v", err, err2)
				}
				if one.Permission != "ecs:ListTasks" || other.Permission != "ec2:DescribeInstances" || one.Wrong != other.Wrong || one.Do != other.Do {
					t.Errorf("%+v and %+v", one, other)
				}
				if !strings.Contains(one.Wrong, test.wrong) || !strings.Contains(one.Do, test.do) || !strings.Contains(one.Said, test.said) {
					t.Errorf("%+v", one)
				}
			})
		})
	}
}

func TestACallThatTheBudgetCantPayInTimeSaysSo(t *testing.T) {
	setEnvironment(t)
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := newClientWith(t, emptyList(), NewBudget(0.05, 1))
		if _, err := c.ServiceTasks(t.Context(), "c1", "web"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		_, err := c.ServiceTasks(ctx, "c1", "web")
		if !errors.Is(err, ecs.ErrUnpaid) || !strings.Contains(err.Error(), "raise NIGHTJAR_AWS_RATE") {
			t.Errorf("%v", err)
		}
	})
}
