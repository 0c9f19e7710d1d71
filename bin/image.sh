#!/usr/bin/env bash
# Builds the image: bin/image.sh TAG [OPTION...], with options for docker build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bin/stamp.sh
. bin/stamp.sh

if [ $# = 0 ]; then
  echo "bin/image.sh: want a tag, such as nightjar:1" >&2
  exit 2
fi
docker_build --tag "$@"
