package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// inward are good settings for ingress alone.
func inward(change ...string) map[string]string {
	return good(append([]string{
		"SERVICE_ARN_1=", "SERVICE_PATH_1=", "EGRESS_LISTEN_PORT=", "CONTAINER_NAME_1=web", "CONTAINER_PATH_1=/", "CONTAINER_PORT_1=8080",
		"INGRESS_LISTEN_PORT=80",
	}, change...)...)
}

func loadInward(t *testing.T, own *taskmeta.Task, change ...string) *Config {
	t.Helper()
	c, err := Load(Input{Env: inward(change...), Task: own})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestIngressByTaskGoesToOwnContainers(t *testing.T) {
	c := loadInward(t, task("awsvpc"), "CONTAINER_NAME_2=rpc", "CONTAINER_PATH_2=/", "CONTAINER_PORT_2=50051", "CONTAINER_LISTEN_PORT_2=81",
		"CONTAINER_PROTOCOL_2=grpc", "CONTAINER_TIMEOUT_2=15s", "INGRESS_TRUSTED_HOPS=2", "INGRESS_HEALTH_PATH=/up")
	if c.Scope != ScopeTask || len(c.Refs()) > 0 || len(c.Warnings) > 0 {
		t.Errorf("scope %q, refs %v, warnings %v", c.Scope, c.Refs(), c.Warnings)
	}
	var names, listeners []string
	for _, r := range c.OwnRefs() {
		names = append(names, r.Name())
	}
	p := c.Proxy()
	for _, l := range p.Listeners {
		listeners = append(listeners, l.Name+" "+l.Addr.String()+" of "+l.Origin)
		if l.Direction != mesh.Ingress || l.TrustedHops != 2 || l.HealthPath != "/up" {
			t.Errorf("%+v", l)
		}
	}
	if diff := cmp.Diff([]string{"own-task/web:8080", "own-task/rpc:50051"}, names); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"ingress 0.0.0.0:80 of INGRESS_LISTEN_PORT", "ingress-81 0.0.0.0:81 of CONTAINER_LISTEN_PORT_2"}, listeners); diff != "" {
		t.Error(diff)
	}
	want := []mesh.Policy{
		{Retries: 5, IdleTimeout: 4 * time.Second, HealthCheck: true},
		{Protocol: mesh.GRPC, Timeout: 15 * time.Second, Retries: 5, IdleTimeout: 4 * time.Second, HealthCheck: true},
	}
	if diff := cmp.Diff(want, []mesh.Policy{p.Routes[0].Policy, p.Routes[1].Policy}); diff != "" {
		t.Error(diff)
	}
}

func TestIngressByServiceGoesToTheOwnService(t *testing.T) {
	const ownARN = "CURRENT_SERVICE_ARN=arn:aws:ecs:eu-west-1:111122223333:service/shop/web"
	tests := map[string]struct {
		task    *taskmeta.Task
		change  []string
		want    string
		warning string
	}{
		"by the own task's word":    {task("bridge"), []string{"INGRESS_SCOPE=service"}, "shop/web/web:8080", ""},
		"by the setting":            {nil, []string{"INGRESS_SCOPE=service", ownARN}, "shop/web/web:8080", ""},
		"by name":                   {nil, []string{"INGRESS_SCOPE=service", "CURRENT_SERVICE_ARN=web", "CLUSTER=shop", "AWS_REGION=eu-west-1"}, "shop/web/web:8080", ""},
		"without endpoint it warns": {nil, []string{ownARN}, "shop/web/web:8080", "ingress goes to all tasks of the own service"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := loadInward(t, test.task, test.change...)
			refs := c.Refs()
			if len(refs) != 1 || refs[0].Name() != test.want || len(c.OwnRefs()) > 0 || c.Region != "eu-west-1" {
				t.Errorf("refs %+v, own %+v, region %s", refs, c.OwnRefs(), c.Region)
			}
			if warned := strings.Join(c.Warnings, "\n"); (test.warning == "") != (warned == "") || !strings.Contains(warned, test.warning) {
				t.Errorf("warnings: %s", warned)
			}
			if c.Proxy().Routes[0].Policy.HealthCheck {
				t.Error("ports on other hosts are checked: sidecars times endpoints")
			}
		})
	}
}

func TestIngressListensOnIPv6WhereTheOwnTaskHasNothingElse(t *testing.T) {
	own := task("awsvpc")
	own.Containers[0].Networks[0].IPv6Addresses = []string{"2001:db8::1"}
	if at := loadInward(t, own).Ingress.String(); at != "[::]:80" {
		t.Error(at)
	}
	own.Containers[0].Networks[0].IPv4Addresses = []string{"10.0.0.1"}
	if at := loadInward(t, own).Ingress.String(); at != "0.0.0.0:80" {
		t.Error(at)
	}
}

