package config

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

const ordersARN = "arn:aws:ecs:eu-west-1:111122223333:service/shop/orders"

// good is an environment without a mistake; change has NAME=VALUE lines on top of it, and NAME= unsets.
func good(change ...string) map[string]string {
	env := map[string]string{"SERVICE_ARN_1": ordersARN, "SERVICE_PATH_1": "/orders", "EGRESS_LISTEN_PORT": "8080"}
	for _, line := range change {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
		if value == "" {
			delete(env, name)
		}
	}
	return env
}

func task(mode string) *taskmeta.Task {
	return &taskmeta.Task{
		Cluster: "arn:aws:ecs:eu-west-1:111122223333:cluster/shop", ServiceName: "web", AvailabilityZone: "eu-west-1a",
		TaskARN:    "arn:aws:ecs:eu-west-1:111122223333:task/shop/0123456789abcdef",
		Containers: []taskmeta.Container{{Networks: []taskmeta.Network{{NetworkMode: mode}}}},
	}
}

func TestTheOwnZoneIsPreferredUnlessThatIsOff(t *testing.T) {
	for value, want := range map[string]string{"": "eu-west-1a", "auto": "eu-west-1a", "off": ""} {
		env := good()
		env["ZONE_AWARE"] = value
		c, err := Load(Input{Env: env, Task: task("awsvpc")})
		if err != nil || c.Proxy().Zone != want || c.Zone != "eu-west-1a" {
			t.Errorf("%q: %v, %+v", value, err, c)
		}
	}
}

