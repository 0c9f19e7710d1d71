"""Creates CloudFormation stacks on moto's emulated AWS, and prints as JSON what came of each: create_stacks.py TEMPLATE...

moto makes each resource by the API of its own. It starts no task and no instance, waits for no service, and knows little of what
ECS refuses. Its CloudFormation loses a task definition's network mode, roles and requirements, and a service's load balancers,
network and deployment configuration: for those there is the template alone.
"""

import json
import os
import sys

os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="eu-west-1", AWS_EC2_METADATA_DISABLED="true")

import boto3  # noqa: E402 - moto wants the credentials first
from moto import mock_aws  # noqa: E402


def create(path):
    """Creates one stack in an account of its own."""
    with open(path, encoding="utf-8") as file:
        template = file.read()
    cloudformation, ecs, ec2 = (boto3.client(name) for name in ("cloudformation", "ecs", "ec2"))
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = ",".join(
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone="eu-west-1" + zone)["Subnet"]["SubnetId"]
        for n, zone in enumerate("ab")
    )
    given = {
        "Vpc": vpc, "LoadBalancerSubnets": subnets, "TaskSubnets": subnets, "Clients": "203.0.113.7/32",
        "NightjarImage": "nightjar-mesh/nightjar:1", "WebImage": "web:1", "OrdersImage": "orders:1",
    }
    cloudformation.create_stack(
        StackName="shop", TemplateBody=template, Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    stack = cloudformation.describe_stacks(StackName="shop")["Stacks"][0]
    summary = cloudformation.get_template_summary(TemplateBody=template)
    made = cloudformation.list_stack_resources(StackName="shop")["StackResourceSummaries"]
    cluster = next(r["PhysicalResourceId"] for r in made if r["ResourceType"] == "AWS::ECS::Cluster")
    services = ecs.describe_services(cluster=cluster, services=ecs.list_services(cluster=cluster)["serviceArns"])["services"]
    return {
        "status": stack["StackStatus"],
        "missing": sorted(set(summary["ResourceTypes"]) - {r["ResourceType"] for r in made}),
        "resources": {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in made},
        "taskDefinitions": [ecs.describe_task_definition(taskDefinition=s["taskDefinition"])["taskDefinition"] for s in services],
    }


def main():
    outcome = {}
    for path in sys.argv[1:]:
        with mock_aws():
            outcome[os.path.basename(path)] = create(path)
    json.dump(outcome, sys.stdout, indent=1, default=str)


if __name__ == "__main__":
    main()
