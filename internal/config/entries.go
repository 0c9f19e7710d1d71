package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// maxEntries bounds the index X.
const maxEntries = 10_000

// entries reads SERVICE_*_X and CONTAINER_*_X, each from 1 to the first index without the variable that leads it, and the
// listeners.
func (l *loader) entries() {
	l.ownCluster = l.readOwnCluster()
	services := l.indexes("SERVICE_", serviceLead)
	for x := 1; x <= services; x++ {
		l.entry(strconv.Itoa(x))
	}
	containers := l.indexes("CONTAINER_", containerLead)
	if containers > 0 {
		l.scope()
	}
	for x := 1; x <= containers; x++ {
		l.container(strconv.Itoa(x))
	}
	if services+containers == 0 {
		l.mistake(serviceLead+"1", "needed, with SERVICE_PATH_1 and EGRESS_LISTEN_PORT, or for ingress CONTAINER_NAME_1, with "+
			"CONTAINER_PATH_1 and INGRESS_LISTEN_PORT: without a service or container there is nothing to do")
		return
	}
	l.egress(services)
	l.ingress(containers)
}

// The variables that lead an index: the first without one ends the counting.
const (
	serviceLead   = "SERVICE_ARN_"
	containerLead = "CONTAINER_NAME_"
)

// indexes counts the indexes of a family of variables, and warns of those that don't count.
func (l *loader) indexes(family, lead string) int {
	count := 0
	for count < maxEntries && l.Env[lead+strconv.Itoa(count+1)] != "" {
		count++
	}
	if beyond := lead + strconv.Itoa(maxEntries+1); count == maxEntries && l.Env[beyond] != "" {
		l.mistake(beyond, fmt.Sprintf("at most %d can be given", maxEntries))
	} else {
		l.warnUnread(family, lead, count)
	}
	return count
}

// entry reads what one index says. Only a good one counts for what is found when all are compared.
func (l *loader) entry(x string) {
	arn, known := l.service(serviceLead + x)
	e := Entry{
		Origin: "SERVICE_PATH_" + x, Path: l.path("SERVICE_PATH_"+x, serviceLead+x), Policy: l.policy(x),
		ListenPort: l.port("SERVICE_LISTEN_PORT_" + x),
	}
	e.Weight, e.Weighted = l.weight(x)
	e.Ref = mesh.ServiceRef{
		Cluster: l.clusterOf(x, arn, known), ClusterVar: l.clusterVar(x, arn), Service: arn.Service, ServiceVar: "SERVICE_ARN_" + x,
		Account:   arn.Account,
		Container: l.name("SERVICE_CONTAINER_" + x), ContainerVar: "SERVICE_CONTAINER_" + x,
		Port: l.port("SERVICE_PORT_" + x), PortVar: "SERVICE_PORT_" + x,
	}
	if e.Path != "" && e.Ref.Cluster != "" && known {
		l.config.Entries = append(l.config.Entries, e)
	}
}

// service reads the ARN or name of a service; a name alone leaves all else of the ARN empty.
func (l *loader) service(variable string) (arn ServiceARN, known bool) {
	text := l.value(variable)
	if !strings.HasPrefix(text, "arn:") {
		if !validName(text) {
			l.mistake(variable, "want "+serviceShape+", or the service's name")
			return ServiceARN{}, false
		}
		return ServiceARN{Service: text}, true
	}
	arn, err := ParseServiceARN(text)
	if err != nil {
		l.mistake(variable, err.Error())
		return ServiceARN{}, false
	}
	l.arns = append(l.arns, placed{variable, arn.Region, arn.Account})
	return arn, true
}

// path reads the path of a service or container, "" where it is missing or wrong.
func (l *loader) path(variable, of string) string {
	p := l.value(variable)
	if p == "" {
		l.mistake(variable, fmt.Sprintf("needed: the URL path of %s, with a leading \"/\"", of))
		return ""
	}
	if err := checkPath(p); err != nil {
		l.mistake(variable, err.Error())
		return ""
	}
	return p
}

