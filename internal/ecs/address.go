package ecs

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// addressAttribute is the container-instance attribute that has the address of an ECS Anywhere machine, which no API
// tells. It is set through the agent's ECS_INSTANCE_ATTRIBUTES.
const addressAttribute = "nightjar.address"

// Instance is what is known of a container instance.
type Instance struct {
	// ID is "i-…" on EC2, "mi-…" for ECS Anywhere.
	ID string
	// Address is the value of its attribute nightjar.address.
	Address string
	// Private is the address of the EC2 instance.
	Private InstanceAddr
}

// address is where a container port of a task can be reached. It is the only place that knows network modes. The
// container may be "" where the port alone decides (awsvpc and host mode). An error says why there is no address.
func address(t Task, container string, port uint16, instance *Instance) (netip.AddrPort, error) {
	if isAWSVPC(t) {
		host, err := interfaceAddr(t, container)
		return netip.AddrPortFrom(host, port), err
	}
	if t.ContainerInstance == "" {
		return netip.AddrPort{}, errors.New("it has no network interface yet")
	}
	host, err := instanceAddr(instance)
	if err != nil {
		return netip.AddrPort{}, err
	}
	hostPort, err := hostPort(t, container, port, host.Is6())
	return netip.AddrPortFrom(host, hostPort), err
}

// isAWSVPC tells whether the task has a network interface of its own. DescribeTasks doesn't tell the network mode.
func isAWSVPC(t Task) bool {
	for _, a := range t.Attachments {
		if isInterface(a) {
			return true
		}
	}
	return slices.ContainsFunc(t.Containers, func(c Container) bool { return len(c.Interfaces) > 0 })
}

// isInterface tells a network interface from other attachments, by its name in the API and in events.
func isInterface(a Attachment) bool { return a.Type == "ElasticNetworkInterface" || a.Type == "eni" }

// interfaceAddr is the address of the task's network interface, which all its containers share.
func interfaceAddr(t Task, container string) (netip.Addr, error) {
	var found []Interface
	for _, c := range t.Containers {
		if container == "" || c.Name == container {
			found = append(found, c.Interfaces...)
		}
	}
	for _, a := range t.Attachments {
		if isInterface(a) {
			found = append(found, Interface{IPv4: a.Details["privateIPv4Address"], IPv6: a.Details["ipv6Address"]})
		}
	}
	for _, i := range found {
		if host, ok := parseHost(i.IPv4); ok {
			return host, nil
		}
	}
	for _, i := range found {
		if host, ok := parseHost(i.IPv6); ok {
			return host, nil
		}
	}
	return netip.Addr{}, errors.New("its network interface has no address yet")
}

// parseHost reads an address that something can be sent to.
func parseHost(text string) (netip.Addr, bool) {
	host, err := netip.ParseAddr(text)
	host = host.Unmap() // first: ::ffff:0.0.0.0 is unspecified too
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if err != nil || host.Zone() != "" || host.IsUnspecified() || host.IsMulticast() || host == broadcast {
		return netip.Addr{}, false
	}
	return host, true
}

// instanceAddr is the private address of the machine that the task runs on.
func instanceAddr(i *Instance) (netip.Addr, error) {
	switch {
	case i == nil:
		return netip.Addr{}, errors.New("AWS does not know its container instance: it is new, or gone")
	case i.Address != "":
		host, ok := parseHost(i.Address)
		if !ok {
			return netip.Addr{}, doubt(fmt.Sprintf("the attribute %s of its container instance %s is %.60q: want an IP address "+
				"(ECS_INSTANCE_ATTRIBUTES of the ECS agent)", addressAttribute, i.ID, i.Address))
		}
		return host, nil
	case strings.HasPrefix(i.ID, "mi-"):
		return netip.Addr{}, doubt(fmt.Sprintf("its container instance %s is outside of AWS, and lacks the attribute %s with its IP address: "+
			"give its ECS agent ECS_INSTANCE_ATTRIBUTES={\"%[2]s\": \"ADDRESS\"}", i.ID, addressAttribute))
	case i.Private.IPv4.IsValid():
		return i.Private.IPv4, nil
	case i.Private.IPv6.IsValid():
		return i.Private.IPv6, nil
	default:
		return netip.Addr{}, fmt.Errorf("EC2 tells no private address of its instance %s: it is new, or gone", i.ID)
	}
}

// hostPort is the port of the machine that leads to a container port. In bridge mode a binding tells it; in host mode, where
// there may be none at all, it is the container port itself.
func hostPort(t Task, container string, port uint16, ipv6 bool) (uint16, error) {
	var other uint16
	published := false
	for _, c := range t.Containers {
		published = published || len(c.Bindings) > 0
		if container != "" && c.Name != container {
			continue
		}
		for _, b := range c.Bindings {
			bound, ok := boundPort(b, port)
			if !ok {
				continue
			}
			if isIPv6(b.BindIP) == ipv6 {
				return bound, nil
			}
			other = bound
		}
	}
	switch {
	case other != 0: // bound for the other family alone, as far as AWS tells
		return other, nil
	case published:
		return 0, fmt.Errorf("no binding publishes the container port %d", port)
	default:
		return port, nil
	}
}

func isIPv6(bindIP string) bool { return strings.Contains(bindIP, ":") }

// boundPort is the host port of a tcp binding for a container port.
func boundPort(b Binding, port uint16) (uint16, bool) {
	if port == 0 || b.Protocol != "" && b.Protocol != "tcp" {
		return 0, false
	}
	if b.ContainerPortRange == "" {
		return b.HostPort, b.ContainerPort == port && b.HostPort != 0
	}
	low, high, ok := portRange(b.ContainerPortRange)
	hostLow, hostHigh, hostOK := portRange(b.HostPortRange)
	if !ok || !hostOK || port < low || port > high || high-low != hostHigh-hostLow {
		return 0, false
	}
	return hostLow + (port - low), true
}

// portRange reads "LOW-HIGH".
func portRange(text string) (low, high uint16, ok bool) {
	first, last, found := strings.Cut(text, "-")
	a, err := strconv.ParseUint(first, 10, 16)
	b, err2 := strconv.ParseUint(last, 10, 16)
	if !found || err != nil || err2 != nil || a == 0 || a > b {
		return 0, 0, false
	}
	return uint16(a), uint16(b), true
}
