package awsapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
)

// credentials marks the errors of finding credentials. Some of them are answers of AWS themselves, by STS or the task
// role's endpoint: an AccessDenied there is none of ECS.
type credentials struct{ aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider.
func (c credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	found, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return found, noCredentials{reasonOf(err)}
	}
	return found, nil
}

// reasonOf is why there are no credentials. What a credential_process printed may be a secret, and is left out.
func reasonOf(err error) string {
	var process *processcreds.ProviderError
	if errors.As(err, &process) {
		return "the credential_process of the AWS profile failed, or printed no credentials"
	}
	return err.Error()
}

// noCredentials is the error that there are none. It does not unwrap: whoever looks for credentials tries again by itself.
type noCredentials struct{ reason string }

// Error says what to do.
func (e noCredentials) Error() string {
	return fmt.Sprintf("no AWS credentials: give the task definition a task role (taskRoleArn): %.300s", e.reason)
}
