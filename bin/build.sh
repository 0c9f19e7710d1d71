#!/usr/bin/env bash
# Builds nightjar: bin/build.sh [ARCH...], by default amd64 and arm64. In dist/ are then nightjar-linux-ARCH, nightjar (the one
# that runs on this machine) and SHA256SUMS.
#
# One commit gives the same bytes in any folder, by the same Go, the one that the Dockerfile and go.mod name. Where a Docker
# engine answers, that Go comes as its image, and none is needed here; else the local Go builds. BUILD_WITH=docker and BUILD_WITH=go
# choose.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bin/stamp.sh
. bin/stamp.sh

# Settings of whoever builds must not change the bytes.
build_with_go() {
  local arch=$1 stamp="$VERSION $COMMIT $DATE" go
  go=$(go env GOVERSION)
  if ! grep -qx "toolchain $go" go.mod; then
    echo "bin/build.sh: this is $go; a build by the $(grep ^toolchain go.mod) of go.mod has other bytes" >&2
  fi
  env CGO_ENABLED=0 GOOS=linux GOARCH="$arch" GOAMD64=v1 GOARM64=v8.0 GOEXPERIMENT='' GOFIPS140=off GOFLAGS=-mod=readonly GOWORK=off \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X 'github.com/groboclown/nightjar-mesh/internal/cli.stamp=$stamp'" \
    -o "dist/nightjar-linux-$arch" ./cmd/nightjar
}

# The build's stage of the Dockerfile runs this script too. Its file is copied out of a container that never starts.
build_with_docker() {
  local arch=$1 image container
  image=$(mktemp)
  docker_build --quiet --target build --build-arg TARGETARCH="$arch" --iidfile "$image" >/dev/null
  container=$(docker create "$(cat "$image")" none)
  docker cp "$container:/out/shared/bin/nightjar" "dist/nightjar-linux-$arch"
  docker rm "$container" >/dev/null
  rm "$image"
}

# Prints the architecture of this machine in Go's words.
host_arch() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64 | arm64) echo arm64 ;;
    *) uname -m ;;
  esac
}

with=${BUILD_WITH:-}
if [ -z "$with" ]; then
  with=go
  if has_engine; then
    with=docker
  fi
fi
[ $# -gt 0 ] || set -- amd64 arm64
mkdir -p dist
for arch in "$@"; do
  "build_with_$with" "$arch"
done
if [ -f "dist/nightjar-linux-$(host_arch)" ]; then
  cp "dist/nightjar-linux-$(host_arch)" dist/nightjar
fi
cd dist
sha256sum nightjar-linux-* | tee SHA256SUMS
