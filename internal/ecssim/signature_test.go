package ecssim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// clientsOf are the real SDK's, with a Region and an access key.
func clientsOf(s *Server, region, key string) (*ecs.Client, *ec2.Client) {
	cfg := aws.Config{
		Region: region, HTTPClient: &http.Client{Transport: inMemory{s}}, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: "x", SessionToken: "x"}, nil
		}),
	}
	return ecs.NewFromConfig(cfg), ec2.NewFromConfig(cfg)
}

// status is the HTTP status of AWS's answer.
func status(err error) int {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

func TestInAnotherRegionTheAccountHasNothing(t *testing.T) {
	w, s, _ := load(t, dockerWorld)
	for region, found := range map[string]bool{"eu-west-1": true, "eu-west-2": false} {
		client, instances := clientsOf(s, region, "x")
		_, err1 := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("c1")})
		_, err2 := client.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: aws.String("c1"), Tasks: w.Tasks("c1", "web")})
		_, err3 := client.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("c1"), Services: []string{"web"}})
		_, err4 := client.DescribeContainerInstances(t.Context(), &ecs.DescribeContainerInstancesInput{Cluster: aws.String("c1"), ContainerInstances: []string{"x"}})
		byFilter := &ec2.DescribeInstancesInput{Filters: []ec2types.Filter{{Name: aws.String("instance-id"), Values: []string{"i-1"}}}}
		out, err5 := instances.DescribeInstances(t.Context(), byFilter)
		want := "ClusterNotFoundException"
		if found {
			want = "<nil>"
		}
		for i, err := range []error{err1, err2, err3, err4} {
			if code(err) != want {
				t.Errorf("%s: call %d: %v, want %s", region, i+1, err, want)
			}
		}
		if err5 != nil || (len(out.Reservations) == 1) != found {
			t.Errorf("%s: %+v %v", region, out, err5)
		}
	}
}

func TestOnlyTheAccountsAccessKeysAreKnown(t *testing.T) {
	_, s, _ := load(t, dockerWorld)
	s.options.AccessKeys = []string{"AKIDONE", "AKIDTWO"}
	ask := func(key string) string {
		client, instances := clientsOf(s, "eu-west-1", key)
		_, err1 := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("c1")})
		_, err2 := instances.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{})
		return fmt.Sprint(code(err1), " ", status(err1), " ", code(err2), " ", status(err2))
	}
	for key, want := range map[string]string{
		"AKIDONE": "<nil> 0 <nil> 0", "AKIDTWO": "<nil> 0 <nil> 0", "AKID": "UnrecognizedClientException 400 AuthFailure 401",
	} {
		if got := ask(key); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	s.Deny("ListTasks", true)
	if got := ask("AKID"); got != "UnrecognizedClientException 400 AuthFailure 401" {
		t.Errorf("who asks comes before what may be asked: %s", got)
	}
}

func TestARequestMustBeOfTheServersTime(t *testing.T) {
	for off, want := range map[time.Duration]string{
		-4 * time.Minute: "", 4 * time.Minute: "",
		-6 * time.Minute: "Signature not yet current: ", 6 * time.Minute: "Signature expired: ",
	} {
		_, s, _ := load(t, dockerWorld)
		now := s.clock().Add(off)
		s.clock = func() time.Time { return now }
		client, instances := clientsOf(s, "eu-west-1", "x")
		_, err1 := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("c1")})
		_, err2 := instances.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{})
		if want == "" {
			if err1 != nil || err2 != nil {
				t.Errorf("%s: %v, %v", off, err1, err2)
			}
			continue
		}
		if code(err1) != "InvalidSignatureException" || status(err1) != 400 || !strings.Contains(err1.Error(), want) {
			t.Errorf("%s: ECS says %v", off, err1)
		}
		if code(err2) != "RequestExpired" || status(err2) != 400 {
			t.Errorf("%s: EC2 says %v", off, err2)
		}
		if _, err := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("c1")}); err != nil {
			t.Errorf("%s: the SDK sets its clock by the answer's Date: %v", off, err)
		}
	}
}

func TestVirtualTimeIsTheServersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, _ := load(t, dockerWorld)
		s.clock = time.Now
		client, instances := clientsOf(s, "eu-west-1", "x")
		for range 3 {
			time.Sleep(time.Hour)
			_, err1 := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("c1")})
			_, err2 := instances.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{})
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
		}
	})
}

func TestTheWorldFileHasKeysAndDenials(t *testing.T) {
	file, err := Load([]byte("polite: true\naccess_keys: [AKIDONE]\ndenied: [ListTasks, DescribeInstances]\n" + dockerWorld))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := New(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, key := range []string{"AKIDONE", "AKIDTWO"} {
		client, instances := clientsOf(sim.Server, "eu-west-1", key)
		_, err1 := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("c1")})
		_, err2 := client.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("c1"), Services: []string{"web"}})
		_, err3 := instances.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{})
		got = append(got, code(err1), code(err2), code(err3))
	}
	want := []string{
		"AccessDeniedException", "<nil>", "UnauthorizedOperation",
		"UnrecognizedClientException", "UnrecognizedClientException", "AuthFailure",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestAFaultPutsTheServersClockAhead(t *testing.T) {
	_, s, _ := load(t, dockerWorld)
	if err := s.Inject(Fault{Kind: ClockSkew, Calls: 2}); err != nil {
		t.Fatal(err)
	}
	client, instances := clientsOf(s, "eu-west-1", "x")
	_, err1 := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("c1")})
	_, err2 := instances.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{})
	if code(err1) != "InvalidSignatureException" || !strings.Contains(err1.Error(), "Signature expired: ") || code(err2) != "RequestExpired" {
		t.Errorf("%v, %v", err1, err2)
	}
	later, _ := clientsOf(s, "eu-west-1", "x")
	if _, err := later.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("c1")}); err != nil {
		t.Errorf("after the fault: %v", err)
	}
}

func TestAFaultOfOneECSClusterStrikesNoOther(t *testing.T) {
	_, s, _ := load(t, dockerWorld)
	if err := s.Inject(Fault{Kind: AccessDenied, Cluster: "c1"}); err != nil {
		t.Fatal(err)
	}
	client, _ := clientsOf(s, "eu-west-1", "x")
	for cluster, want := range map[string]string{
		"c1": "AccessDeniedException", "arn:aws:ecs:eu-west-1:111122223333:cluster/c1": "AccessDeniedException", "c2": "ClusterNotFoundException",
	} {
		if _, err := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: &cluster}); code(err) != want {
			t.Errorf("%s: %v, want %s", cluster, err, want)
		}
	}
	if s.Struck() != 2 {
		t.Errorf("%d calls were struck, want 2", s.Struck())
	}
	if err := s.Inject(Fault{Kind: Throttle, Action: "DescribeInstances", Cluster: "c1"}); err == nil {
		t.Error("EC2 knows no ECS clusters")
	}
}
