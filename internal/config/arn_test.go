package config

import "testing"

func TestRegions(t *testing.T) {
	for _, region := range []string{"eu-west-1", "us-gov-west-1", "cn-northwest-1", "ap-southeast-10", "mx-central-1", "eusc-de-east-1"} {
		if !validRegion(region) {
			t.Errorf("%s is a Region", region)
		}
	}
	for _, text := range []string{"", "eu", "eu-1", "e-west-1", "eu-west-", "eu-west-1a", "eu--1", "EU-west-1", "eu-west-1-2", "eu-wést-1", "global"} {
		if validRegion(text) {
			t.Errorf("%q is no Region", text)
		}
	}
}

func FuzzServiceARN(f *testing.F) {
	for _, text := range []string{
		ordersARN, oldARN, "arn:aws-cn:ecs:cn-north-1:111122223333:service/a/b/c", "arn:aws-us-gov:ecs:us-gov-west-1:111122223333:service/a/b",
		"arn::::::", "arn:aws:ecs:eu-west-1:111122223333:service/", "arn:aws:ecs:eu-west-1:111122223333:cluster/shop", "orders",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := parseCluster(text); err == nil && !validName(c.name) {
			t.Fatalf("%q is taken for the ECS cluster %q", text, c.name)
		}
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
