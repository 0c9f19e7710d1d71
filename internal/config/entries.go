package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
)

// maxEntries bounds the index X.
const maxEntries = 10_000

// entries reads SERVICE_*_X from 1 to the first index without a SERVICE_ARN_X, and the egress listener.
func (l *loader) entries() {
	count := 0
	for count < maxEntries && l.Env["SERVICE_ARN_"+strconv.Itoa(count+1)] != "" {
		count++
		l.entry(strconv.Itoa(count))
	}
	l.warnBeyond(count)
	if count == 0 {
		l.mistake("SERVICE_ARN_1", "needed, with SERVICE_PATH_1 and EGRESS_LISTEN_PORT: without a service there is nothing to do")
		return
	}
	port := l.port("EGRESS_LISTEN_PORT")
	if l.Env["EGRESS_LISTEN_PORT"] == "" {
		l.mistake("EGRESS_LISTEN_PORT", "needed: the services of SERVICE_ARN_X are reached through it")
	}
	host, err := netip.ParseAddr(l.value("EGRESS_LISTEN_ADDRESS"))
	if err != nil || host.Zone() != "" {
		l.mistake("EGRESS_LISTEN_ADDRESS", "want an IP address, such as 127.0.0.1")
		return
	}
	l.config.Egress = netip.AddrPortFrom(host, port)
}

// entry reads what one index says.
func (l *loader) entry(x string) {
	arn, err := serviceARN(l.value("SERVICE_ARN_" + x))
	if err != nil {
		l.mistake("SERVICE_ARN_"+x, err.Error())
	}
	e := Entry{Origin: "SERVICE_PATH_" + x, Path: l.value("SERVICE_PATH_" + x)}
	e.Ref = mesh.ServiceRef{
		Cluster: l.clusterOf(x, arn), Service: arn.Service, ServiceVar: "SERVICE_ARN_" + x,
		Container: l.name("SERVICE_CONTAINER_" + x), ContainerVar: "SERVICE_CONTAINER_" + x,
		Port: l.port("SERVICE_PORT_" + x), PortVar: "SERVICE_PORT_" + x,
	}
	if e.Path == "" {
		l.mistake(e.Origin, fmt.Sprintf("needed: the URL path of SERVICE_ARN_%s, with a leading \"/\"", x))
		return
	}
	if err := checkPath(e.Path); err != nil {
		l.mistake(e.Origin, err.Error())
		return
	}
	l.config.Entries = append(l.config.Entries, e)
}

// warnBeyond names the variables that are set beyond the last index that counts.
func (l *loader) warnBeyond(count int) {
	for _, name := range slices.Sorted(maps.Keys(l.Env)) {
		generic := genericName(name)
		s, ours := l.table[generic]
		if !ours || !s.Indexed() || s.Part > ThisPart || l.Env[name] == "" || generic == name {
			continue
		}
		_, number, _ := cutLast(name, "_")
		if n, err := strconv.Atoi(number); err != nil || n < 1 || n > count {
			l.warn("%s is ignored: SERVICE_ARN_%d is not set, and counting stops there", clip(name), count+1)
		}
	}
}

// arns are the service ARNs by variable, without those that are wrong and those given by name.
func (l *loader) arns() map[string]ServiceARN {
	all := map[string]ServiceARN{}
	for x := 1; x <= maxEntries; x++ {
		variable := "SERVICE_ARN_" + strconv.Itoa(x)
		text := l.Env[variable]
		if text == "" {
			break
		}
		if !strings.HasPrefix(text, "arn:") || len(text) > maxValue {
			continue
		}
		if arn, err := ParseServiceARN(text); err == nil {
			all[variable] = arn
		}
	}
	return all
}
