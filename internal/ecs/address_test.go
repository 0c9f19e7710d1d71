package ecs

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestAddressesInEveryNetworkMode(t *testing.T) {
	shape := shapes(t)
	ec2 := &Instance{ID: "i-0123456789abcdef0", Private: InstanceAddr{IPv4: netip.MustParseAddr("10.0.0.7"), IPv6: netip.MustParseAddr("2001:db8::7")}}
	v6only := &Instance{ID: "i-1", Private: InstanceAddr{IPv6: netip.MustParseAddr("2001:db8::7")}}
	anywhere := &Instance{ID: "mi-0123456789abcdef0", Address: "192.0.2.17"}
	twoFamilies := changed(shape["bridge_ec2_tcp_udp_two_containers"], func(t *Task) {
		t.Containers[0].Bindings = []Binding{
			{BindIP: "::", ContainerPort: 8080, HostPort: 40001, Protocol: "tcp"},
			{BindIP: "0.0.0.0", ContainerPort: 8080, HostPort: 40000, Protocol: "tcp"},
		}
	})
	udpFirst := changed(shape["bridge_ec2_tcp_udp_two_containers"], func(t *Task) {
		t.Containers[0].Bindings = []Binding{
			{BindIP: "0.0.0.0", ContainerPort: 8080, HostPort: 50000, Protocol: "udp"},
			{BindIP: "0.0.0.0", ContainerPort: 8080, HostPort: 40000, Protocol: "tcp"},
		}
	})
	hostBound := changed(shape["host_ec2"], func(t *Task) {
		t.Containers[0].Bindings = []Binding{{ContainerPort: 8080, HostPort: 8080, Protocol: "tcp"}}
	})
	onlyAttachment := changed(shape["awsvpc_fargate"], func(t *Task) { t.Containers[0].Interfaces = nil })
	v6task := changed(shape["awsvpc_fargate_dualstack"], func(t *Task) {
		t.Containers[0].Interfaces[0].IPv4 = ""
		delete(t.Attachments[0].Details, "privateIPv4Address")
	})
	v6attachment := changed(v6task, func(t *Task) { t.Containers[0].Interfaces = nil })
	event := changed(onlyAttachment, func(t *Task) { t.Attachments[0].Type = "eni" })
	tests := map[string]struct {
		task      Task
		container string
		port      uint16
		instance  *Instance
		want      string // an address, or a part of the error
	}{
		"bridge":                              {shape["bridge_ec2_tcp_udp_two_containers"], "web", 8080, ec2, "10.0.0.7:32768"},
		"bridge, second port":                 {shape["bridge_ec2_tcp_udp_two_containers"], "web", 9901, ec2, "10.0.0.7:32769"},
		"bridge, udp listed first":            {udpFirst, "web", 8080, ec2, "10.0.0.7:40000"},
		"bridge, IPv6 listed first":           {twoFamilies, "web", 8080, ec2, "10.0.0.7:40000"},
		"bridge on an IPv6-only instance":     {twoFamilies, "web", 8080, v6only, "[2001:db8::7]:40001"},
		"bridge, a port that isn't published": {shape["bridge_ec2_tcp_udp_two_containers"], "web", 81, ec2, "no binding publishes the container port 81"},
		"bridge, another container's port":    {shape["bridge_ec2_tcp_udp_two_containers"], "side", 8080, ec2, "no binding publishes"},
		"bridge, first of a range":            {shape["bridge_ec2_port_range"], "web", 9000, ec2, "10.0.0.7:49153"},
		"bridge, inside a range":              {shape["bridge_ec2_port_range"], "web", 9004, ec2, "10.0.0.7:49157"},
		"bridge, last of a range":             {shape["bridge_ec2_port_range"], "web", 9010, ec2, "10.0.0.7:49163"},
		"bridge, beyond a range":              {shape["bridge_ec2_port_range"], "web", 9011, ec2, "no binding publishes"},
		"bridge, instance not known":          {shape["bridge_ec2_tcp_udp_two_containers"], "web", 8080, nil, "AWS does not know its container instance: it is new, or gone"},
		"bridge, instance without address":    {shape["bridge_ec2_tcp_udp_two_containers"], "web", 8080, &Instance{ID: "i-2"}, "no private address of its instance i-2"},
		"ECS Anywhere":                        {shape["bridge_external_anywhere"], "web", 8080, anywhere, "192.0.2.17:32770"},
		"ECS Anywhere without the attribute":  {shape["bridge_external_anywhere"], "web", 8080, &Instance{ID: "mi-1"}, "lacks the attribute nightjar.address"},
		"ECS Anywhere, a name":                {shape["bridge_external_anywhere"], "web", 8080, &Instance{ID: "mi-1", Address: "box"}, `is "box": want an IP address`},
		"host":                                {shape["host_ec2"], "web", 8080, ec2, "10.0.0.7:8080"},
		"host with a binding":                 {hostBound, "web", 8080, ec2, "10.0.0.7:8080"},
		"host, any container":                 {shape["host_ec2"], "", 8080, ec2, "10.0.0.7:8080"},
		"awsvpc on EC2":                       {shape["awsvpc_ec2"], "web", 8080, ec2, "10.0.1.5:8080"},
		"awsvpc, any container":               {shape["awsvpc_ec2"], "", 8080, nil, "10.0.1.5:8080"},
		"Fargate":                             {shape["awsvpc_fargate"], "web", 8080, nil, "10.0.1.5:8080"},
		"Fargate, dual stack":                 {shape["awsvpc_fargate_dualstack"], "web", 8080, nil, "10.0.1.5:8080"},
		"Fargate, IPv6 only":                  {v6task, "web", 8080, nil, "[2001:db8::5]:8080"},
		"IPv6 only, by attachment":            {v6attachment, "web", 8080, nil, "[2001:db8::5]:8080"},
		"address only in the attachment":      {onlyAttachment, "web", 8080, nil, "10.0.1.5:8080"},
		"attachment as events call it":        {event, "web", 8080, nil, "10.0.1.5:8080"},
		"Managed Instances":                   {shape["awsvpc_managed_instances"], "web", 8080, ec2, "10.0.1.5:8080"},
		"provisioning":                        {shape["fargate_provisioning"], "web", 8080, nil, "its network interface has no address yet"},
		"nothing known yet":                   {Task{}, "web", 8080, nil, "it has no network interface yet"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := address(test.task, test.container, test.port, test.instance)
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Fatalf("error %q, want %q", err, test.want)
				}
				return
			}
			if got.String() != test.want {
				t.Fatalf("%s, want %s", got, test.want)
			}
		})
	}
}

