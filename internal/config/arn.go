package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ServiceARN is the ARN of an ECS service. The old form lacks the ECS cluster.
type ServiceARN struct {
	Partition, Region, Account string
	// Cluster is the name of the ECS cluster, "" in the old form.
	Cluster, Service string
}

// String is the ARN in the form that it was in.
func (a ServiceARN) String() string {
	name := a.Service
	if a.Cluster != "" {
		name = a.Cluster + "/" + name
	}
	return strings.Join([]string{"arn", a.Partition, "ecs", a.Region, a.Account, "service/" + name}, ":")
}

// validName tells whether ECS allows a name for services, ECS clusters and containers.
// Source: ECS API reference, CreateService: up to 255 letters, numbers, underscores and hyphens.
func validName(name string) bool {
	return name != "" && len(name) <= 255 && strings.IndexFunc(name, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// ParseServiceARN reads "arn:PARTITION:ecs:REGION:ACCOUNT:service/[ECS-CLUSTER/]NAME". Its error says what is wrong.
func ParseServiceARN(text string) (ServiceARN, error) {
	region, account, partition, resource, err := splitARN(text)
	if err != nil {
		return ServiceARN{}, err
	}
	kind, name, _ := strings.Cut(resource, "/")
	if kind != "service" {
		return ServiceARN{}, fmt.Errorf("it is the ARN of a %.40q; want that of a service", kind)
	}
	a := ServiceARN{Partition: partition, Region: region, Account: account, Service: name}
	if cluster, service, long := strings.Cut(name, "/"); long {
		a.Cluster, a.Service = cluster, service
		if !validName(cluster) {
			return ServiceARN{}, errors.New("the name of its ECS cluster is not one")
		}
	}
	if !validName(a.Service) {
		return ServiceARN{}, errors.New("its service name is not one: want arn:PARTITION:ecs:REGION:ACCOUNT:service/ECS-CLUSTER/NAME")
	}
	return a, nil
}

// clusterName reads an ECS cluster's name or ARN.
func clusterName(text string) (string, error) {
	if !strings.HasPrefix(text, "arn:") {
		if !validName(text) {
			return "", errors.New("want the name or ARN of an ECS cluster")
		}
		return text, nil
	}
	_, _, _, resource, err := splitARN(text)
	if err != nil {
		return "", err
	}
	kind, name, _ := strings.Cut(resource, "/")
	if kind != "cluster" || !validName(name) {
		return "", errors.New("want the ARN of an ECS cluster, arn:PARTITION:ecs:REGION:ACCOUNT:cluster/NAME")
	}
	return name, nil
}

func splitARN(text string) (region, account, partition, resource string, err error) {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return "", "", "", "", errors.New("it has not the shape arn:PARTITION:ecs:REGION:ACCOUNT:service/ECS-CLUSTER/NAME")
	}
	partition, service, region, account, resource := parts[1], parts[2], parts[3], parts[4], parts[5]
	switch {
	case service != "ecs":
		return "", "", "", "", fmt.Errorf("it is an ARN of %.40q; want one of ecs", service)
	case !validRegion(region):
		return "", "", "", "", fmt.Errorf("%.40q is not a Region", region)
	case partition != partitionOf(region):
		return "", "", "", "", fmt.Errorf("the Region %s is in the partition %s, not %.40q", region, partitionOf(region), partition)
	case !regexp.MustCompile(`^[0-9]{12}$`).MatchString(account):
		return "", "", "", "", fmt.Errorf("%.40q is not an account number of 12 digits", account)
	}
	return region, account, partition, resource, nil
}

func validRegion(region string) bool {
	return len(region) <= 40 && regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`).MatchString(region)
}

// partitionOf is the partition that a Region is in.
func partitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	default:
		return "aws"
	}
}