// name reads the name of a container.
func (l *loader) name(variable string) string {
	v := l.value(variable)
	if v != "" && !validName(v) {
		l.mistake(variable, "want a container's name: letters, digits, hyphens and underscores, at most 255")
		return ""
	}
	return v
}

// clusterOf finds the ECS cluster of a service: its own variable, else its ARN's, else CLUSTER, else the own task's.
func (l *loader) clusterOf(x string, arn ServiceARN, known bool) string {
	variable := "SERVICE_CLUSTER_" + x
	if v := l.value(variable); v != "" {
		return l.givenCluster(variable, v, arn)
	}
	if arn.Cluster != "" || !known {
		return arn.Cluster
	}
	switch own := l.ownCluster; {
	case own.region != "":
		l.arns = append(l.arns, placed{"CLUSTER", own.region, own.account})
	case own.name == "" && !l.wrong["CLUSTER"]:
		l.missing(variable, fmt.Sprintf(
			"needed, or CLUSTER: SERVICE_ARN_%s is without an ECS cluster, and no task metadata endpoint tells it", x), "CLUSTER")
	}
	return l.ownCluster.name
}

// clusterVar names the variable that clusterOf takes the ECS cluster from, "" for the own task.
func (l *loader) clusterVar(x string, arn ServiceARN) string {
	switch {
	case l.value("SERVICE_CLUSTER_"+x) != "":
		return "SERVICE_CLUSTER_" + x
	case arn.Cluster != "":
		return "SERVICE_ARN_" + x
	case l.value("CLUSTER") != "":
		return "CLUSTER"
	default:
		return ""
	}
}

// givenCluster reads SERVICE_CLUSTER_X, which must not contradict the service's ARN.
func (l *loader) givenCluster(variable, text string, arn ServiceARN) string {
	c, err := parseCluster(text)
	switch {
	case err != nil:
		l.mistake(variable, err.Error())
	case arn.Cluster != "" && arn.Cluster != c.name:
		l.mistake(variable, fmt.Sprintf("the service's ARN says that the ECS cluster is %s; unset this one, or mend the ARN", arn.Cluster))
	case arn.Region != "" && c.region != "" && (c.region != arn.Region || c.account != arn.Account):
		l.mistake(variable, fmt.Sprintf("the service's ARN is of %s, account %s; unset this one, or mend the ARN", arn.Region, arn.Account))
	case c.region != "":
		l.arns = append(l.arns, placed{variable, c.region, c.account})
	}
	return c.name
}

// readOwnCluster reads CLUSTER, else asks the own task.
func (l *loader) readOwnCluster() clusterRef {
	if v := l.value("CLUSTER"); v != "" {
		c, err := parseCluster(v)
		if err != nil {
			l.mistake("CLUSTER", err.Error())
		}
		return c
	}
	if l.Task != nil {
		return clusterRef{name: l.Task.ClusterName()}
	}
	return clusterRef{}
}

// warnUnread names the variables of a family with an index that doesn't count.
func (l *loader) warnUnread(family, lead string, count int) {
	for _, name := range slices.Sorted(maps.Keys(l.Env)) {
		generic := genericName(name)
		if s, ours := l.table[generic]; !ours || !s.Indexed() || l.Env[name] == "" || !strings.HasPrefix(name, family) {
			continue
		}
		head, number, _ := cutLast(name, "_")
		n, err := strconv.Atoi(number)
		switch {
		case generic == name || n == 0 && err == nil:
			l.warn("%s is ignored: X counts from 1; did you mean %s_1?", printable(name), head)
		case number[0] == '0':
			l.warn("%s is ignored: want the number without a leading 0", printable(name))
		case err != nil || n > count:
			l.warn("%s is ignored: %s%d is not set, and counting stops there", printable(name), lead, count+1)
		}
	}
}
