package awsapi

import (
	"context"
	"log/slog"
	"strings"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// middleware pays for every try, so it stands behind the SDK's retryer; and before the signature, which must be fresh.
func (o *Options) middleware(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("NightjarBudget", o.try), "Retry", middleware.After)
}

// try waits for its turn, tries once, and tells what became of it.
func (o *Options) try(
	ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
) (middleware.FinalizeOutput, middleware.Metadata, error) {
	action := awsmiddleware.GetOperationName(ctx)
	bucket := bucketOf(action)
	if err := o.Budget.wait(ctx, bucket); err != nil {
		return middleware.FinalizeOutput{}, middleware.Metadata{}, err
	}
	start := time.Now()
	out, metadata, err := next.HandleFinalize(ctx, in)
	took := time.Since(start)
	result := resultOf(err)
	switch result {
	case resultThrottled:
		o.Budget.throttled(bucket, start)
	case resultCredentials:
		o.credentials.refused()
	}
	o.Observer.Called(action, result, took)
	o.Log.LogAttrs(ctx, slog.LevelDebug, "called AWS",
		slog.String("action", action), slog.String("result", result), slog.Duration("took", took), slog.String("attempt", attempt(in.Request)))
	return out, metadata, err
}

// attempt is which try of its call a request is, counted from 1, as the SDK's retryer tells AWS.
func attempt(request any) string {
	r, ok := request.(*smithyhttp.Request)
	if !ok {
		return ""
	}
	for part := range strings.SplitSeq(r.Header.Get("Amz-Sdk-Request"), "; ") {
		if n, found := strings.CutPrefix(part, "attempt="); found {
			return n
		}
	}
	return ""
}
