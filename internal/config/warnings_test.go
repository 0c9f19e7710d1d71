package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		change []string
		want   []string
	}{
		"beyond a gap": {[]string{"SERVICE_ARN_3=x", "SERVICE_PATH_3=/x"}, []string{
			"SERVICE_ARN_3 is ignored: SERVICE_ARN_2 is not set, and counting stops there",
			"SERVICE_PATH_3 is ignored: SERVICE_ARN_2 is not set, and counting stops there",
		}},
		"path without ARN": {[]string{"SERVICE_PATH_4=/x"}, []string{
			"SERVICE_PATH_4 is ignored: SERVICE_ARN_2 is not set, and counting stops there",
		}},
		"zero":            {[]string{"SERVICE_PATH_0=/x"}, []string{"SERVICE_PATH_0 is ignored: X counts from 1; did you mean SERVICE_PATH_1?"}},
		"the letter":      {[]string{"SERVICE_PATH_X=/x"}, []string{"SERVICE_PATH_X is ignored: X counts from 1; did you mean SERVICE_PATH_1?"}},
		"leading zero":    {[]string{"SERVICE_PATH_01=/x"}, []string{"SERVICE_PATH_01 is ignored: want the number without a leading 0"}},
		"number too long": {[]string{"SERVICE_PORT_99999999999999999999=1"}, []string{"SERVICE_PORT_99999999999999999999 is ignored: SERVICE_ARN_2 is not set, and counting stops there"}},
		"swapped letters": {[]string{"SERVICE_PTAH_1=/x"}, []string{"SERVICE_PTAH_1 is no setting of nightjar and is ignored; did you mean SERVICE_PATH_1?"}},
		"no number":       {[]string{"SERVICE_PATH=/x"}, []string{"SERVICE_PATH is no setting of nightjar and is ignored; did you mean SERVICE_PATH_X?"}},
		"a number":        {[]string{"WAITTIME_1=9"}, []string{"WAITTIME_1 is no setting of nightjar and is ignored; did you mean WAITTIME?"}},
		"lower case":      {[]string{"waittime=9"}, []string{"waittime is no setting of nightjar and is ignored; did you mean WAITTIME?"}},
		"ours, near":      {[]string{"NIGHTJAR_AWS_RATES=9"}, []string{"NIGHTJAR_AWS_RATES is no setting of nightjar and is ignored; did you mean NIGHTJAR_AWS_RATE?"}},
		"ours, unknown":   {[]string{"NIGHTJAR_SPEED=9"}, []string{"NIGHTJAR_SPEED is no setting of nightjar and is ignored"}},
		"odd characters":  {[]string{"NIGHTJAR_\x1b[1m=9"}, []string{`NIGHTJAR_\x1b[1m is no setting of nightjar and is ignored`}},
		"same path twice": {[]string{"SERVICE_ARN_2=" + ordersARN, "SERVICE_PATH_2=/orders"}, []string{
			"the path /orders is given to shop/orders twice, by SERVICE_PATH_1 and SERVICE_PATH_2; the second is ignored and can go",
		}},
		"other programs' variables": {[]string{
			"PATH=/bin", "HOME=/root", "ECS_AGENT_URI=x", "SERVICE_NAME=x", "AWS_ENDPOINT_URL_ECS=http://x",
			"AWS_EXECUTION_ENV=AWS_ECS_EC2", "HOSTNAME=x", "ECS_CLUSTER=x", "CONTAINER_NAME=x", "CONTAINERS_PORT=x",
		}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := Load(Input{Env: good(test.change...)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, c.Warnings); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestInEnvoysContainerOnlyNamesNearToItsSettingsAreWorthALine(t *testing.T) {
	c, err := Load(Input{Purpose: ToDial, Env: map[string]string{
		"NIGHTJAR_XDS_LITSEN": "nightjar:9902", "NIGHTJAR_PORT": "tcp://172.17.0.2:9902", "NIGHTJAR_LOG_LEVELS": "x", "SERVICE_PATH_7": "/x",
	}})
	want := []string{"NIGHTJAR_XDS_LITSEN is no setting of nightjar and is ignored; did you mean NIGHTJAR_XDS_LISTEN?"}
	if err != nil || cmp.Diff(want, c.Warnings) != "" {
		t.Fatalf("%v %v", c, err)
	}
}
