package ecssim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go"
)

// inMemory answers requests from a handler without a socket, so that time may be virtual.
type inMemory struct{ http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w.Result(), nil
}

// clients are the real SDK's, of a server.
func clients(s *Server) (*ecs.Client, *ec2.Client) { return clientsOf(s, "eu-west-1", "x") }

// code is the code of AWS's error.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

// settled is a server of a world of 250 tasks that run.
func settled(t *testing.T, o Options) (*Server, *ecs.Client, *ec2.Client) {
	t.Helper()
	now := time.Now()
	s := NewServer(worldAt(t, bridgeSpec(250), now.Add(-time.Minute)), o)
	s.clock = func() time.Time { return now }
	a, b := clients(s)
	return s, a, b
}

func TestListsHavePagesAlsoShortOnes(t *testing.T) {
	for name, o := range map[string]Options{"polite": {Polite: true, Unthrottled: true}, "rude": {Unthrottled: true, Seed: 3}} {
		t.Run(name, func(t *testing.T) {
			_, client, _ := settled(t, o)
			seen, pages := map[string]bool{}, 0
			in := &ecs.ListTasksInput{Cluster: aws.String("c1"), ServiceName: aws.String("web")}
			for {
				out, err := client.ListTasks(t.Context(), in)
				if err != nil {
					if name == "rude" {
						continue // a fault by chance
					}
					t.Fatal(err)
				}
				pages++
				if len(out.TaskArns) > 100 {
					t.Fatalf("a page of %d", len(out.TaskArns))
				}
				for _, arn := range out.TaskArns {
					seen[arn] = true
				}
				if in.NextToken = out.NextToken; out.NextToken == nil {
					break
				}
			}
			if len(seen) != 250 || pages < 3 {
				t.Fatalf("%d tasks on %d pages", len(seen), pages)
			}
		})
	}
}

func TestLimitsAndWhatIsNotKnown(t *testing.T) {
	_, client, instances := settled(t, Options{Polite: true, Unthrottled: true})
	c1 := aws.String("c1")
	many := func(n int) []string { return strings.Split(strings.Repeat("x,", n-1)+"x", ",") }
	_, err1 := client.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: c1, Tasks: many(101)})
	_, err2 := client.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: c1, Services: many(11)})
	_, err3 := client.DescribeContainerInstances(t.Context(), &ecs.DescribeContainerInstancesInput{Cluster: c1, ContainerInstances: many(101)})
	_, err4 := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("c9")})
	_, err5 := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: c1, ServiceName: aws.String("none")})
	_, err6 := instances.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{"i-0", "i-9"}})
	_, err7 := instances.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{"i-0"}, MaxResults: aws.Int32(5)})
	got := []string{code(err1), code(err2), code(err3), code(err4), code(err5), code(err6), code(err7)}
	want := []string{
		"InvalidParameterException", "InvalidParameterException", "InvalidParameterException", "ClusterNotFoundException",
		"ServiceNotFoundException", "InvalidInstanceID.NotFound", "InvalidParameterCombination",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	out, err := client.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: c1, Tasks: []string{"unknown"}})
	if err != nil || len(out.Failures) != 1 || aws.ToString(out.Failures[0].Reason) != "MISSING" {
		t.Errorf("%+v %v", out, err)
	}
	found, err := instances.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{
		MaxResults: aws.Int32(1000), Filters: []ec2types.Filter{{Name: aws.String("instance-id"), Values: []string{"i-1", "i-9"}}},
	})
	if err != nil || len(found.Reservations) != 1 || aws.ToString(found.Reservations[0].Instances[0].PrivateIpAddress) != "127.50.1.2" {
		t.Errorf("by filter an unknown instance fails nothing: %+v %v", found, err)
	}
}

