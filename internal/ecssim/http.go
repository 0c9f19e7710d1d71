package ecssim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxRequest bounds a request's body, in bytes.
const maxRequest = 1 << 20

// Options say how a Server behaves.
type Options struct {
	// Polite turns off what is rude by default: late and short answers, chance throttles and faults, shuffled lists.
	Polite bool
	// Unthrottled takes the account's buckets away.
	Unthrottled bool
	// Latency is how long each answer takes.
	Latency time.Duration
	// Seed is what chance comes from.
	Seed uint64
	// AccessKeys are those that the account knows; none for any.
	AccessKeys []string
}

// Server answers the read APIs of ECS and EC2 as AWS does on the wire, and the task metadata endpoint. Any action but the
// five reads is denied, always.
type Server struct {
	world   *World
	options Options
	clock   func() time.Time

	mu      sync.Mutex
	rng     *rand.Rand
	buckets map[string]*tokenBucket
	faults  []*activeFault
	struck  int
	denied  map[string]bool
	counts  map[string]int
}

// NewServer makes a Server of a world, whose time it brings up to the real one (or a test's virtual one) at each call.
func NewServer(w *World, o Options) *Server {
	return &Server{
		world: w, options: o, clock: time.Now, rng: rand.New(rand.NewPCG(o.Seed, 7)), //nolint:gosec // repeatable on purpose
		buckets: newBuckets(), denied: map[string]bool{}, counts: map[string]int{},
	}
}

// Deny takes the permission of an action away, or gives it back.
func (s *Server) Deny(action string, denied bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied[action] = denied
}

// KnowKeys makes access keys the ones that the account knows; none for any.
func (s *Server) KnowKeys(accessKeys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.AccessKeys = accessKeys
}

// Counts are the calls so far, by "ACTION RESULT", such as "ListTasks ok" or "DescribeTasks ThrottlingException".
func (s *Server) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[string]int, len(s.counts))
	for k, v := range s.counts {
		counts[k] = v
	}
	return counts
}

func (s *Server) count(action, result string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[action+" "+result]++
}

// apiError is an error as an AWS API answers it.
type apiError struct {
	status  int
	code    string
	message string
}

// Error is the code and the message.
func (e *apiError) Error() string { return e.code + ": " + e.message }

func clientError(code, message string) *apiError {
	return &apiError{http.StatusBadRequest, code, message}
}

// ServeHTTP answers POST / as ECS or EC2, and GET /v4/… as the task metadata endpoint.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.world.Advance(s.clock())
	if strings.HasPrefix(r.URL.Path, metadataPath) {
		s.metadata(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil || len(body) > maxRequest {
		http.Error(w, "the request is too large", http.StatusRequestEntityTooLarge)
		return
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		s.answer(w, r, ecsProtocol{}, target[strings.LastIndex(target, ".")+1:], body)
		return
	}
	s.answer(w, r, ec2Protocol{}, formAction(body), body)
}

// protocol is how an API looks on the wire.
type protocol interface {
	call(v *view, action string, body []byte) ([]byte, *apiError)
	fail(w http.ResponseWriter, e *apiError)
	empty(action string) []byte
	denial(action string) *apiError
	throttle() *apiError
	refuse(fault credentialFault, by signature, now time.Time) *apiError
	contentType() string
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, p protocol, action string, body []byte) {
	if s.options.Latency > 0 {
		select {
		case <-time.After(s.options.Latency):
		case <-r.Context().Done():
			return
		}
	}
	fault := s.fault(action, clusterNamed(body))
	if isBroken(fault) {
		s.count(action, string(fault))
		breakOff(w, r, p.contentType(), p.empty(action), fault)
		return
	}
	by := signatureOf(r)
	var answer []byte
	e := s.permitted(p, action, body, fault, by)
	if e == nil {
		v := s.view(action, fault)
		v.elsewhere = s.elsewhere(by)
		answer, e = p.call(v, action, body)
	}
	w.Header().Set("Date", s.clockAs(fault).UTC().Format(http.TimeFormat))
	if e != nil {
		s.count(action, e.code)
		p.fail(w, e)
		return
	}
	s.count(action, "ok")
	if fault == Empty {
		answer = p.empty(action)
	}
	writeAnswer(w, p.contentType(), answer, fault)
}

// writeAnswer writes an answer, or the half of one that the fault leaves.
func writeAnswer(w http.ResponseWriter, contentType string, answer []byte, fault FaultKind) {
	w.Header().Set("Content-Type", contentType)
	if fault == Truncated {
		w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
		answer = answer[:len(answer)/2]
	}
	_, _ = w.Write(answer) //nolint:gosec // JSON or XML of a simulator for tests
}

// permitted says what keeps a call from being answered: the permission, the credentials, the account's bucket, a fault.
func (s *Server) permitted(p protocol, action string, body []byte, fault FaultKind, by signature) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clockAs(fault)
	if wrong := s.credentials(by, now); wrong != noFault {
		return p.refuse(wrong, by, now)
	}
	switch {
	case !isRead(action) || s.denied[action] || fault == AccessDenied:
		return p.denial(action)
	case fault == ExpiredToken:
		return clientError("ExpiredTokenException", "The security token included in the request is expired")
	case fault == ServerError:
		return &apiError{http.StatusInternalServerError, "ServerException", "Service Unavailable. Please try again later."}
	case fault == Unavailable:
		return &apiError{http.StatusServiceUnavailable, "ServiceUnavailableException", "unavailable"}
	case fault == Throttle:
		return p.throttle()
	}
	bucket := s.buckets[bucketName(action, bytes.Contains(body, []byte("Filter.")))]
	if !s.options.Unthrottled && !bucket.take(s.clock()) {
		return p.throttle()
	}
	return nil
}

