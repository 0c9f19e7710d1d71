# shellcheck shell=bash
# To be sourced in the repository's folder: sets VERSION, COMMIT and DATE, which bin/build.sh links in and the image's labels tell.
# What is set already stays, as there is no git inside the image's build. DATE is the commit's, not the build's, so that one
# commit gives one program.

version_of() {
  local tag
  tag=$(git describe --exact-match --match 'v[0-9]*' HEAD 2>/dev/null) || tag=devel
  echo "${tag#v}"
}

commit_of() {
  local commit
  commit=$(git rev-parse HEAD 2>/dev/null) || commit=unknown
  if [ -n "$(git status --porcelain --untracked-files=no 2>/dev/null)" ]; then
    commit+=-modified
  fi
  echo "$commit"
}

date_of() {
  TZ=UTC git show -s --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ HEAD 2>/dev/null || echo unknown
}

VERSION=${VERSION:-$(version_of)}
COMMIT=${COMMIT:-$(commit_of)}
DATE=${DATE:-$(date_of)}
export VERSION COMMIT DATE

# Tells whether a Docker engine answers.
has_engine() {
  command -v docker >/dev/null && timeout 20 docker version >/dev/null 2>&1
}

# Runs docker build with options, for an image that bears the stamp. DOCKER_BUILD_NETWORK names the network of its steps, where the
# engine's usual one isn't there.
docker_build() {
  docker build ${DOCKER_BUILD_NETWORK:+--network "$DOCKER_BUILD_NETWORK"} --build-arg VERSION --build-arg COMMIT --build-arg DATE "$@" .
}