func TestEveryOtherActionIsDeniedAlways(t *testing.T) {
	s, client, instances := settled(t, Options{Polite: true})
	_, err1 := client.ListClusters(t.Context(), &ecs.ListClustersInput{})
	_, err2 := client.StopTask(t.Context(), &ecs.StopTaskInput{Task: aws.String("x")})
	_, err3 := instances.DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
	_, err4 := instances.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{"i-0"}})
	s.Deny("ListTasks", true)
	_, err5 := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("c1")})
	s.Deny("ListTasks", false)
	_, err6 := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("c1")})
	got := []string{code(err1), code(err2), code(err3), code(err4), code(err5), code(err6)}
	want := []string{"AccessDeniedException", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedOperation", "AccessDeniedException", "<nil>"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestBucketsAreSharedAsInAnAccount(t *testing.T) {
	_, client, _ := settled(t, Options{Polite: true})
	calls := func() (n int) {
		for {
			_, err := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("c1")})
			if code(err) == "ThrottlingException" {
				return n
			}
			n++
		}
	}
	if n := calls(); n != 100 {
		t.Errorf("%d calls at once, want 100", n)
	}
	_, err1 := client.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: aws.String("c1"), Tasks: []string{"x"}})
	_, err2 := client.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("c1"), Services: []string{"web"}})
	if code(err1) != "ThrottlingException" || err2 != nil {
		t.Errorf("DescribeTasks shares ListTasks' bucket: %v; DescribeServices doesn't: %v", err1, err2)
	}
}

func TestFaultsStrikeForCallsAndForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, err := Load([]byte("polite: true\nclusters: [{name: c1, subnet: 127.1.0.0/24}]"))
		if err != nil {
			t.Fatal(err)
		}
		sim, err := New(file)
		if err != nil {
			t.Fatal(err)
		}
		client, _ := clients(sim.Server)
		list := func() string {
			_, err := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("c1")})
			return code(err)
		}
		inject := func(f Fault) {
			if err := sim.Server.Inject(f); err != nil {
				t.Fatal(err)
			}
		}
		inject(Fault{Kind: Throttle, Action: "ListTasks", Calls: 2})
		if got := []string{list(), list(), list()}; fmt.Sprint(got) != "[ThrottlingException ThrottlingException <nil>]" {
			t.Errorf("for two calls: %v", got)
		}
		inject(Fault{Kind: ServerError, For: 10 * time.Second})
		first := list()
		time.Sleep(10 * time.Second)
		if second := list(); first != "ServerException" || second != "<nil>" {
			t.Errorf("for 10 s: %s, then %s", first, second)
		}
		for kind, want := range map[FaultKind]string{
			Unavailable: "ServiceUnavailableException", AccessDenied: "AccessDeniedException", ExpiredToken: "ExpiredTokenException",
		} {
			inject(Fault{Kind: kind, Calls: 1})
			if got := list(); got != want {
				t.Errorf("%s: %s, want %s", kind, got, want)
			}
		}
		inject(Fault{Kind: Throttle, Action: "DescribeTasks"})
		if got := list(); got != "<nil>" {
			t.Errorf("of another action: %s", got)
		}
		if err := sim.Server.Inject(Fault{Kind: "earthquake"}); err == nil {
			t.Error("an unknown fault is taken")
		}
	})
}

func TestFaultsBelowTheAPI(t *testing.T) {
	w, _ := worldWith(t, bridgeSpec(1))
	s := NewServer(w, Options{Polite: true})
	server := httptest.NewServer(s)
	defer server.Close()
	call := func(kind FaultKind) (string, error) {
		if err := s.Inject(Fault{Kind: kind, Calls: 1}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader(`{"cluster":"c1"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.ListTasks")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 20<<20))
		return resp.Header.Get("Content-Type") + " " + string(body[:min(len(body), 60)]), err
	}
	if _, err := call(Reset); err == nil {
		t.Error("a reset connection answers")
	}
	if _, err := call(Hang); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hang: %v", err)
	}
	if got, err := call(Truncated); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("truncated: %q %v", got, err)
	}
	if got, _ := call(WrongType); !strings.HasPrefix(got, "text/html") {
		t.Errorf("wrong type: %q", got)
	}
	if got, err := call(Empty); got != `application/x-amz-json-1.1 {"taskArns":[]}` || err != nil {
		t.Errorf("empty: %q %v", got, err)
	}
}