// reads are the actions that may be allowed.
func reads() []string {
	return []string{"ListTasks", "DescribeTasks", "DescribeServices", "DescribeContainerInstances", "DescribeInstances"}
}

func isRead(action string) bool { return slices.Contains(reads(), action) }

// isBroken tells whether a fault is below the API: no answer of AWS at all.
func isBroken(fault FaultKind) bool {
	return fault == WrongType || fault == Reset || fault == Hang || fault == Huge
}

// breakOff plays the faults below the API. Empty is an answer that names nothing.
func breakOff(w http.ResponseWriter, r *http.Request, contentType string, empty []byte, fault FaultKind) {
	switch fault {
	case Reset:
		panic(http.ErrAbortHandler)
	case Hang:
		<-r.Context().Done()
	case Huge:
		w.Header().Set("Content-Type", contentType)
		open := bytes.TrimSuffix(bytes.TrimSuffix(empty, []byte("}")), []byte("</DescribeInstancesResponse>"))
		_, _ = w.Write(open) //nolint:gosec // JSON or XML of a simulator for tests
		for space := bytes.Repeat([]byte(" "), 1<<20); ; {
			if _, err := w.Write(space); err != nil {
				return
			}
		}
	default:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><body>It works!</body></html>")
	}
}

// ecsProtocol is awsJson1.1.
type ecsProtocol struct{}

func (ecsProtocol) contentType() string { return "application/x-amz-json-1.1" }

func (ecsProtocol) denial(action string) *apiError {
	return clientError("AccessDeniedException", "User: arn:aws:sts::111122223333:assumed-role/task/1 is not authorized to perform: ecs:"+
		action+" because no identity-based policy allows the ecs:"+action+" action")
}

func (ecsProtocol) throttle() *apiError { return clientError("ThrottlingException", "Rate exceeded") }

func (p ecsProtocol) fail(w http.ResponseWriter, e *apiError) {
	w.Header().Set("Content-Type", p.contentType())
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": e.code, "message": e.message})
}

func (ecsProtocol) call(v *view, action string, body []byte) ([]byte, *apiError) {
	var in ecsRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, clientError("SerializationException", "the request is no JSON of this action")
	}
	var out any
	var err error
	switch action {
	case "ListTasks":
		out, err = v.listTasks(in)
	case "DescribeTasks":
		out, err = v.describeTasks(in)
	case "DescribeServices":
		out, err = v.describeServices(in)
	case "DescribeContainerInstances":
		out, err = v.describeContainerInstances(in)
	default:
		err = clientError("UnknownOperationException", "")
	}
	return marshalled(json.Marshal, out, err)
}

func (ecsProtocol) empty(action string) []byte {
	switch action {
	case "ListTasks":
		return []byte(`{"taskArns":[]}`)
	case "DescribeTasks":
		return []byte(`{"tasks":[],"failures":[]}`)
	case "DescribeServices":
		return []byte(`{"services":[],"failures":[]}`)
	default:
		return []byte(`{"containerInstances":[],"failures":[]}`)
	}
}

// marshalled puts an answer into bytes, or an error into AWS's form.
func marshalled(marshal func(any) ([]byte, error), out any, err error) ([]byte, *apiError) {
	var e *apiError
	if errors.As(err, &e) {
		return nil, e
	}
	if err == nil {
		var body []byte
		if body, err = marshal(out); err == nil {
			return body, nil
		}
	}
	return nil, &apiError{http.StatusInternalServerError, "ServerException", err.Error()}
}
