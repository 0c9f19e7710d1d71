package ecs

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// machines are container instances in the real shape of DescribeContainerInstances, by ARN.
func machines(t *testing.T) map[string]ContainerInstance {
	t.Helper()
	text, err := os.ReadFile("testdata/describe_container_instances_shapes.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		ContainerInstances []struct {
			ContainerInstanceArn, Ec2InstanceID string
			Attributes                          []struct{ Name, Value string }
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	found := map[string]ContainerInstance{}
	for _, m := range file.ContainerInstances {
		attributes := map[string]string{}
		for _, a := range m.Attributes {
			attributes[a.Name] = a.Value
		}
		found[m.ContainerInstanceArn] = ContainerInstance{ARN: m.ContainerInstanceArn, InstanceID: m.Ec2InstanceID, Attributes: attributes}
	}
	return found
}

func TestTheRealShapesAreReadToAddresses(t *testing.T) {
	want := map[string]string{
		"bridge_ec2_tcp_udp_two_containers": "10.0.0.7:32768",   // EC2's address
		"bridge_external_anywhere":          "192.0.2.17:32770", // the attribute's
		"host_ec2":                          "10.0.0.7:8080",
		"awsvpc_fargate":                    "10.0.1.5:8080",
		"awsvpc_managed_instances":          "10.0.1.5:8080",
	}
	for name, addr := range want {
		t.Run(name, func(t *testing.T) {
			f := newFakeAWS()
			f.instances = machines(t)
			task := shapes(t)[name]
			if task.LaunchType == "EXTERNAL" { // the sample has it on the EC2 machine
				task.ContainerInstance = strings.Replace(task.ContainerInstance, strings.Repeat("b", 32), strings.Repeat("c", 32), 1)
			}
			f.add("c1", "web", task)
			got := read(t, NewInventory(f, nil), ref("", 8080))[0]
			if diff := cmp.Diff([]string{addr}, summary(got)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestAMachineThatAWSDoesNotKnowYetIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		known := maps.Clone(f.instances)
		f.instances = map[string]ContainerInstance{}
		far := bridgeTask("a2", 1)
		far.ContainerInstance = "mi"
		f.instances["mi"] = ContainerInstance{ARN: "mi", InstanceID: "mi-1", Attributes: map[string]string{addressAttribute: "192.0.2.1"}}
		known["mi"] = f.instances["mi"]
		f.add("c1", "a", bridgeTask("a1", 32768), far)
		inv := NewInventory(f, nil)
		got := read(t, inv, refTo("c1", "a"))[0]
		if len(got.Endpoints) != 1 || len(got.Excluded) != 1 || got.Excluded[0].Reason != "AWS does not know its container instance: it is new, or gone" {
			t.Fatalf("%+v", got)
		}
		f.change(func() { f.instances = known })
		time.Sleep(machineAge)
		if got := read(t, inv, refTo("c1", "a"))[0]; len(got.Endpoints) != 2 {
			t.Fatalf("%+v", got)
		}
		time.Sleep(24 * time.Hour)
		read(t, inv, refTo("c1", "a"))
		if f.calls["ContainerInstances"] != 3 || f.calls["InstanceAddrs"] != 1 {
			t.Fatalf("one with an address of EC2 is asked for again, or one with an address of its own isn't: %v", f.calls)
		}
	})
}

// TestAChangedAddressAttributeIsFollowed changes the attribute of an ECS Anywhere machine, takes it away, and has AWS fail.
func TestAChangedAddressAttributeIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		far := bridgeTask("a1", 1)
		far.ContainerInstance = "mi"
		attribute := func(value string) {
			f.change(func() {
				f.instances = map[string]ContainerInstance{"mi": {ARN: "mi", InstanceID: "mi-1", Attributes: map[string]string{addressAttribute: value}}}
			})
		}
		attribute("192.0.2.1")
		f.add("c1", "a", far)
		inv := NewInventory(f, nil)
		serves := func(want string) {
			t.Helper()
			got := read(t, inv, refTo("c1", "a"))[0]
			if len(got.Endpoints) != 1 || got.Endpoints[0].Addr.Addr().String() != want {
				t.Fatalf("want %s: %+v", want, got)
			}
		}
		serves("192.0.2.1")
		attribute("192.0.2.2")
		time.Sleep(addressAge - time.Second)
		serves("192.0.2.1")
		time.Sleep(time.Second)
		serves("192.0.2.2")
		attribute("") // nothing is emptied by it
		time.Sleep(addressAge)
		serves("192.0.2.2")
		f.change(func() { f.fail["ContainerInstances"] = errors.New("denied") })
		attribute("192.0.2.3")
		time.Sleep(addressAge)
		serves("192.0.2.2")
		f.change(func() { delete(f.fail, "ContainerInstances") })
		time.Sleep(addressAge)
		serves("192.0.2.3")
	})
}

