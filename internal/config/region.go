package config

import "fmt"

// region finds the Region: AWS_REGION, AWS_DEFAULT_REGION, the profile, the own task, the service ARNs if they agree. Only
// to serve it is needed.
func (l *loader) region() {
	source, region := l.regionSource()
	switch {
	case region == "" && l.Purpose == ToServe:
		l.regionOfServices()
	case region == "":
	case !validRegion(region) && l.Env[source] != "":
		l.mistake(source, "want a Region, such as eu-west-1")
	case !validRegion(region):
		l.mistake("AWS_REGION", fmt.Sprintf("needed: %s says %q, which is no Region; set one such as eu-west-1", source, cut(region)))
	default:
		l.config.Region = region
		for _, arn := range l.arns {
			if arn.region != region {
				l.mistake(arn.variable, fmt.Sprintf("it is in the Region %s, and nightjar reads %s (%s)", arn.region, region, source))
			}
		}
	}
}

// regionSource is the first that tells a Region, and what it tells; both are "" where none does.
func (l *loader) regionSource() (source, region string) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if v := l.value(name); v != "" {
			return name, v
		}
	}
	if l.ProfileRegion != "" {
		return "the AWS profile", l.ProfileRegion
	}
	if l.Task != nil && l.Task.Region() != "" {
		return "the own task", l.Task.Region()
	}
	return "", ""
}

// regionOfServices takes the Region that all ARNs agree on.
func (l *loader) regionOfServices() {
	for _, arn := range l.arns {
		if l.config.Region != "" && arn.region != l.config.Region {
			l.mistake("AWS_REGION", fmt.Sprintf("needed: %s is in %s and %s in %s, and nightjar reads one Region",
				l.arns[0].variable, l.arns[0].region, arn.variable, arn.region))
			return
		}
		l.config.Region = arn.region
	}
	if len(l.arns) == 0 && !l.brokenARN() {
		l.missing("AWS_REGION", "needed: neither AWS_DEFAULT_REGION, a profile, the own task nor a service ARN tells the Region", "AWS_REGION")
	}
}

// brokenARN tells whether a service's ARN is wrong or missing: put right it may tell the Region.
func (l *loader) brokenARN() bool {
	for variable := range l.wrong {
		if genericName(variable) == "SERVICE_ARN_X" {
			return true
		}
	}
	return false
}

// accounts finds ARNs of several accounts. nightjar has one set of credentials, and ECS looks names up in its account: a
// service of another would be taken for the one that has its name there.
func (l *loader) accounts() {
	for _, arn := range l.arns {
		if first := l.arns[0]; arn.account != first.account {
			l.mistake(arn.variable, fmt.Sprintf("it is of the account %s, and %s of %s; nightjar reads one account",
				arn.account, first.variable, first.account))
		}
	}
}
