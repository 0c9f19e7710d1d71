package config

import (
	"errors"
	"fmt"
	"strings"
)

// The shapes of ARNs, for messages.
const (
	serviceShape = "arn:PARTITION:ecs:REGION:ACCOUNT:service/ECS-CLUSTER/NAME"
	clusterShape = "arn:PARTITION:ecs:REGION:ACCOUNT:cluster/NAME"
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

// ParseServiceARN reads "arn:PARTITION:ecs:REGION:ACCOUNT:service/[ECS-CLUSTER/]NAME". Its error says what is wrong.
func ParseServiceARN(text string) (ServiceARN, error) {
	a, resource, err := splitARN(text, serviceShape)
	if err != nil {
		return ServiceARN{}, err
	}
	kind, name, _ := strings.Cut(resource, "/")
	if kind != "service" {
		return ServiceARN{}, fmt.Errorf("it is the ARN of a %.40q; want that of a service, %s", kind, serviceShape)
	}
	a.Service = name
	if cluster, service, long := strings.Cut(name, "/"); long {
		a.Cluster, a.Service = cluster, service
		if !validName(cluster) {
			return ServiceARN{}, fmt.Errorf("%.40q is not the name of an ECS cluster; want %s", cluster, serviceShape)
		}
	}
	if !validName(a.Service) {
		return ServiceARN{}, fmt.Errorf("%.40q is not the name of a service; want %s", a.Service, serviceShape)
	}
	return a, nil
}

// clusterRef is an ECS cluster; the Region and account are "" where it was given by name.
type clusterRef struct {
	name, region, account string
}

// parseCluster reads an ECS cluster's name or ARN.
func parseCluster(text string) (clusterRef, error) {
	if !strings.HasPrefix(text, "arn:") {
		if !validName(text) {
			return clusterRef{}, errors.New("want the name of an ECS cluster, or its ARN: " + clusterShape)
		}
		return clusterRef{name: text}, nil
	}
	a, resource, err := splitARN(text, clusterShape)
	if err != nil {
		return clusterRef{}, err
	}
	kind, name, _ := strings.Cut(resource, "/")
	if kind != "cluster" || !validName(name) {
		return clusterRef{}, errors.New("want the ARN of an ECS cluster: " + clusterShape)
	}
	return clusterRef{name: name, region: a.Region, account: a.Account}, nil
}

// splitARN reads all of an ARN of ECS but its resource, which it returns as it is. The shape is for its error.
func splitARN(text, shape string) (a ServiceARN, resource string, err error) {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return a, "", errors.New("it has not the shape " + shape)
	}
	a = ServiceARN{Partition: parts[1], Region: parts[3], Account: parts[4]}
	switch {
	case parts[2] != "ecs":
		err = fmt.Errorf("it is an ARN of %.40q; want one of ecs, %s", parts[2], shape)
	case a.Partition != "aws" && a.Partition != "aws-cn" && a.Partition != "aws-us-gov":
		err = fmt.Errorf("the partition %.40q is none of aws, aws-cn and aws-us-gov", a.Partition)
	case !validRegion(a.Region):
		err = fmt.Errorf("%.40q is not a Region; want %s with one such as eu-west-1", a.Region, shape)
	case a.Partition != partitionOf(a.Region):
		err = fmt.Errorf("the Region %s is in the partition %s, not %q", a.Region, partitionOf(a.Region), a.Partition)
	case len(a.Account) != 12 || !digits(a.Account):
		err = fmt.Errorf("%.40q is not an account number of 12 digits; want %s", a.Account, shape)
	}
	return a, parts[5], err
}

// validName tells whether ECS allows a name for services, ECS clusters and containers.
// Source: ECS API reference, CreateService: up to 255 letters, numbers, underscores and hyphens.
func validName(name string) bool {
	return name != "" && len(name) <= 255 && strings.IndexFunc(name, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// validRegion tells whether a text has the shape of a Region: lower-case words and a number, with hyphens between.
func validRegion(region string) bool {
	words := strings.Split(region, "-")
	last := len(words) - 1
	if last < 2 || len(region) > 40 || len(words[0]) < 2 || !digits(words[last]) {
		return false
	}
	for _, word := range words[:last] {
		if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") != "" {
			return false
		}
	}
	return true
}

// digits tells whether a text is made of at least one digit and nothing else.
func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
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
