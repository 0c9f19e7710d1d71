package config

import (
	"errors"
	"log/slog"
	"maps"
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

func TestDefaultsByNetworkMode(t *testing.T) {
	ref := mesh.ServiceRef{
		Cluster: "shop", Service: "orders",
		ServiceVar: "SERVICE_ARN_1", ContainerVar: "SERVICE_CONTAINER_1", PortVar: "SERVICE_PORT_1",
	}
	base := Config{
		Region: "eu-west-1", Entries: []Entry{{Ref: ref, Path: "/orders", Origin: "SERVICE_PATH_1"}},
		Admin:      Address{Network: "tcp", Host: "127.0.0.1", Port: 9903},
		EnvoyAdmin: netip.MustParseAddrPort("127.0.0.1:9901"), Wait: 100 * time.Millisecond, Rate: 1, Burst: 10, LogLevel: slog.LevelInfo,
		NodeID: "0123456789abcdef", NodeService: "web", Zone: "eu-west-1a",
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
			want.Mode, want.XDS, want.Egress = test.mode, test.xds, netip.MustParseAddrPort(test.egress)
			if test.task == nil {
				want.NodeID, want.NodeService, want.Zone = "nightjar-envoy", "nightjar", ""
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

func TestEveryMistakeHasItsSentence(t *testing.T) {
	long := "/" + strings.Repeat("x", 2000)
	tests := map[string]struct {
		change []string
		want   string
	}{
		"no service":          {[]string{"SERVICE_ARN_1="}, "SERVICE_ARN_1: needed, with SERVICE_PATH_1 and EGRESS_LISTEN_PORT"},
		"no egress port":      {[]string{"EGRESS_LISTEN_PORT="}, "EGRESS_LISTEN_PORT: needed: the services of SERVICE_ARN_X are reached"},
		"port too high":       {[]string{"EGRESS_LISTEN_PORT=70000"}, `EGRESS_LISTEN_PORT="70000": want a port from 1 to 65535`},
		"port is a word":      {[]string{"SERVICE_PORT_1=http"}, `SERVICE_PORT_1="http": want a port from 1 to 65535`},
		"egress address":      {[]string{"EGRESS_LISTEN_ADDRESS=localhost"}, `EGRESS_LISTEN_ADDRESS="localhost": want an IP address`},
		"ARN of a task":       {[]string{"SERVICE_ARN_1=arn:aws:ecs:eu-west-1:111122223333:task/shop/1"}, `it is the ARN of a "task"; want that of a service`},
		"ARN of a bucket":     {[]string{"SERVICE_ARN_1=arn:aws:s3:eu-west-1:111122223333:service/x"}, `it is an ARN of "s3"; want one of ecs`},
		"ARN cut off":         {[]string{"SERVICE_ARN_1=arn:aws:ecs"}, "it has not the shape arn:PARTITION:ecs:REGION:ACCOUNT:service/"},
		"ARN's account":       {[]string{"SERVICE_ARN_1=arn:aws:ecs:eu-west-1:42:service/shop/orders"}, `"42" is not an account number of 12 digits`},
		"ARN's partition":     {[]string{"SERVICE_ARN_1=arn:aws-cn:ecs:eu-west-1:111122223333:service/shop/orders"}, `the Region eu-west-1 is in the partition aws, not "aws-cn"`},
		"ARN's Region":        {[]string{"AWS_REGION=eu-west-2"}, "it is in the Region eu-west-1, and nightjar reads eu-west-2 (AWS_REGION)"},
		"ARN with three":      {[]string{"SERVICE_ARN_1=" + ordersARN + "/more"}, "its service name is not one"},
		"name with a space":   {[]string{"SERVICE_ARN_1=my service"}, `SERVICE_ARN_1="my service": want arn:PARTITION:ecs:`},
		"cluster contradicts": {[]string{"SERVICE_CLUSTER_1=other"}, `SERVICE_CLUSTER_1="other": SERVICE_ARN_1 says that the ECS cluster is shop`},
		"cluster's ARN":       {[]string{"SERVICE_CLUSTER_1=arn:aws:ecs:eu-west-1:111122223333:service/x"}, "want the ARN of an ECS cluster"},
		"cluster unknown":     {[]string{"SERVICE_ARN_1=orders", "AWS_REGION=eu-west-1"}, "SERVICE_CLUSTER_1: needed, or CLUSTER: SERVICE_ARN_1 is without an ECS cluster"},
		"CLUSTER is none":     {[]string{"SERVICE_ARN_1=orders", "CLUSTER=a/b", "AWS_REGION=eu-west-1"}, `CLUSTER="a/b": want the name or ARN of an ECS cluster`},
		"no path":             {[]string{"SERVICE_PATH_1="}, `SERVICE_PATH_1: needed: the URL path of SERVICE_ARN_1`},
		"no slash":            {[]string{"SERVICE_PATH_1=orders"}, `SERVICE_PATH_1="orders": a path begins with "/": "/orders" would be right`},
		"path with a query":   {[]string{"SERVICE_PATH_1=/a?b"}, `a path has no query or fragment: "/a" would be right`},
		"path with dots":      {[]string{"SERVICE_PATH_1=/a/../b/"}, `requests are normalized before they are matched, so this never matches: "/b/" would`},
		"path with slashes":   {[]string{"SERVICE_PATH_1=//a"}, `so this never matches: "/a" would`},
		"path with an umlaut": {[]string{"SERVICE_PATH_1=/ä"}, "write others percent-encoded"},
		"path too long":       {[]string{"SERVICE_PATH_1=" + long}, "a path has at most 1024 bytes"},
		"container":           {[]string{"SERVICE_CONTAINER_1=a b"}, `SERVICE_CONTAINER_1="a b": want a container's name`},
		"one path, two":       {[]string{"SERVICE_ARN_2=other", "CLUSTER=shop", "SERVICE_PATH_2=/orders"}, "the path /orders is given to two services: shop/orders by SERVICE_PATH_1 and shop/other by SERVICE_PATH_2"},
		"no Region":           {[]string{"SERVICE_ARN_1=orders", "CLUSTER=shop"}, "AWS_REGION: needed: neither AWS_DEFAULT_REGION"},
		"Regions disagree": {
			[]string{"SERVICE_ARN_2=arn:aws:ecs:us-east-1:111122223333:service/shop/b", "SERVICE_PATH_2=/b"},
			"AWS_REGION: needed: the service ARNs are of several Regions",
		},
		"Region is none":  {[]string{"AWS_REGION=Europe"}, `AWS_REGION="Europe": want a Region, such as eu-west-1`},
		"wait is nothing": {[]string{"WAITTIME=0"}, `WAITTIME="0": want a whole number from 1 to 3600000 (milliseconds)`},
		"rate":            {[]string{"NIGHTJAR_AWS_RATE=NaN"}, `NIGHTJAR_AWS_RATE="NaN": want calls a second, from 0.05 to 10000`},
		"burst":           {[]string{"NIGHTJAR_AWS_BURST=1.5"}, `NIGHTJAR_AWS_BURST="1.5": want a whole number from 1 to 10000`},
		"log level":       {[]string{"NIGHTJAR_LOG_LEVEL=loud"}, `NIGHTJAR_LOG_LEVEL="loud": want debug, info, warn or error`},
		"log format":      {[]string{"NIGHTJAR_LOG_FORMAT=xml"}, `NIGHTJAR_LOG_FORMAT="xml": want text or json`},
		"xDS":             {[]string{"NIGHTJAR_XDS_LISTEN=9902"}, `NIGHTJAR_XDS_LISTEN="9902": want HOST:PORT or unix:PATH`},
		"socket":          {[]string{"NIGHTJAR_XDS_LISTEN=unix:xds.sock"}, "want unix: and an absolute path of at most 107 bytes"},
		"host":            {[]string{"NIGHTJAR_ADMIN_LISTEN=a b:1"}, `NIGHTJAR_ADMIN_LISTEN="a b:1": want HOST:PORT, with an IP address or a name`},
		"two listeners":   {[]string{"EGRESS_LISTEN_PORT=9902"}, `EGRESS_LISTEN_PORT="9902": the address 127.0.0.1:9902 is NIGHTJAR_XDS_LISTEN's too`},
		"all addresses":   {[]string{"EGRESS_LISTEN_ADDRESS=0.0.0.0", "EGRESS_LISTEN_PORT=9901"}, "is ENVOY_ADMIN_PORT's too"},
		"value too long":  {[]string{"SERVICE_ARN_1=" + strings.Repeat("x", 5000)}, "a value has at most 4096 bytes, this one has 5000"},
		"of a later part": {[]string{"CONTAINER_NAME_1=web"}, `CONTAINER_NAME_1="web": this version doesn't have it yet (it comes with part 2); unset it`},
		"control character in a value": {
			[]string{"SERVICE_PATH_1=\x1b[31m" + strings.Repeat("y", 100)},
			`SERVICE_PATH_1="·[31m` + strings.Repeat("y", 55) + `…": a path begins`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Input{Env: good(test.change...)})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	_, err := Load(Input{Env: good("SERVICE_PATH_1=x", "WAITTIME=soon", "NIGHTJAR_LOG_FORMAT=xml", "EGRESS_LISTEN_PORT=0")})
	var mistakes Mistakes
	if !errors.As(err, &mistakes) || len(mistakes) != 4 {
		t.Fatalf("want four mistakes: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		change []string
		want   string
	}{
		"beyond a gap":     {[]string{"SERVICE_ARN_3=x", "SERVICE_PATH_3=/x"}, "SERVICE_ARN_3 is ignored: SERVICE_ARN_2 is not set, and counting stops there"},
		"path without ARN": {[]string{"SERVICE_PATH_2=/x"}, "SERVICE_PATH_2 is ignored: SERVICE_ARN_2 is not set"},
		"swapped letters":  {[]string{"SERVICE_PTAH_1=/x"}, "SERVICE_PTAH_1 is no setting of nightjar and is ignored; did you mean SERVICE_PATH_X?"},
		"zero first":       {[]string{"SERVICE_PATH_0=/x"}, "SERVICE_PATH_0 is ignored"},
		"ours and unknown": {[]string{"NIGHTJAR_SPEED=9"}, "NIGHTJAR_SPEED is no setting of nightjar and is ignored"},
		"same path twice": {
			[]string{"SERVICE_ARN_2=" + ordersARN, "SERVICE_PATH_2=/orders"},
			"the path /orders is given to shop/orders twice, by SERVICE_PATH_1 and SERVICE_PATH_2; one of them can go",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := Load(Input{Env: good(test.change...)})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(c.Warnings, "\n"), test.want) {
				t.Fatalf("warnings %q\nwant %q", c.Warnings, test.want)
			}
		})
	}
	c, err := Load(Input{Env: good("PATH=/bin", "HOME=/root", "ECS_AGENT_URI=x", "SERVICE_NAME=x", "AWS_ENDPOINT_URL_ECS=http://x")})
	if err != nil || len(c.Warnings) > 0 {
		t.Fatalf("other programs' variables: %v %v", c.Warnings, err)
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

func FuzzLoad(f *testing.F) {
	f.Add("SERVICE_ARN_1", ordersARN, "SERVICE_PATH_1", "/orders", "EGRESS_LISTEN_PORT", "8080")
	f.Add("SERVICE_ARN_1", "orders", "CLUSTER", "c", "AWS_REGION", "eu-west-1")
	f.Add("NIGHTJAR_XDS_LISTEN", "unix:/x", "WAITTIME", "1e3", "NIGHTJAR_AWS_RATE", "-Inf")
	f.Add("SERVICE_PATH_1", "/\x00", "SERVICE_PATH_1", "//", "SERVICE_PORT_99999999999999999999", "x")
	f.Fuzz(func(t *testing.T, a, av, b, bv, c, cv string) {
		env := good()
		maps.Copy(env, map[string]string{a: av, b: bv, c: cv})
		got, err := Load(Input{Env: env, Task: task("bridge")})
		if (got == nil) == (err == nil) {
			t.Fatalf("config %v and error %v", got, err)
		}
		if err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				if len(line) > 1000 {
					t.Fatalf("a line of %d bytes: %q", len(line), line)
				}
			}
			return
		}
		if _, err := mesh.New(unreadServices(got), []mesh.Proxy{got.Proxy()}); err != nil {
			t.Fatalf("accepted settings make no mesh: %v", err)
		}
	})
}

func unreadServices(c *Config) []*mesh.Service {
	var all []*mesh.Service
	for _, ref := range c.Refs() {
		all = append(all, &mesh.Service{Name: ref.Name()})
	}
	return all
}

func FuzzServiceARN(f *testing.F) {
	f.Add(ordersARN)
	f.Add("arn:aws:ecs:eu-west-1:111122223333:service/orders")
	f.Add("arn:aws-cn:ecs:cn-north-1:111122223333:service/a/b/c")
	f.Add("arn::::::")
	f.Fuzz(func(t *testing.T, text string) {
		arn, err := ParseServiceARN(text)
		if err != nil {
			return
		}
		again, err := ParseServiceARN(arn.String())
		if err != nil || again != arn || arn.String() != text {
			t.Fatalf("%q → %q → %+v (%v)", text, arn.String(), again, err)
		}
	})
}
