// Package awsapi is the edge to AWS, and the only importer of its SDK. It answers ecs.API with whole answers: paging,
// batches, retries and the call budget are here. What the answers mean is decided elsewhere.
package awsapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	sdkecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go/logging"
)

const (
	// tryTimeout bounds one try of a call. Others are read in the same round and wait for it, so one without an answer is the
	// last of its call: who reads asks again later.
	tryTimeout = 5 * time.Second
	// tries are the tries of a call that AWS throttles or fails, all together.
	tries = 3
	// maxBackoff bounds the pause between tries, for the same reason; the budget stretches it where AWS throttles.
	maxBackoff = 500 * time.Millisecond
)

// Observer is told of every try of a call, for metrics. It must not block.
type Observer interface {
	// Called tells the action, its result (ok, throttled, denied, not_found, credentials, error), and the time it took.
	Called(action, result string, took time.Duration)
}

// Options are what a Client needs.
type Options struct {
	// Region is the AWS Region.
	Region string
	// Budget is what every try of a call is paid from.
	Budget *Budget
	// Log gets a debug line a try, and nothing else.
	Log      *slog.Logger
	Observer Observer
	// Transport sends requests in the place of the SDK's own; nil for that.
	Transport http.RoundTripper

	credentials *credentials
}

// Client answers ecs.API from AWS. Its calls are fields rather than the SDK's clients in an interface, so that the linker
// drops the hundreds of others.
type Client struct {
	listTasks                  call[sdkecs.ListTasksInput, sdkecs.ListTasksOutput, sdkecs.Options]
	describeTasks              call[sdkecs.DescribeTasksInput, sdkecs.DescribeTasksOutput, sdkecs.Options]
	describeServices           call[sdkecs.DescribeServicesInput, sdkecs.DescribeServicesOutput, sdkecs.Options]
	describeContainerInstances call[sdkecs.DescribeContainerInstancesInput, sdkecs.DescribeContainerInstancesOutput, sdkecs.Options]
	describeInstances          call[ec2.DescribeInstancesInput, ec2.DescribeInstancesOutput, ec2.Options]
}

// call is a call of the SDK.
type call[In, Out, Opt any] func(context.Context, *In, ...func(*Opt)) (*Out, error)

// New makes a Client. Credentials and endpoints are found as the SDK does, and no credentials are fetched yet: that they
// are missing or expired is an error of the calls.
func New(ctx context.Context, o Options) (*Client, error) {
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithLogger(logging.Nop{}), // what it would say is in the errors of the calls
		config.WithRegion(o.Region),
		config.WithHTTPClient(httpClient()),
		config.WithRetryer(retryer),
	)
	if err != nil {
		return nil, fmt.Errorf("reading the AWS settings (AWS_* variables and the profile): %w", err)
	}
	if o.Transport != nil {
		cfg.HTTPClient = &http.Client{Transport: o.Transport, Timeout: tryTimeout}
	}
	// From here on and not above, as fetching credentials is none of the calls that are paid for and counted.
	cfg.HTTPClient = guarded{cfg.HTTPClient}
	o.credentials = &credentials{CredentialsProvider: cfg.Credentials}
	cfg.Credentials = o.credentials
	cfg.APIOptions = append(cfg.APIOptions, o.middleware)
	ecsClient, ec2Client := sdkecs.NewFromConfig(cfg), ec2.NewFromConfig(cfg)
	return &Client{
		listTasks: ecsClient.ListTasks, describeTasks: ecsClient.DescribeTasks, describeServices: ecsClient.DescribeServices,
		describeContainerInstances: ecsClient.DescribeContainerInstances, describeInstances: ec2Client.DescribeInstances,
	}, nil
}

// retryer tries what AWS throttles or fails again, as the SDK does, but not what it leaves without an answer.
func retryer() aws.Retryer {
	return retry.NewStandard(func(s *retry.StandardOptions) {
		s.MaxAttempts, s.MaxBackoff = tries, maxBackoff
		s.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			var network net.Error
			if errors.As(err, &network) && network.Timeout() {
				return aws.FalseTernary
			}
			return aws.UnknownTernary
		})}, s.Retryables...)
	})
}

// ProfileRegion is the Region of the AWS profile that the environment chooses, "" where there is none. It asks nobody.
func ProfileRegion(ctx context.Context) (string, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the AWS profile (AWS_PROFILE, AWS_CONFIG_FILE): %w", err)
	}
	return cfg.Region, nil
}
