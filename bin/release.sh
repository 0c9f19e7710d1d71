#!/usr/bin/env bash
# Makes what a release has in dist/, and publishes nothing: bin/release.sh VERSION, such as 1.2.3. These are the programs, RELEASE_NOTES.md
# from CHANGELOG.md, where a Docker engine answers an image for each architecture (nightjar-VERSION-ARCH.tar.gz, for docker load,
# tagged nightjar-mesh/nightjar:VERSION-ARCH), and SHA256SUMS of all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# != 1 ] || ! [[ $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]]; then
  echo "bin/release.sh: want one version, such as 1.2.3 or 1.2.3-rc.1" >&2
  exit 2
fi
export VERSION=$1
# shellcheck source=bin/stamp.sh
. bin/stamp.sh
if [[ $COMMIT != +([0-9a-f]) ]]; then
  echo "bin/release.sh: a release is a commit, and this is \"$COMMIT\"; commit the changes first" >&2
  exit 1
fi

# Prints the changelog's section of the version, else of what is unreleased.
notes() {
  local heading="## $VERSION"
  grep -q "^$heading\( \|$\)" CHANGELOG.md || heading="## Unreleased"
  awk -v heading="$heading" '/^## /{on = index($0 " ", heading " ") == 1; next} on' CHANGELOG.md
}

# Docker's older builder makes images for the engine's own architecture alone.
build_image() {
  local arch=$1 tag=nightjar-mesh/nightjar:$VERSION-$1
  if [ "$arch" != "$(docker version --format '{{.Server.Arch}}')" ] && ! docker buildx version >/dev/null 2>&1; then
    echo "left out: the image for $arch, as this Docker has no buildx"
    return
  fi
  bin/image.sh "$tag" --quiet --platform "linux/$arch" --build-arg TARGETARCH="$arch" >/dev/null
  docker save "$tag" | gzip --best --no-name >"dist/nightjar-$VERSION-$arch.tar.gz"
  echo "image $tag, $(docker image inspect --format '{{.Size}} bytes' "$tag")"
}

rm -rf dist
bin/build.sh
notes >dist/RELEASE_NOTES.md
if has_engine; then
  build_image amd64
  build_image arm64
else
  echo "left out: the images, as no Docker engine answers"
fi
cd dist
sha256sum nightjar-* >SHA256SUMS
ls -l
