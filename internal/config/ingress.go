package config

import (
	"fmt"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// maxHops bounds INGRESS_TRUSTED_HOPS.
const maxHops = 100

// byService are the settings of ingress that needs no task metadata endpoint.
const byService = "CURRENT_SERVICE_ARN and INGRESS_SCOPE=service"

// scope reads where ingress goes and what belongs to all of it.
func (l *loader) scope() {
	c := l.config
	c.TrustedHops = uint32(l.number("INGRESS_TRUSTED_HOPS", 0, maxHops))
	c.HealthPath = l.value("INGRESS_HEALTH_PATH")
	if err := checkPath(c.HealthPath); err != nil {
		l.mistake("INGRESS_HEALTH_PATH", err.Error())
	}
	const variable = "INGRESS_SCOPE"
	switch given := Scope(l.value(variable)); {
	case given != "" && given != ScopeTask && given != ScopeService:
		l.mistake(variable, "want task or service")
	case given == ScopeTask && l.Task == nil:
		l.missing(variable, fmt.Sprintf("the containers of the own task are known from the task metadata endpoint alone (%s), and it "+
			"doesn't tell them; set service, or unset this one", taskmeta.URIVariable), byService)
	case given != "":
		c.Scope = given
	case l.Task != nil:
		c.Scope = ScopeTask
	default:
		c.Scope = ScopeService
		if l.TaskErr == nil || l.value("CURRENT_SERVICE_ARN") != "" { // else it is a mistake
			l.warn("no task metadata endpoint tells the containers of the own task: ingress goes to all tasks of the own service; " +
				"INGRESS_SCOPE=service says that this is meant")
		}
	}
	l.ownService()
}

// ownService finds the service that the own task is of: CURRENT_SERVICE_ARN, else what the own task says. Only ingress by
// service must know it; ingress by task asks its target groups for a port that nothing else tells.
func (l *loader) ownService() {
	const variable = "CURRENT_SERVICE_ARN"
	c := l.config
	c.OwnCluster = l.ownCluster.name
	if l.value(variable) != "" {
		arn, _ := l.service(variable)
		if arn.Cluster != "" && l.ownCluster.name != "" && arn.Cluster != l.ownCluster.name {
			l.mistake(variable, fmt.Sprintf("it is in the ECS cluster %s, and the own one is %s (CLUSTER, or the own task)",
				arn.Cluster, l.ownCluster.name))
		}
		c.OwnService = arn.Service
		if arn.Cluster != "" {
			c.OwnCluster = arn.Cluster
		}
	}
	if c.Scope != ScopeService {
		return
	}
	if own := l.ownCluster; own.region != "" && own.name == c.OwnCluster {
		l.arns = append(l.arns, placed{"CLUSTER", own.region, own.account})
	}
	if c.OwnService == "" {
		l.missing(variable, "needed: ingress goes to all tasks of the own service, and no task metadata endpoint tells which that is", byService)
	}
	if c.OwnCluster == "" && !l.wrong["CLUSTER"] && !l.wrong[variable] {
		l.missing("CLUSTER", "needed: CURRENT_SERVICE_ARN is without an ECS cluster, and no task metadata endpoint tells it", "CLUSTER")
	}
}

// container reads what one index of CONTAINER_*_X says. What no variable sets is as SERVICE_*_X has it by default.
func (l *loader) container(x string) {
	const usual = "X"
	e := Entry{
		Origin: "CONTAINER_PATH_" + x, Path: l.path("CONTAINER_PATH_"+x, containerLead+x), ListenPort: l.port("CONTAINER_LISTEN_PORT_" + x),
		Policy: mesh.Policy{
			Protocol: l.protocol("CONTAINER_PROTOCOL_" + x), Timeout: l.timeout("CONTAINER_TIMEOUT_" + x),
			Retries: l.retries(usual), IdleTimeout: l.idleTimeout(usual), HealthCheck: l.config.Scope == ScopeTask,
		},
		Ref: mesh.ServiceRef{
			Container: l.name(containerLead + x), ContainerVar: containerLead + x,
			Port: l.port("CONTAINER_PORT_" + x), PortVar: "CONTAINER_PORT_" + x,
			Own: l.config.Scope == ScopeTask, ServiceVar: "CURRENT_SERVICE_ARN",
		},
	}
	if !e.Ref.Own {
		e.Ref.Cluster, e.Ref.Service = l.config.OwnCluster, l.config.OwnService
	}
	if e.Path == l.config.HealthPath {
		l.warn("CONTAINER_PATH_%s: Envoy answers %s itself (INGRESS_HEALTH_PATH); it never reaches the container", x, e.Path)
	}
	if e.Path != "" && e.Ref.Container != "" {
		l.config.Containers = append(l.config.Containers, e)
	}
}