func TestEnvoysAdminIsOpenToOthersOnlyInBridgeModeWhereItIsNamed(t *testing.T) {
	for _, test := range []struct{ mode, name, want string }{
		{"bridge", "", "127.0.0.1:9901"},
		{"bridge", "localhost", "127.0.0.1:9901"},
		{"bridge", "envoy", "0.0.0.0:9901"},
		{"awsvpc", "envoy", "127.0.0.1:9901"},
		{"host", "envoy", "127.0.0.1:9901"},
	} {
		c := loadInward(t, task(test.mode), "ENVOY_CONTAINER_NAME="+test.name, "NIGHTJAR_ENVOY_STATS_LISTEN=0.0.0.0:9904")
		if c.EnvoyAdmin.String() != test.want || c.Proxy().EnvoyAdmin.String() != "127.0.0.1:9901" {
			t.Errorf("%s, %q: %s, and for its metrics %s", test.mode, test.name, c.EnvoyAdmin, c.Proxy().EnvoyAdmin)
		}
	}
}

// TestInBridgeModeAnAppMayHaveIngressPort has containers with a network each.
func TestInBridgeModeAnAppMayHaveIngressPort(t *testing.T) {
	if c := loadInward(t, task("bridge"), "INGRESS_LISTEN_PORT=8080"); len(c.Taken) > 0 || len(c.Warnings) > 0 {
		t.Errorf("%v %v", c.Taken, c.Warnings)
	}
}

