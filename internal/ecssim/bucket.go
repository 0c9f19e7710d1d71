package ecssim

import "time"

// tokenBucket is one of AWS's, shared by everybody in an account and Region.
type tokenBucket struct {
	burst, refill float64 // calls; calls a second
	tokens        float64
	at            time.Time
}

// take takes a call, if there is one left.
func (b *tokenBucket) take(now time.Time) bool {
	if b.at.IsZero() {
		b.tokens, b.at = b.burst, now
	}
	b.tokens = min(b.burst, b.tokens+now.Sub(b.at).Seconds()*b.refill)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// newBuckets are the buckets of an account, by the name that bucketName gives.
// Source: Amazon ECS API reference, request throttling (burst / refill); Amazon EC2 API request throttling.
func newBuckets() map[string]*tokenBucket {
	return map[string]*tokenBucket{
		"ECS cluster resource read":         {burst: 100, refill: 20},
		"ECS service resource read":         {burst: 100, refill: 20},
		"EC2 DescribeInstances, filtered":   {burst: 100, refill: 20},
		"EC2 DescribeInstances, unfiltered": {burst: 50, refill: 10},
	}
}

// bucketName is the bucket that an action is paid from.
func bucketName(action string, filtered bool) string {
	switch {
	case action == "DescribeServices":
		return "ECS service resource read"
	case action == "DescribeInstances" && filtered:
		return "EC2 DescribeInstances, filtered"
	case action == "DescribeInstances":
		return "EC2 DescribeInstances, unfiltered"
	default:
		return "ECS cluster resource read"
	}
}
