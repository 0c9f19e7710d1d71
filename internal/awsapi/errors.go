package awsapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"github.com/groboclown/nightjar-mesh/internal/ecs"
)

// The results of a try, as metrics show them.
const (
	resultOK          = "ok"
	resultThrottled   = "throttled"
	resultDenied      = "denied"
	resultNotFound    = "not_found"
	resultCredentials = "credentials"
	resultError       = "error"
)

// resultOf classifies an error by AWS's code: throttles are not modelled, so there are no types to go by.
func resultOf(err error) string {
	var api smithy.APIError
	var missing noCredentials
	switch {
	case err == nil:
		return resultOK
	case errors.As(err, &missing):
		return resultCredentials
	case !errors.As(err, &api):
		return resultError
	case retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}.IsErrorThrottle(err).Bool():
		return resultThrottled
	}
	switch api.ErrorCode() {
	case "AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "UnauthorizedAccess":
		return resultDenied
	case "ClusterNotFoundException", "ServiceNotFoundException", "ServiceNotActiveException":
		return resultNotFound
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClientException",
		"AuthFailure", "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "IncompleteSignatureException",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException":
		return resultCredentials
	default:
		return resultError
	}
}

// explain says what was asked, what is wrong and what to do. What kind of error it is, errors.Is tells.
func explain(permission, what string, err error) error {
	f := &ecs.Fault{Asked: what, Permission: permission}
	var api smithy.APIError
	var missing noCredentials
	switch {
	case errors.As(err, &missing):
		f.Wrong, f.Do, f.Said = "no AWS credentials", "give the task definition a task role (taskRoleArn)", fmt.Sprintf("%.300s", missing.reason)
		return f
	case !errors.As(err, &api):
		withoutAnswer(f, err)
		return f
	}
	f.Said = fmt.Sprintf("%s: %.300s", api.ErrorCode(), api.ErrorMessage())
	switch resultOf(err) {
	case resultThrottled:
		f.Wrong, f.Do, f.Err = "AWS throttles", "the account's calls are used up for now, and fewer are made", ecs.ErrThrottled
	case resultDenied:
		f.Wrong, f.Do, f.Err = ecs.ErrDenied.Error(), "add "+permission+" to the policy of the task role (not the execution role)", ecs.ErrDenied
	case resultNotFound:
		f.Wrong, f.Err = ecs.ErrNotFound.Error(), ecs.ErrNotFound
	case resultCredentials: // without AWS's words: they may repeat the request with its token and signature
		refused(f, api.ErrorCode(), api.ErrorMessage())
	default:
		f.Wrong, f.Said = f.Said, ""
	}
	return f
}

// refused says why AWS does not accept credentials.
func refused(f *ecs.Fault, code, message string) {
	const byHand = "where they are set by hand (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN)"
	f.Said = code
	late := strings.HasPrefix(message, "Signature expired") || strings.HasPrefix(message, "Signature not yet current")
	switch {
	case code == "RequestExpired" || late:
		f.Wrong, f.Do = "the clock of this machine is off", "set it: AWS takes requests of the last five minutes alone"
	case strings.HasPrefix(code, "ExpiredToken"):
		f.Wrong, f.Do = "they are expired", "renew them "+byHand+"; without these the task role's are used, which renew themselves"
	case code == "UnrecognizedClientException" || code == "InvalidClientTokenId" || code == "AuthFailure":
		f.Wrong = "it knows no such access key in this Region"
		f.Do = "look at the key and its token " + byHand + ", and whether the account has enabled the Region (AWS_REGION)"
	default:
		f.Wrong, f.Do = "their signature is wrong", "look at the secret key "+byHand+", and at the clock of this machine"
	}
	f.Wrong = "AWS does not accept the credentials: " + f.Wrong
}

// withoutAnswer names the reason why there is no answer of AWS, without the SDK's nesting.
func withoutAnswer(f *ecs.Fault, err error) {
	const wayOut = "look at the way out (NAT or VPC endpoints) and AWS_ENDPOINT_URL"
	var dns *net.DNSError
	var network *net.OpError
	var other stranger
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &other):
		f.Wrong, f.Do = other.Error(), "is there a proxy or a wrong AWS_ENDPOINT_URL in the way?"
	case errors.Is(err, ecs.ErrUnpaid):
		f.Wrong, f.Do = "no call is left in time", "raise NIGHTJAR_AWS_RATE or NIGHTJAR_AWS_BURST"
	case errors.As(err, &certificate):
		f.Wrong, f.Do, f.Said = "the certificate is none of AWS's, as far as this machine knows",
			"look for a proxy in the way (HTTPS_PROXY), or name its authority (AWS_CA_BUNDLE)", certificate.Error()
	case errors.As(err, &dns):
		f.Wrong = fmt.Sprintf("the name %s can't be resolved", dns.Name)
		f.Do, f.Said = "look at AWS_REGION, AWS_ENDPOINT_URL and the VPC's DNS", dns.Err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		f.Wrong, f.Do = "no answer in time", wayOut
	case errors.As(err, &network):
		f.Wrong, f.Do, f.Said = "AWS can't be reached", wayOut, network.Error()
	default:
		f.Wrong, f.Unknown = err.Error(), true
	}
	f.Err = err
}