func TestMistakesOfIngressHaveTheirSentence(t *testing.T) {
	tests := map[string]struct {
		task   *taskmeta.Task
		change []string
		want   string
	}{
		"no port":           {task("host"), []string{"INGRESS_LISTEN_PORT="}, "INGRESS_LISTEN_PORT: needed: the containers of CONTAINER_NAME_X without a CONTAINER_LISTEN_PORT_X are reached through it"},
		"no path":           {task("host"), []string{"CONTAINER_PATH_1="}, `CONTAINER_PATH_1: needed: the URL path of CONTAINER_NAME_1, with a leading "/"`},
		"a bad path":        {task("host"), []string{"CONTAINER_PATH_1=api"}, `CONTAINER_PATH_1="api": a path begins with "/": "/api" would be right`},
		"a bad name":        {task("host"), []string{"CONTAINER_NAME_1=a b"}, `CONTAINER_NAME_1="a b": want a container's name: letters, digits, hyphens and underscores, at most 255`},
		"a bad scope":       {task("host"), []string{"INGRESS_SCOPE=all"}, `INGRESS_SCOPE="all": want task or service`},
		"no endpoint":       {nil, []string{"INGRESS_SCOPE=task", "AWS_REGION=eu-west-1"}, `INGRESS_SCOPE="task": the containers of the own task are known from the task metadata endpoint alone (ECS_CONTAINER_METADATA_URI_V4), and it doesn't tell them; set service, or unset this one`},
		"hops":              {task("host"), []string{"INGRESS_TRUSTED_HOPS=-1"}, `INGRESS_TRUSTED_HOPS="-1": want a whole number from 0 to 100 (number)`},
		"health path":       {task("host"), []string{"INGRESS_HEALTH_PATH=up"}, `INGRESS_HEALTH_PATH="up": a path begins with "/": "/up" would be right`},
		"no own service":    {nil, []string{"AWS_REGION=eu-west-1", "CLUSTER=shop"}, "CURRENT_SERVICE_ARN: needed: ingress goes to all tasks of the own service, and no task metadata endpoint tells which that is"},
		"no own cluster":    {nil, []string{"AWS_REGION=eu-west-1", "CURRENT_SERVICE_ARN=web"}, "CLUSTER: needed: CURRENT_SERVICE_ARN is without an ECS cluster, and no task metadata endpoint tells it"},
		"another cluster":   {nil, []string{"CLUSTER=other", "CURRENT_SERVICE_ARN=arn:aws:ecs:eu-west-1:111122223333:service/shop/web"}, `CURRENT_SERVICE_ARN="arn:aws:ecs:eu-west-1:111122223333:service/shop/web": it is in the ECS cluster shop, and the own one is other (CLUSTER, or the own task)`},
		"another Region":    {task("host"), []string{"AWS_REGION=eu-west-1", "CURRENT_SERVICE_ARN=arn:aws:ecs:eu-west-2:111122223333:service/shop/web"}, `CURRENT_SERVICE_ARN="arn:aws:ecs:eu-west-2:111122223333:service/shop/web": it is in the Region eu-west-2, and nightjar reads eu-west-1 (AWS_REGION)`},
		"a bad address":     {task("host"), []string{"INGRESS_LISTEN_ADDRESS=everywhere"}, `INGRESS_LISTEN_ADDRESS="everywhere": want an IP address, such as 127.0.0.1`},
		"a taken port":      {task("host"), []string{"INGRESS_LISTEN_PORT=9901"}, `INGRESS_LISTEN_PORT="9901": the address 0.0.0.0:9901 is ENVOY_ADMIN_PORT's too; choose another port for one of them`},
		"a listener's port": {task("host"), []string{"CONTAINER_LISTEN_PORT_1=9902"}, `CONTAINER_LISTEN_PORT_1="9902": the address 0.0.0.0:9902 is NIGHTJAR_XDS_LISTEN's too; choose another port for one of them`},
		"an app's port":     {task("awsvpc"), []string{"INGRESS_LISTEN_PORT=8080"}, `CONTAINER_PORT_1="8080": the port 8080 is INGRESS_LISTEN_PORT's too, and the containers of the task share one network: choose another port for INGRESS_LISTEN_PORT`},
		"an app's admin":    {task("host"), []string{"CONTAINER_PORT_1=9901"}, `CONTAINER_PORT_1="9901": the port 9901 is ENVOY_ADMIN_PORT's too, and the containers of the task share one network: choose another port for ENVOY_ADMIN_PORT`},
		"two containers":    {task("host"), []string{"CONTAINER_NAME_2=api", "CONTAINER_PATH_2=/", "CONTAINER_PORT_2=9000"}, `CONTAINER_PATH_2="/": the path / is given to two services: own-task/web:8080 by CONTAINER_PATH_1 and own-task/api:9000 by CONTAINER_PATH_2; change one of the two paths, or let services share it by SERVICE_WEIGHT_X`},
		"Envoy's name":      {task("host"), []string{"ENVOY_CONTAINER_NAME=a b"}, `ENVOY_CONTAINER_NAME="a b": want the name of Envoy's container, a host name or an IP address`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]string{test.want}, mistakesOf(t, Input{Env: inward(test.change...), Task: test.task})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIngressMayNotHaveMeantIsAWarning(t *testing.T) {
	for change, want := range map[string]string{
		"CONTAINER_PATH_1=/.nightjar/health": "Envoy answers /.nightjar/health itself (INGRESS_HEALTH_PATH)",
		"CONTAINER_NAME_3=x":                 "CONTAINER_NAME_3 is ignored: CONTAINER_NAME_2 is not set, and counting stops there",
		"CONTAINER_PORT_2=80":                "CONTAINER_PORT_2 is ignored: CONTAINER_NAME_2 is not set",
		"EGRESS_LISTEN_PORT=8080":            "EGRESS_LISTEN_PORT is ignored: there is no SERVICE_ARN_1 to reach through it",
		"CONTAINER_NAM_1=x":                  "did you mean CONTAINER_NAME_1?",
	} {
		c := loadInward(t, task("host"), change)
		if warned := strings.Join(c.Warnings, "\n"); !strings.Contains(warned, want) || len(c.Warnings) != 1 {
			t.Errorf("%s: %s", change, warned)
		}
	}
}

func TestAnEndpointThatFailsIsTheMistakeWhereSettingsAreMissingBecauseOfIt(t *testing.T) {
	const uri = "ECS_CONTAINER_METADATA_URI_V4"
	failed := fmt.Errorf("reading the task metadata endpoint (%s): %w", uri, errors.New("it answers 500 Internal Server Error"))
	const start = uri + `="http://169.254.170.2/v4/x": it answers 500 Internal Server Error: without it the own task is not known; mend that, or set `
	for change, want := range map[string]string{
		"AWS_REGION=eu-west-1 CLUSTER=shop":                  start + "CURRENT_SERVICE_ARN and INGRESS_SCOPE=service",
		"CLUSTER=shop":                                       start + "CURRENT_SERVICE_ARN and INGRESS_SCOPE=service, and AWS_REGION",
		"AWS_REGION=eu-west-1 INGRESS_SCOPE=task":            start + "CURRENT_SERVICE_ARN and INGRESS_SCOPE=service",
		"AWS_REGION=eu-west-1 CURRENT_SERVICE_ARN=web":       start + "CLUSTER",
		"AWS_REGION=eu-west-1 CLUSTER=shop SERVICE_ARN_1=s1": start + "CURRENT_SERVICE_ARN and INGRESS_SCOPE=service",
	} {
		env := inward(append(strings.Fields(change), uri+"=http://169.254.170.2/v4/x", "EGRESS_LISTEN_PORT=8080", "SERVICE_PATH_1=/s1")...)
		if diff := cmp.Diff([]string{want}, mistakesOf(t, Input{Env: env, TaskErr: failed})); diff != "" {
			t.Errorf("%s: %s", change, diff)
		}
	}
	env := good("SERVICE_ARN_1=s1", "CLUSTER=")
	if diff := cmp.Diff(1, len(mistakesOf(t, Input{Env: env, TaskErr: failed}))); diff != "" {
		t.Error(diff)
	}
	if c, err := Load(Input{Env: good(), TaskErr: failed}); err != nil || len(c.Warnings) != 0 {
		t.Errorf("where nothing is missing: %v %v", c, err)
	}
}
