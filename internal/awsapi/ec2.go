package awsapi

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/groboclown/nightjar-mesh/internal/ecs"
)

// addrsACall is the number of values that a filter takes. Source: Amazon EC2 API reference, DescribeInstances.
const addrsACall = 200

// InstanceAddrs implements ecs.API. It asks by filter: by ID one unknown instance would fail the whole call.
func (c *Client) InstanceAddrs(ctx context.Context, ids []string) (map[string]ecs.InstanceAddr, error) {
	const permission = "ec2:DescribeInstances"
	return inBatches(ctx, ids, addrsACall, func(ctx context.Context, batch []string) (map[string]ecs.InstanceAddr, error) {
		found := make(map[string]ecs.InstanceAddr, len(batch))
		in := &ec2.DescribeInstancesInput{
			Filters:    []types.Filter{{Name: aws.String("instance-id"), Values: batch}},
			MaxResults: aws.Int32(1000),
		}
		for range maxPages {
			out, err := c.describeInstances(ctx, in)
			if err != nil {
				return nil, explain(permission, "the addresses of instances", err)
			}
			last := aws.ToString(out.NextToken) == ""
			if last && out.Reservations == nil { // AWS's empty answer has an empty reservationSet; the SDK takes any XML
				return nil, explain(permission, "the addresses of instances", stranger("the answer is not a list of instances"))
			}
			for _, reservation := range out.Reservations {
				for _, i := range reservation.Instances {
					found[aws.ToString(i.InstanceId)] = instanceAddr(i)
				}
			}
			if last {
				return found, nil
			}
			in.NextToken = out.NextToken
		}
		return nil, explain(permission, "the addresses of instances", fmt.Errorf("the answer has more than %d pages", maxPages))
	})
}

func instanceAddr(i types.Instance) ecs.InstanceAddr {
	addr := ecs.InstanceAddr{IPv4: parseAddr(i.PrivateIpAddress), IPv6: parseAddr(i.Ipv6Address)}
	for _, card := range i.NetworkInterfaces {
		if card.Attachment != nil && aws.ToInt32(card.Attachment.DeviceIndex) != 0 {
			continue // the interface of an awsvpc task on this instance
		}
		for _, v6 := range card.Ipv6Addresses {
			if !addr.IPv6.IsValid() {
				addr.IPv6 = parseAddr(v6.Ipv6Address)
			}
		}
	}
	return addr
}

// parseAddr reads an address that something can be sent to; what is none is the zero Addr.
func parseAddr(text *string) netip.Addr {
	addr, err := netip.ParseAddr(aws.ToString(text))
	addr = addr.Unmap()
	if err != nil || addr.IsUnspecified() || addr.IsMulticast() || addr.Zone() != "" {
		return netip.Addr{}
	}
	return addr
}
