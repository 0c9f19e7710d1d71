package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oldARN lacks the ECS cluster.
const oldARN = "arn:aws:ecs:eu-west-1:111122223333:service/orders"

// mistakesOf loads and returns the sentences of all mistakes.
func mistakesOf(t *testing.T, in Input) []string {
	t.Helper()
	_, err := Load(in)
	var mistakes Mistakes
	if !errors.As(err, &mistakes) {
		return nil
	}
	var lines []string
	for _, m := range mistakes.List {
		lines = append(lines, m.String())
	}
	return lines
}

// TestEveryMistakeHasItsSentence gives each mistake alone, and expects its sentence and no other.
func TestEveryMistakeHasItsSentence(t *testing.T) {
	const (
		serviceWant = "want arn:PARTITION:ecs:REGION:ACCOUNT:service/ECS-CLUSTER/NAME"
		portWant    = "want a port from 1 to 65535"
		placeWant   = "want HOST:PORT or unix:PATH, such as 127.0.0.1:9902 or [::1]:9902"
		hostWant    = "want HOST:PORT, with an IP address (without a zone) or a name as HOST"
		socketWant  = "want unix: and the absolute path of a socket, of at most 107 bytes"
		clusterWant = "arn:PARTITION:ecs:REGION:ACCOUNT:cluster/NAME"
		byName      = "SERVICE_ARN_1=orders"
		inIreland   = "AWS_REGION=eu-west-1"
		long        = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" // 60 of them
	)
	tests := map[string]struct {
		change []string
		want   string
	}{
		"no service": {
			[]string{"SERVICE_ARN_1="},
			"SERVICE_ARN_1: needed, with SERVICE_PATH_1 and EGRESS_LISTEN_PORT, or for ingress CONTAINER_NAME_1, with CONTAINER_PATH_1 and INGRESS_LISTEN_PORT: without a service or container there is nothing to do",
		},
		"no egress port": {
			[]string{"EGRESS_LISTEN_PORT="},
			"EGRESS_LISTEN_PORT: needed: the services of SERVICE_ARN_X without a SERVICE_LISTEN_PORT_X are reached through it",
		},
		"port zero":      {[]string{"EGRESS_LISTEN_PORT=0"}, `EGRESS_LISTEN_PORT="0": ` + portWant},
		"port too high":  {[]string{"ENVOY_ADMIN_PORT=70000"}, `ENVOY_ADMIN_PORT="70000": ` + portWant},
		"port is a word": {[]string{"SERVICE_PORT_1=http"}, `SERVICE_PORT_1="http": ` + portWant},
		"egress address": {
			[]string{"EGRESS_LISTEN_ADDRESS=localhost"},
			`EGRESS_LISTEN_ADDRESS="localhost": want an IP address, such as 127.0.0.1`,
		},
		"egress address with a zone": {
			[]string{"EGRESS_LISTEN_ADDRESS=fe80::1%eth0"},
			`EGRESS_LISTEN_ADDRESS="fe80::1%eth0": want an IP address, such as 127.0.0.1`,
		},

		"ARN of a task": {
			[]string{"SERVICE_ARN_1=arn:aws:ecs:eu-west-1:111122223333:task/shop/1"},
			`SERVICE_ARN_1="arn:aws:ecs:eu-west-1:111122223333:task/shop/1": it is the ARN of a "task"; want that of a service, ` +
				serviceWant[5:],
		},
		"ARN of a bucket": {
			[]string{"SERVICE_ARN_1=arn:aws:s3:eu-west-1:111122223333:service/x"},
			`SERVICE_ARN_1="arn:aws:s3:eu-west-1:111122223333:service/x": it is an ARN of "s3"; want one of ecs, ` + serviceWant[5:],
		},
		"ARN cut off": {
			[]string{"SERVICE_ARN_1=arn:aws:ecs"},
			`SERVICE_ARN_1="arn:aws:ecs": it has not the shape ` + serviceWant[5:],
		},
		"ARN's account": {
			[]string{"SERVICE_ARN_1=arn:aws:ecs:eu-west-1:42:service/shop/orders"},
			`SERVICE_ARN_1="arn:aws:ecs:eu-west-1:42:service/shop/orders": "42" is not an account number of 12 digits; ` + serviceWant,
		},
		"ARN's partition": {
			[]string{"SERVICE_ARN_1=arn:aws-cn:ecs:eu-west-1:111122223333:service/a/b"},
			`SERVICE_ARN_1="arn:aws-cn:ecs:eu-west-1:111122223333:service/a/b": the Region eu-west-1 is in the partition aws, not "aws-cn"`,
		},
		"ARN of an unknown partition": {
			[]string{"SERVICE_ARN_1=arn:aws-eusc:ecs:eusc-de-east-1:111122223333:service/a/b"},
			`SERVICE_ARN_1="arn:aws-eusc:ecs:eusc-de-east-1:111122223333:service/a/b": ` +
				`the partition "aws-eusc" is none of aws, aws-cn and aws-us-gov`,
		},
		"ARN without a Region": {
			[]string{"SERVICE_ARN_1=arn:aws:ecs::111122223333:service/a/b"},
			`SERVICE_ARN_1="arn:aws:ecs::111122223333:service/a/b": "" is not a Region; ` + serviceWant + " with one such as eu-west-1",
		},
		"ARN's Region": {
			[]string{"AWS_REGION=eu-west-2"},
			`SERVICE_ARN_1="` + ordersARN + `": it is in the Region eu-west-1, and nightjar reads eu-west-2 (AWS_REGION)`,
		},
		"ARN's Region, by the other variable": {
			[]string{"AWS_DEFAULT_REGION=eu-west-2"},
			`SERVICE_ARN_1="` + ordersARN + `": it is in the Region eu-west-1, and nightjar reads eu-west-2 (AWS_DEFAULT_REGION)`,
		},
		"ARN with three": {
			[]string{"SERVICE_ARN_1=arn:aws:ecs:eu-west-1:111122223333:service/a/b/c"},
			`SERVICE_ARN_1="arn:aws:ecs:eu-west-1:111122223333:service/a/b/c": "b/c" is not the name of a service; ` + serviceWant,
		},
		"ARN without an ECS cluster's name": {
			[]string{"SERVICE_ARN_1=arn:aws:ecs:eu-west-1:111122223333:service//b"},
			`SERVICE_ARN_1="arn:aws:ecs:eu-west-1:111122223333:service//b": "" is not the name of an ECS cluster; ` + serviceWant,
		},
		"name with a space": {
			[]string{"SERVICE_ARN_1=my service"},
			`SERVICE_ARN_1="my service": ` + serviceWant + ", or the service's name",
		},
		"two accounts": {
			[]string{"SERVICE_ARN_2=arn:aws:ecs:eu-west-1:999999999999:service/shop/b", "SERVICE_PATH_2=/b"},
			`SERVICE_ARN_2="arn:aws:ecs:eu-west-1:999999999999:service/shop/b": ` +
				"it is of the account 999999999999, and SERVICE_ARN_1 of 111122223333; nightjar reads one account",
		},

		"ECS cluster contradicts": {
			[]string{"SERVICE_CLUSTER_1=other"},
			`SERVICE_CLUSTER_1="other": the service's ARN says that the ECS cluster is shop; unset this one, or mend the ARN`,
		},
		"ECS cluster of another Region": {
			[]string{"SERVICE_ARN_1=" + oldARN, "SERVICE_CLUSTER_1=arn:aws:ecs:us-east-1:111122223333:cluster/shop"},
			`SERVICE_CLUSTER_1="arn:aws:ecs:us-east-1:111122223333:cluster/shop": ` +
				"the service's ARN is of eu-west-1, account 111122223333; unset this one, or mend the ARN",
		},
		"ECS cluster of another account": {
			[]string{"SERVICE_CLUSTER_1=arn:aws:ecs:eu-west-1:999999999999:cluster/shop"},
			`SERVICE_CLUSTER_1="arn:aws:ecs:eu-west-1:999999999999:cluster/shop": ` +
				"the service's ARN is of eu-west-1, account 111122223333; unset this one, or mend the ARN",
		},
		"ECS cluster's ARN is a service's": {
			[]string{"SERVICE_CLUSTER_1=arn:aws:ecs:eu-west-1:111122223333:service/x"},
			`SERVICE_CLUSTER_1="arn:aws:ecs:eu-west-1:111122223333:service/x": want the ARN of an ECS cluster: ` + clusterWant,
		},
		"ECS cluster's ARN cut off": {
			[]string{"SERVICE_CLUSTER_1=arn:aws:ecs"},
			`SERVICE_CLUSTER_1="arn:aws:ecs": it has not the shape ` + clusterWant,
		},
		"ECS cluster unknown": {
			[]string{byName, inIreland},
			"SERVICE_CLUSTER_1: needed, or CLUSTER: SERVICE_ARN_1 is without an ECS cluster, and no task metadata endpoint tells it",
		},
		"CLUSTER is none": {
			[]string{byName, "CLUSTER=a/b", inIreland},
			`CLUSTER="a/b": want the name of an ECS cluster, or its ARN: ` + clusterWant,
		},
		"CLUSTER is none, and not needed": {
			[]string{"CLUSTER=a/b"},
			`CLUSTER="a/b": want the name of an ECS cluster, or its ARN: ` + clusterWant,
		},
		"CLUSTER of another Region": {
			[]string{byName, inIreland, "CLUSTER=arn:aws:ecs:us-east-1:111122223333:cluster/shop"},
			`CLUSTER="arn:aws:ecs:us-east-1:111122223333:cluster/shop": it is in the Region us-east-1, and nightjar reads eu-west-1 (AWS_REGION)`,
		},

		"no path":   {[]string{"SERVICE_PATH_1="}, `SERVICE_PATH_1: needed: the URL path of SERVICE_ARN_1, with a leading "/"`},
		"no slash":  {[]string{"SERVICE_PATH_1=orders?x"}, `SERVICE_PATH_1="orders?x": a path begins with "/": "/orders" would be right`},
		"container": {[]string{"SERVICE_CONTAINER_1=a b"}, `SERVICE_CONTAINER_1="a b": want a container's name: letters, digits, hyphens and underscores, at most 255`},
		"one path, two services": {
			[]string{"SERVICE_ARN_2=other", "CLUSTER=shop", "SERVICE_PATH_2=/orders"},
			`SERVICE_PATH_2="/orders": the path /orders is given to two services: shop/orders by SERVICE_PATH_1 and shop/other by ` +
				"SERVICE_PATH_2; change one of the two paths, or let services share it by SERVICE_WEIGHT_X",
		},

		"no Region": {
			[]string{byName, "CLUSTER=shop"},
			"AWS_REGION: needed: neither AWS_DEFAULT_REGION, a profile, the own task nor a service ARN tells the Region",
		},
		"Regions disagree": {
			[]string{"SERVICE_ARN_2=arn:aws:ecs:us-east-1:111122223333:service/shop/b", "SERVICE_PATH_2=/b"},
			"AWS_REGION: needed: SERVICE_ARN_1 is in eu-west-1 and SERVICE_ARN_2 in us-east-1, and nightjar reads one Region",
		},
		"Region is none":            {[]string{"AWS_REGION=Europe"}, `AWS_REGION="Europe": want a Region, such as eu-west-1`},
		"the other Region variable": {[]string{"AWS_DEFAULT_REGION=eu-west-1a"}, `AWS_DEFAULT_REGION="eu-west-1a": want a Region, such as eu-west-1`},

		"wait is nothing":  {[]string{"WAITTIME=0"}, `WAITTIME="0": want a whole number from 1 to 3600000 (milliseconds)`},
		"wait is a time":   {[]string{"WAITTIME=5s"}, `WAITTIME="5s": want a whole number from 1 to 3600000 (milliseconds)`},
		"rate":             {[]string{"NIGHTJAR_AWS_RATE=NaN"}, `NIGHTJAR_AWS_RATE="NaN": want calls a second, from 0.05 to 10000`},
		"burst":            {[]string{"NIGHTJAR_AWS_BURST=1.5"}, `NIGHTJAR_AWS_BURST="1.5": want a whole number from 1 to 10000 (calls)`},
		"log level":        {[]string{"NIGHTJAR_LOG_LEVEL=loud"}, `NIGHTJAR_LOG_LEVEL="loud": want debug, info, warn or error`},
		"log format":       {[]string{"NIGHTJAR_LOG_FORMAT=xml"}, `NIGHTJAR_LOG_FORMAT="xml": want text or json`},
		"no host":          {[]string{"NIGHTJAR_XDS_LISTEN=9902"}, `NIGHTJAR_XDS_LISTEN="9902": ` + placeWant},
		"empty host":       {[]string{"NIGHTJAR_XDS_LISTEN=:9902"}, `NIGHTJAR_XDS_LISTEN=":9902": ` + hostWant},
		"no IP address":    {[]string{"NIGHTJAR_XDS_LISTEN=300.1.1.1:9902"}, `NIGHTJAR_XDS_LISTEN="300.1.1.1:9902": ` + hostWant},
		"host with space":  {[]string{"NIGHTJAR_ADMIN_LISTEN=a b:1"}, `NIGHTJAR_ADMIN_LISTEN="a b:1": ` + hostWant},
		"IPv6 with a zone": {[]string{"NIGHTJAR_ADMIN_LISTEN=[fe80::1%eth0]:1"}, `NIGHTJAR_ADMIN_LISTEN="[fe80::1%eth0]:1": ` + hostWant},
		"address's port":   {[]string{"NIGHTJAR_ADMIN_LISTEN=[::1]:0"}, `NIGHTJAR_ADMIN_LISTEN="[::1]:0": ` + portWant},
		"relative socket":  {[]string{"NIGHTJAR_XDS_LISTEN=unix:xds.sock"}, `NIGHTJAR_XDS_LISTEN="unix:xds.sock": ` + socketWant},
		"a folder":         {[]string{"NIGHTJAR_XDS_LISTEN=unix:/shared/"}, `NIGHTJAR_XDS_LISTEN="unix:/shared/": ` + socketWant},
		"socket too long": {
			[]string{"NIGHTJAR_XDS_LISTEN=unix:/" + strings.Repeat("x", 107)},
			`NIGHTJAR_XDS_LISTEN="unix:/` + long[:54] + `…": ` + socketWant,
		},

		"egress on xDS": {
			[]string{"EGRESS_LISTEN_PORT=9902"},
			`EGRESS_LISTEN_PORT="9902": the address 127.0.0.1:9902 is NIGHTJAR_XDS_LISTEN's too; choose another port for one of them`,
		},
		"all addresses": {
			[]string{"EGRESS_LISTEN_ADDRESS=0.0.0.0", "EGRESS_LISTEN_PORT=9901"},
			`EGRESS_LISTEN_PORT="9901": the address 0.0.0.0:9901 is ENVOY_ADMIN_PORT's too; choose another port for one of them`,
		},
		"by name": {
			[]string{"NIGHTJAR_ADMIN_LISTEN=localhost:9902"},
			`NIGHTJAR_ADMIN_LISTEN="localhost:9902": the address localhost:9902 is NIGHTJAR_XDS_LISTEN's too; choose another port for one of them`,
		},
		"one socket": {
			[]string{"NIGHTJAR_ADMIN_LISTEN=unix:/s", "NIGHTJAR_XDS_LISTEN=unix:/s"},
			`NIGHTJAR_ADMIN_LISTEN="unix:/s": the address /s is NIGHTJAR_XDS_LISTEN's too; choose another port for one of them`,
		},

		"zones":              {[]string{"ZONE_AWARE=on"}, `ZONE_AWARE="on": want auto or off`},
		"value too long":     {[]string{"SERVICE_PATH_1=" + strings.Repeat("x", 5000)}, `SERVICE_PATH_1="` + long + `…": a value has at most 4096 bytes, this one has 5000`},
		"control characters": {[]string{"NIGHTJAR_LOG_FORMAT=\x1b[31mtext\r\n"}, `NIGHTJAR_LOG_FORMAT="\x1b[31mtext\r\n": want text or json`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]string{test.want}, mistakesOf(t, Input{Env: good(test.change...)})); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestARegionFromElsewhereThatIsNoneIsToldAsSuch(t *testing.T) {
	in := Input{Env: good("SERVICE_ARN_1=orders", "CLUSTER=shop"), ProfileRegion: "Europe"}
	want := []string{`AWS_REGION: needed: the AWS profile says "Europe", which is no Region; set one such as eu-west-1`}
	if diff := cmp.Diff(want, mistakesOf(t, in)); diff != "" {
		t.Fatal(diff)
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	_, err := Load(Input{Env: good("SERVICE_PATH_1=x", "WAITTIME=soon", "NIGHTJAR_LOG_FORMAT=xml", "EGRESS_LISTEN_PORT=0",
		"SERVICE_CONTAINRE_1=web")})
	want := `4 of the settings are wrong:
  WAITTIME="soon": want a whole number from 1 to 3600000 (milliseconds)
  NIGHTJAR_LOG_FORMAT="xml": want text or json
  SERVICE_PATH_1="x": a path begins with "/": "/x" would be right
  EGRESS_LISTEN_PORT="0": want a port from 1 to 65535
  (warning) SERVICE_CONTAINRE_1 is no setting of nightjar and is ignored; did you mean SERVICE_CONTAINER_1?`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Fatal(diff)
	}
}

func TestAMistakeCastsNoShadow(t *testing.T) {
	for name, change := range map[string][]string{
		"its ECS cluster and Region aren't missed too": {"SERVICE_ARN_1=arn:aws:ecs"},
		"its path isn't somebody else's":               {"SERVICE_ARN_2=arn:aws:ecs", "SERVICE_PATH_2=/orders"},
		"CLUSTER isn't missed for each service":        {"SERVICE_ARN_1=orders", "SERVICE_ARN_2=b", "SERVICE_PATH_2=/b", "CLUSTER=/", "AWS_REGION=eu-west-1"},
	} {
		if lines := mistakesOf(t, Input{Env: good(change...)}); len(lines) != 1 {
			t.Errorf("%s: %q", name, lines)
		}
	}
}