// TestAServiceOfAnotherAccountIsNotServed has the own account have a service of the same name.
func TestAServiceOfAnotherAccountIsNotServed(t *testing.T) {
	f := newFakeAWS()
	f.add("c1", "a", bridgeTask("a1", 1))
	s := f.services["c1/a"]
	s.ARN = "arn:aws:ecs:eu-west-1:111122223333:service/c1/a"
	f.services["c1/a"] = s
	own, other := refTo("c1", "a"), refTo("c1", "a")
	own.Account, other.Account, other.ServiceVar = "111122223333", "444455556666", "SERVICE_ARN_2"
	got := read(t, NewInventory(f, nil), own, other)
	if len(got[0].Endpoints) != 1 || len(got[1].Endpoints) != 0 || got[1].State != mesh.Missing || got[1].Problem != "it is of the account 444455556666, "+
		"and the credentials are of the account 111122223333, which has a service of that name too: check SERVICE_ARN_2" {
		t.Errorf("%+v\n%+v", got[0], got[1])
	}
}

// TestWhatAWSPassesOverIsNoEmptiness has running tasks of which AWS tells too little, and nothing else that serves.
func TestWhatAWSPassesOverIsNoEmptiness(t *testing.T) {
	for want, lose := range map[string]func(*fakeAWS){
		"ecs:DescribeTasks":              func(f *fakeAWS) { f.tasks = map[string]Task{} },
		"ecs:DescribeContainerInstances": func(f *fakeAWS) { f.instances = map[string]ContainerInstance{} },
		"ec2:DescribeInstances": func(f *fakeAWS) {
			f.instances["ci"] = ContainerInstance{ARN: "ci", InstanceID: "i-gone"}
		},
	} {
		f := newFakeAWS()
		f.add("c1", "a", bridgeTask("a1", 1))
		lose(f)
		inv := NewInventory(f, nil)
		for range 3 {
			if r := inv.Read(t.Context(), []mesh.ServiceRef{refTo("c1", "a")})[0]; r.Err == nil || !strings.Contains(r.Err.Error(), want) {
				t.Errorf("%s: %+v", want, r)
			}
		}
		f.services["c1/a"] = Service{Name: "a", Status: "ACTIVE"}
		if r := inv.Read(t.Context(), []mesh.ServiceRef{refTo("c1", "a")})[0]; r.Err != nil {
			t.Errorf("%s: without a running task nothing is missed: %v", want, r.Err)
		}
	}
}

func TestServicesOfOneNameInSeveralECSClustersStayApart(t *testing.T) {
	f := newFakeAWS()
	f.instances["ci2"] = ContainerInstance{ARN: "ci2", InstanceID: "mi-2", Attributes: map[string]string{addressAttribute: "192.0.2.2"}}
	other := bridgeTask("a1", 2)
	other.ARN, other.ContainerInstance = "arn:aws:ecs:eu-west-1:1:task/c2/a1", "ci2"
	f.add("c1", "a", bridgeTask("a1", 1))
	f.add("c2", "a", other)
	got := read(t, NewInventory(f, nil), refTo("c1", "a"), refTo("c2", "a"))
	if diff := cmp.Diff([][]string{{"10.0.0.7:1"}, {"192.0.2.2:2"}}, [][]string{summary(got[0]), summary(got[1])}); diff != "" {
		t.Fatal(diff)
	}
}

func TestAFailedBatchStrikesOnlyTheServicesWithTasksInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAWS()
		for _, name := range []string{"a", "b"} { // a fills the first batch, b the second
			var tasks []Task
			for n := range together {
				tasks = append(tasks, bridgeTask(fmt.Sprint(name, n), uint16(1+n)))
			}
			f.add("c1", name, tasks...)
		}
		inv := NewInventory(f, nil)
		refs := []mesh.ServiceRef{refTo("c1", "a"), refTo("c1", "b")}
		before := read(t, inv, refs...)
		f.change(func() { f.fail["Tasks arn:aws:ecs:eu-west-1:1:task/c1/b7"] = errors.New("throttled") })
		time.Sleep(taskAge)
		got := inv.Read(t.Context(), refs)
		if got[0].Err != nil || got[0].Service != before[0] {
			t.Errorf("a: %v", got[0].Err)
		}
		if got[1].Err == nil || got[1].Definite || !strings.Contains(got[1].Err.Error(), "throttled") {
			t.Errorf("b: %+v", got[1])
		}
		f.change(func() { clear(f.fail) })
		if again := read(t, inv, refs...); again[1] != before[1] {
			t.Error("after the error, what did not change is not the same value")
		}
	})
}
