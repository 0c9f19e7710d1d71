package awsapi

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/groboclown/nightjar-mesh/internal/ecs"
)

const (
	// lowestRate is how far throttles bring a bucket down, in calls a second.
	lowestRate = 0.05
	// recovery is the time in which a bucket's rate doubles again after a throttle. It is long, as whoever emptied the
	// account's bucket is most often still there.
	recovery = 2 * time.Minute
)

// The buckets from which AWS pays calls, each shared by everybody in the account and Region.
// Source: Amazon ECS API reference, "Request throttling for the Amazon ECS API"; Amazon EC2 API throttling.
const (
	tasksBucket     = "ecs_tasks"     // ListTasks, DescribeTasks, DescribeContainerInstances
	servicesBucket  = "ecs_services"  // DescribeServices
	instancesBucket = "ec2_instances" // DescribeInstances
)

// bucketOf is the bucket that an action is paid from.
func bucketOf(action string) string {
	switch action {
	case "DescribeServices":
		return servicesBucket
	case "DescribeInstances":
		return instancesBucket
	default:
		return tasksBucket
	}
}

// Budget is what calls to AWS are paid from: one rate for the process, and under it one for each of AWS's buckets, which
// halves at once when AWS throttles it and doubles every two minutes after that. It is safe for concurrent use.
type Budget struct {
	full    float64 // calls a second
	burst   int
	process *rate.Limiter

	mu      sync.Mutex
	buckets map[string]*bucket
}

// bucket is what is left of the rate for one of AWS's buckets.
type bucket struct {
	limiter *rate.Limiter
	// base is the rate right after the last throttle, at since; zero before the first.
	base  float64
	since time.Time
}

// NewBudget makes a budget of full calls a second, of which burst may come at once after a rest.
func NewBudget(full float64, burst int) *Budget {
	b := &Budget{full: full, burst: burst, process: rate.NewLimiter(rate.Limit(full), burst), buckets: map[string]*bucket{}}
	for _, name := range []string{tasksBucket, servicesBucket, instancesBucket} {
		b.buckets[name] = &bucket{limiter: rate.NewLimiter(rate.Limit(full), burst)}
	}
	return b
}

// Rates are the calls a second that may go to each of AWS's buckets now.
func (b *Budget) Rates() map[string]float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	rates := make(map[string]float64, len(b.buckets))
	for name, bucket := range b.buckets {
		rates[name] = b.now(bucket)
	}
	return rates
}

// now is the present rate of a bucket.
func (b *Budget) now(k *bucket) float64 {
	if k.base == 0 {
		return b.full
	}
	return min(b.full, k.base*math.Exp2(time.Since(k.since).Seconds()/recovery.Seconds()))
}

// wait takes one call from the bucket and from the process, when it is its turn.
func (b *Budget) wait(ctx context.Context, name string) error {
	b.mu.Lock()
	k := b.buckets[name]
	b.adjust(k)
	b.mu.Unlock()
	for _, limiter := range []*rate.Limiter{k.limiter, b.process} {
		if err := limiter.Wait(ctx); err != nil {
			return fmt.Errorf("waiting for the call budget (NIGHTJAR_AWS_RATE): %w: %w", ecs.ErrUnpaid, err)
		}
	}
	return nil
}

// throttled halves a bucket's rate at once, for a call that was sent at the time given. Calls on their way when it was
// halved tell nothing new: a burst of them halves it once.
func (b *Budget) throttled(name string, sent time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.buckets[name]
	if k.base > 0 && sent.Before(k.since) {
		return
	}
	k.base, k.since = max(lowestRate, b.now(k)/2), time.Now()
	b.adjust(k)
}

// adjust brings a bucket's limiter to its present rate, and its burst down with it.
func (b *Budget) adjust(k *bucket) {
	now := b.now(k)
	if rate.Limit(now) != k.limiter.Limit() {
		k.limiter.SetLimit(rate.Limit(now))
		k.limiter.SetBurst(max(1, int(float64(b.burst)*now/b.full)))
	}
}
