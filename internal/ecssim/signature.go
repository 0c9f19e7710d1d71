package ecssim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxSkew is how far a request's clock may be off the server's.
// Source: AWS General Reference, "Elements of an AWS API request signature".
const maxSkew = 5 * time.Minute

// signature is what a request's signature says of it. Whether it is right is not looked at: the simulator knows no secrets.
type signature struct {
	accessKey, region string
	at                time.Time // zero where the request has no time
}

// amzDate is the form of X-Amz-Date.
const amzDate = "20060102T150405Z"

// signatureOf reads a signature of version 4: AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, …
// Source: AWS General Reference, "AWS Signature Version 4 for API requests".
func signatureOf(r *http.Request) signature {
	var s signature
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	credential, _, _ = strings.Cut(credential, ",")
	if parts := strings.Split(strings.TrimSpace(credential), "/"); len(parts) >= 5 {
		s.accessKey, s.region = strings.Join(parts[:len(parts)-4], "/"), parts[len(parts)-3]
	}
	s.at, _ = time.Parse(amzDate, r.Header.Get("X-Amz-Date"))
	return s
}

// skew is how far a fault has the server's clock ahead.
const skew = 10 * time.Minute

// clockAs is the server's clock under a fault.
func (s *Server) clockAs(fault FaultKind) time.Time {
	if fault == ClockSkew {
		return s.clock().Add(skew)
	}
	return s.clock()
}

// credentialFault is what AWS finds wrong with a request's credentials.
type credentialFault int

const (
	noFault credentialFault = iota
	unsigned
	unknownKey
	tooOld
	tooNew
)

// credentials judges a signature at a time. Without keys of its own the world takes any, and requests without one too.
func (s *Server) credentials(by signature, now time.Time) credentialFault {
	switch {
	case len(s.options.AccessKeys) > 0 && by.accessKey == "":
		return unsigned
	case len(s.options.AccessKeys) > 0 && !slices.Contains(s.options.AccessKeys, by.accessKey):
		return unknownKey
	case by.at.IsZero():
		return noFault
	case by.at.Before(now.Add(-maxSkew)):
		return tooOld
	case by.at.After(now.Add(maxSkew)):
		return tooNew
	default:
		return noFault
	}
}

// elsewhere tells whether a request is for another Region than the world's, in which the account has nothing.
func (s *Server) elsewhere(by signature) bool { return by.region != "" && by.region != s.world.region }

// refuse words what is wrong with the credentials as ECS does.
// Source: Amazon ECS API reference, common errors; messages as AWS's users report them.
func (ecsProtocol) refuse(fault credentialFault, by signature, now time.Time) *apiError {
	stamp := func(t time.Time) string { return t.UTC().Format(amzDate) }
	switch fault {
	case unsigned:
		return clientError("MissingAuthenticationTokenException", "Missing Authentication Token")
	case unknownKey:
		return clientError("UnrecognizedClientException", "The security token included in the request is invalid.")
	case tooOld:
		return clientError("InvalidSignatureException", fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 5 min.)",
			stamp(by.at), stamp(now.Add(-maxSkew)), stamp(now)))
	default:
		return clientError("InvalidSignatureException", fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 5 min.)",
			stamp(by.at), stamp(now.Add(maxSkew)), stamp(now)))
	}
}

// refuse words what is wrong with the credentials as EC2 does.
// Source: Amazon EC2 API reference, error codes.
func (ec2Protocol) refuse(fault credentialFault, _ signature, _ time.Time) *apiError {
	if fault == tooOld || fault == tooNew {
		return clientError("RequestExpired", "Request has expired.")
	}
	return &apiError{http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials"}
}
