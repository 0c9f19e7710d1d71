package awsapi

import (
	"context"
	"errors"
	"fmt"
	"net"

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
	asked := fmt.Sprintf("asking AWS for %s (%s)", what, permission)
	var api smithy.APIError
	var missing noCredentials
	switch {
	case errors.As(err, &missing):
		return fmt.Errorf("%s: %w", asked, missing)
	case !errors.As(err, &api):
		return fmt.Errorf("%s: %w", asked, withoutAnswer(err))
	}
	said := fmt.Sprintf("%s: %.300s", api.ErrorCode(), api.ErrorMessage())
	switch resultOf(err) {
	case resultThrottled:
		return fmt.Errorf("%s: AWS throttles: the account's calls are used up for now, and fewer are made: %s", asked, said)
	case resultDenied:
		return fmt.Errorf("%s: %w: add %s to the policy of the task role (not the execution role): %s", asked, ecs.ErrDenied, permission, said)
	case resultNotFound:
		return fmt.Errorf("%s: %w: %s", asked, ecs.ErrNotFound, said)
	case resultCredentials: // without AWS's words: they may repeat the request with its token and signature
		return fmt.Errorf("%s: AWS does not accept the credentials: renew them if they are set by hand, and look at the machine's clock: %s",
			asked, api.ErrorCode())
	default:
		return fmt.Errorf("%s: %s", asked, said)
	}
}

// withoutAnswer names the reason why there is no answer of AWS, without the SDK's nesting.
func withoutAnswer(err error) error {
	var dns *net.DNSError
	var network *net.OpError
	var other stranger
	switch {
	case errors.As(err, &other):
		return other
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer in time: %w", err)
	case errors.As(err, &dns):
		return fmt.Errorf("the name %s can't be resolved: look at AWS_REGION, AWS_ENDPOINT_URL and the VPC's DNS: %w", dns.Name, err)
	case errors.As(err, &network):
		return fmt.Errorf("AWS can't be reached: look at the way out (NAT or VPC endpoints) and AWS_ENDPOINT_URL: %w", network)
	default:
		return err
	}
}