func TestDefaultsByNetworkMode(t *testing.T) {
	ref := mesh.ServiceRef{
		Cluster: "shop", Service: "orders", Account: "111122223333",
		ClusterVar: "SERVICE_ARN_1", ServiceVar: "SERVICE_ARN_1", ContainerVar: "SERVICE_CONTAINER_1", PortVar: "SERVICE_PORT_1",
	}
	base := Config{
		Region: "eu-west-1", Entries: []Entry{{
			Ref: ref, Path: "/orders", Origin: "SERVICE_PATH_1", Policy: mesh.Policy{Retries: 5, IdleTimeout: 4 * time.Second},
		}},
		Admin:     Address{Network: "tcp", Host: "127.0.0.1", Port: 9903},
		EnvoyHost: "localhost", EnvoyAdmin: netip.MustParseAddrPort("127.0.0.1:9901"), Wait: 100 * time.Millisecond, Rate: 1, Burst: 10, DrainTime: 20 * time.Second, LogLevel: slog.LevelInfo,
		NodeID: "0123456789abcdef", NodeService: "web", Zone: "eu-west-1a", OwnCluster: "shop", OwnService: "web", Sidecar: "nightjar", ZoneAware: true,
	}
	loopback := Address{Network: "tcp", Host: "127.0.0.1", Port: 9902}
	shared := Address{Network: "unix", Path: "/shared/xds.sock"}
	tests := map[string]struct {
		task   *taskmeta.Task
		mode   string
		xds    Address
		egress string
	}{
		"awsvpc":                      {task("awsvpc"), "awsvpc", loopback, "127.0.0.1:8080"},
		"host":                        {task("host"), "host", loopback, "127.0.0.1:8080"},
		"bridge":                      {task("bridge"), "bridge", shared, "0.0.0.0:8080"},
		"a docker network is bridge":  {task("my-network"), "bridge", shared, "0.0.0.0:8080"},
		"no endpoint: as awsvpc":      {nil, "awsvpc", loopback, "127.0.0.1:8080"},
		"no container listed: awsvpc": {task(""), "awsvpc", loopback, "127.0.0.1:8080"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := base
			if test.mode != "bridge" {
				want.Taken = map[uint16]string{
					8080: "EGRESS_LISTEN_PORT", 9901: "ENVOY_ADMIN_PORT", 9902: "NIGHTJAR_XDS_LISTEN", 9903: "NIGHTJAR_ADMIN_LISTEN",
				}
			}
			want.Mode, want.XDS, want.Egress = test.mode, test.xds, netip.MustParseAddrPort(test.egress)
			if test.task == nil {
				want.NodeID, want.NodeService, want.Zone, want.OwnCluster, want.OwnService = "nightjar-envoy", "nightjar", "", "", ""
			}
			got, err := Load(Input{Env: good(), Task: test.task})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestTheRegionIsFoundInTheContractsOrder(t *testing.T) {
	all := []string{"AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-2", "SERVICE_ARN_1=orders"}
	steps := []struct {
		drop    string
		profile string
		task    *taskmeta.Task
		want    string
	}{
		{"", "eu-west-3", task("awsvpc"), "eu-west-1"},
		{"AWS_REGION=", "eu-west-3", task("awsvpc"), "eu-west-2"},
		{"AWS_DEFAULT_REGION=", "eu-west-3", task("awsvpc"), "eu-west-3"},
		{"", "", task("awsvpc"), "eu-west-1"},
	}
	for _, step := range steps {
		if step.drop != "" {
			all = append(all, step.drop)
		}
		c, err := Load(Input{Env: good(all...), Task: func() *taskmeta.Task { t := *step.task; return &t }(), ProfileRegion: step.profile})
		if err != nil || c.Region != step.want {
			t.Fatalf("after %q: %v %v, want %s", step.drop, c, err, step.want)
		}
	}
	c, err := Load(Input{Env: good()})
	if err != nil || c.Region != "eu-west-1" {
		t.Fatalf("the ARNs agree: %v %v", c, err)
	}
}

func TestTheECSClusterIsFound(t *testing.T) {
	old := "arn:aws:ecs:eu-west-1:111122223333:service/orders"
	tests := map[string]struct {
		env  []string
		task *taskmeta.Task
		want string
	}{
		"new ARN":               {nil, nil, "shop/orders"},
		"its own variable":      {[]string{"SERVICE_ARN_1=" + old, "SERVICE_CLUSTER_1=c1", "CLUSTER=c2"}, nil, "c1/orders"},
		"its ARN":               {[]string{"SERVICE_ARN_1=" + old, "SERVICE_CLUSTER_1=arn:aws:ecs:eu-west-1:111122223333:cluster/c3"}, nil, "c3/orders"},
		"CLUSTER":               {[]string{"SERVICE_ARN_1=" + old, "CLUSTER=c2"}, task("awsvpc"), "c2/orders"},
		"the own task":          {[]string{"SERVICE_ARN_1=orders"}, task("awsvpc"), "shop/orders"},
		"container and port":    {[]string{"SERVICE_CONTAINER_1=web", "SERVICE_PORT_1=80"}, nil, "shop/orders/web:80"},
		"agrees with the ARN":   {[]string{"SERVICE_CLUSTER_1=shop"}, nil, "shop/orders"},
		"GovCloud's partition":  {[]string{"SERVICE_ARN_1=arn:aws-us-gov:ecs:us-gov-west-1:111122223333:service/shop/orders"}, nil, "shop/orders"},
		"China's partition too": {[]string{"SERVICE_ARN_1=arn:aws-cn:ecs:cn-north-1:111122223333:service/shop/orders"}, nil, "shop/orders"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := Load(Input{Env: good(test.env...), Task: test.task})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Refs()[0].Name(); got != test.want {
				t.Fatalf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestOneServiceUnderTwoPathsIsReadOnce(t *testing.T) {
	c, err := Load(Input{Env: good("SERVICE_ARN_2="+ordersARN, "SERVICE_PATH_2=/basket/")})
	if err != nil || len(c.Refs()) != 1 || len(c.Proxy().Routes) != 2 {
		t.Fatalf("%+v %v", c, err)
	}
}

func TestWhatEnvoyDials(t *testing.T) {
	dial := func(mode, listen string) (*Config, error) {
		return Load(Input{Purpose: ToDial, Task: task(mode), Env: map[string]string{"NIGHTJAR_XDS_LISTEN": listen}})
	}
	for _, mode := range []string{"awsvpc", "host"} {
		if c, err := dial(mode, "0.0.0.0:9902"); err != nil || c.XDS.String() != "127.0.0.1:9902" {
			t.Errorf("%s: %v %v", mode, c, err)
		}
	}
	if c, err := dial("bridge", "nightjar:9902"); err != nil || c.XDS.String() != "nightjar:9902" {
		t.Errorf("a name: %v %v", c, err)
	}
	if _, err := dial("bridge", "0.0.0.0:9902"); err == nil || !strings.Contains(err.Error(), "containers share no loopback") {
		t.Errorf("0.0.0.0 in bridge mode: %v", err)
	}
}
