package awsapi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
)

// credentials marks the errors of finding credentials. Some of them are answers of AWS themselves, by STS or the task
// role's endpoint: an AccessDenied there is none of ECS.
type credentials struct {
	aws.CredentialsProvider

	mu      sync.Mutex
	dropped time.Time
}

// dropAtMost is how often credentials are fetched anew for being refused.
const dropAtMost = 10 * time.Second

// refused drops credentials that AWS doesn't accept, so that they are fetched anew: the SDK would use them until they expire.
func (c *credentials) refused() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept, ok := c.CredentialsProvider.(interface{ Invalidate() }); ok && time.Since(c.dropped) >= dropAtMost {
		c.dropped = time.Now()
		kept.Invalidate()
	}
}

// Retrieve implements aws.CredentialsProvider.
func (c *credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
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