// FuzzAddress reads arbitrary answers of DescribeTasks: an address is one that something can be sent to, and it is of that
// task and container.
func FuzzAddress(f *testing.F) {
	for _, task := range shapes(f) {
		text, err := json.Marshal(task)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "web", uint16(8080))
		f.Add(text, "", uint16(9004))
	}
	f.Add([]byte(`{"Containers":[{"Name":"web","Bindings":[{"ContainerPortRange":"1-65535","HostPortRange":"2-65535"}]}],"ContainerInstance":"x"}`), "web", uint16(3))
	f.Add([]byte(`{"Containers":[{"Name":"web","Interfaces":[{"IPv4":"::"},{"IPv4":"224.0.0.1"},{"IPv6":"fe80::1%eth0"}]}]}`), "web", uint16(1))
	ec2 := &Instance{ID: "i-1", Private: InstanceAddr{IPv4: netip.MustParseAddr("10.9.9.9")}}
	f.Fuzz(func(t *testing.T, text []byte, container string, port uint16) {
		var task Task
		if json.Unmarshal(text, &task) != nil || port == 0 {
			return
		}
		at, err := address(task, container, port, ec2)
		if err != nil {
			return
		}
		if !at.Addr().IsValid() || at.Addr().IsUnspecified() || at.Addr().IsMulticast() || at.Addr().Zone() != "" || at.Port() == 0 {
			t.Fatalf("%s is no address to send to", at)
		}
		if isAWSVPC(task) {
			if !strings.Contains(string(text), at.Addr().String()) && !ownAddress(task, at.Addr()) || at.Port() != port {
				t.Fatalf("%s is not of the task", at)
			}
			return
		}
		if at.Addr() != ec2.Private.IPv4 {
			t.Fatalf("%s is not of the task's instance", at)
		}
		if at.Port() != port && !slices.ContainsFunc(task.Containers, func(c Container) bool {
			return (container == "" || c.Name == container) && slices.ContainsFunc(c.Bindings, func(b Binding) bool {
				bound, ok := boundPort(b, port)
				return ok && bound == at.Port()
			})
		}) {
			t.Fatalf("the host port of %s is not bound by the container %q", at, container)
		}
	})
}

// ownAddress tells whether an address is one of the task's interfaces or attachments, however it is written there.
func ownAddress(t Task, want netip.Addr) bool {
	is := func(text string) bool {
		a, err := netip.ParseAddr(text)
		return err == nil && a.Unmap() == want
	}
	for _, c := range t.Containers {
		for _, i := range c.Interfaces {
			if is(i.IPv4) || is(i.IPv6) {
				return true
			}
		}
	}
	for _, a := range t.Attachments {
		if is(a.Details["privateIPv4Address"]) || is(a.Details["ipv6Address"]) {
			return true
		}
	}
	return false
}
