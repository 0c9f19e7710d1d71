#!/usr/bin/env bash
# Prints the path of a virtual environment with the tools that look at examples/cloudformation: cfn-lint, yamllint, and moto, an
# emulated AWS. It is made in .tools where it isn't there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=(cfn-lint==1.58.0 yamllint==1.38.0 "moto[autoscaling,cloudformation,ec2,ecs,elbv2,iam,logs,ssm]==5.2.5")
mkdir -p .tools
venv=$(cd .tools && pwd -P)/templates-$(cksum <<<"${wanted[*]}" | cut -d " " -f 1)
exec 9>"$venv.lock"
flock 9
if [ ! -e "$venv/complete" ]; then
  python3 -m venv --clear "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check "${wanted[@]}" >&2
  touch "$venv/complete"
fi
echo "$venv"
