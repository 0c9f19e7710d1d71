#!/usr/bin/env bash
# Builds the image and tries it: what is in it, that bin/build.sh gives the same bytes without Docker, and a mesh of containers. In that,
# `nightjar sim` is AWS, this script the ECS agent, and one task has nightjar, a stock Envoy that runs nightjar's program out of
# the shared volume, and an app. It takes some minutes, most of which compile.
#
# Without a Docker engine that answers, it starts one of its own in a temporary folder and network, as root on Linux; Debian's
# docker.io is installed for it. Base images are not pulled: where the engine has none, stand-ins from this machine's Go and Envoy
# bear their names. At the end all of it is gone. The status is 77 where no engine can be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bin/stamp.sh
. bin/stamp.sh

readonly name=nightjar-image-test
readonly network=172.31.231 # the first three numbers of the docker network's addresses; .1 is the instance's
readonly sim=$network.240:4566
readonly max_bytes=35000000
golang=$(sed -n 's/^FROM .*\(golang:[^ ]*\) AS build$/\1/p' Dockerfile)
envoy=envoyproxy/envoy:distroless-v$(sed -n 's/^\tVersion = "\(.*\)"$/\1/p' internal/envoy/find.go)
readonly golang envoy

temp=$(mktemp -d)
engine=      # the process of an engine that was started here
at_network=() # what begins a command in the engine's network
tagged=()    # images to remove

say() {
  printf 'image test %d:%02d: %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"
}

fail() {
  say "FAILED: $*" >&2
  exit 1
}

leave_out() {
  say "left out: $*"
  exit 77
}

# Fails unless two values are the same.
want() {
  [ "$2" = "$3" ] || fail "$1 is \"$2\", want \"$3\""
}

# Runs a command again and again until it is well, for a while.
eventually() {
  local what=$1 end=$((SECONDS + 30))
  shift
  until "$@" >"$temp/eventually" 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "$what: $(tail -3 "$temp/eventually")"
    sleep 0.2
  done
}

# ---- The engine ----

clean() {
  local status=$?
  if [ "$status" != 0 ] && [ "$status" != 77 ]; then
    logs || true
  fi
  containers | xargs -r docker rm --force --volumes >/dev/null 2>&1 || true
  if [ -z "$engine" ]; then
    docker network rm "$name" >/dev/null 2>&1 || true
    [ ${#tagged[@]} -eq 0 ] || docker rmi "${tagged[@]}" >/dev/null 2>&1 || true
  elif kill "$(inner_pid)" 2>/dev/null; then
    timeout 20 tail --pid="$engine" -f /dev/null || kill -KILL "$engine"
  fi
  rm -rf "$temp"
}

containers() {
  docker ps --all --quiet --filter "label=$name" 2>/dev/null
}

# Prints what the containers said last.
logs() {
  local each
  for each in $(containers); do
    echo "-- $(docker inspect --format '{{.Name}} {{.State.Status}} {{.State.ExitCode}}' "$each")"
    docker logs --tail 15 "$each" 2>&1
  done
}

# Installs what is missing of the programs that an engine needs.
install_engine() {
  if ! command -v apt-get >/dev/null; then
    leave_out "no Docker engine answers, and there is no apt-get to install docker.io with"
  fi
  say "installing docker.io"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -qq -y --no-install-recommends docker.io docker-compose iptables iproute2 procps ca-certificates >/dev/null
  command -v docker >/dev/null || apt-get install -qq -y --no-install-recommends docker-cli >/dev/null
}

has_programs() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || return 1
  done
}

# The process within the namespaces.
inner_pid() {
  ps -o pid= --ppid "$engine" | tr -d ' '
}

# Starts an engine of the script's own. Its namespaces keep bridges, firewall rules and mounts from the machine, lead nowhere
# else, and end with it.
start_engine() {
  [ "$(id -u)" = 0 ] || leave_out "no Docker engine answers, and only root can start one"
  if ! has_programs dockerd docker docker-compose iptables ip ps; then
    install_engine
    ! has_engine || return 0
  fi
  say "starting an engine"
  export DOCKER_HOST=unix://$temp/docker.sock
  export DOCKER_BUILD_NETWORK=none # it has no other, and the stand-ins need none
  unshare --net --mount --pid --fork --kill-child --mount-proc \
    dockerd --data-root "$temp/data" --exec-root "$temp/exec" --pidfile "$temp/engine.pid" --host "$DOCKER_HOST" --bridge none \
    --log-level warn >"$temp/engine.log" 2>&1 &
  engine=$!
  local end=$((SECONDS + 30))
  until has_engine; do
    if [ "$SECONDS" -ge "$end" ] || ! kill -0 "$engine" 2>/dev/null; then
      leave_out "no Docker engine answers, and one started here doesn't either: $(tail -2 "$temp/engine.log")"
    fi
    sleep 0.3
  done
  at_network=(nsenter --net --target "$(inner_pid)")
  "${at_network[@]}" ip link set lo up
}

# ---- Stand-ins for base images ----

# Lists the libraries that a program needs.
libraries() {
  ldd "$1" 2>/dev/null | grep -o '/[^ ]*' || true
}

# Copies files into a root folder, to where they are here.
copy_files() {
  local root=$1 file
  shift
  for file in "$@"; do
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
  done
}

copy_programs() {
  local root=$1 program
  shift
  for program in "$@"; do
    program=$(command -v "$program")
    # shellcheck disable=SC2046
    copy_files "$root" "$program" $(libraries "$program")
  done
}

# Makes an image of a root folder, by the name of the one that it stands in for.
import() {
  local root=$1 image=$2
  shift 2
  mkdir -p "$root/tmp"
  chmod 1777 "$root/tmp"
  tar -C "$root" -c . | docker import "$@" - "$image" >/dev/null
  tagged+=("$image")
  rm -rf "$root"
}

# The Go of this machine, what bin/build.sh runs, and a module proxy of files.
stand_in_for_golang() {
  local root=$temp/golang
  copy_programs "$root" bash cat cp dirname env grep mkdir mv sha256sum sh tee uname
  mkdir -p "$root/bin" "$root/usr/bin" "$root/usr/local/go" "$root/modules" "$root/etc/ssl/certs"
  cp -L "$(command -v sh)" "$root/bin/sh"
  cp -L "$(command -v env)" "$root/usr/bin/env"
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  tar -C "$(go env GOROOT)" --exclude=./test --exclude=testdata --exclude='*_test.go' -c . | tar -C "$root/usr/local/go" -x
  go mod download
  modules "$(go env GOMODCACHE)/cache/download" | tar -C "$(go env GOMODCACHE)/cache/download" -c --null -T - | tar -C "$root/modules" -x
  import "$root" "$golang" --change "ENV PATH=/usr/local/go/bin:$PATH" --change 'ENV GOPROXY=file:///modules' \
    --change 'ENV GOSUMDB=off' --change 'ENV GOTOOLCHAIN=local' --change 'ENV HOME=/tmp'
}

# Lists the files of a module cache that go.mod needs: all descriptions, and the modules themselves.
modules() {
  (cd "$1" && find . \( -name '*.mod' -o -name '*.info' \) -print0)
  go mod download -json | sed -n "s|^\t\"Zip\": \"$1/\(.*\)\",\$|\1|p" | tr '\n' '\0'
}

# As Envoy's distroless image: the program, what it needs, and its user.
stand_in_for_envoy() {
  local program=${NIGHTJAR_ENVOY_PATH:-}
  if [ -z "$program" ]; then
    program=.tools/envoy-${envoy##*-v}/envoy
    [ -x "$program" ] || go test -count=1 ./internal/envoy/envoytest >/dev/null # fetches it
  fi
  mkdir -p "$temp/envoy/usr/local/bin"
  cp -L "$program" "$temp/envoy/usr/local/bin/envoy"
  # shellcheck disable=SC2046
  copy_files "$temp/envoy" $(libraries "$program")
  import "$temp/envoy" "$envoy" --change 'USER 65532' --change 'ENTRYPOINT ["/usr/local/bin/envoy"]'
}

base_images() {
  if ! docker image inspect "$golang" >/dev/null 2>&1; then
    say "a stand-in for $golang"
    stand_in_for_golang
  fi
  if ! docker image inspect "$envoy" >/dev/null 2>&1; then
    say "a stand-in for $envoy"
    stand_in_for_envoy
  fi
}

# ---- The image ----

build_image() {
  say "building the image"
  timeout 900 bin/image.sh "$name" --build-arg TARGETARCH="$(go env GOHOSTARCH)" >"$temp/build.log" 2>&1 ||
    fail "docker build: $(tail -20 "$temp/build.log")"
  tagged+=("$name")
}

inspect() {
  docker inspect --format "$1" "${2:-$name}"
}

look_at_image() {
  local size container
  want "the user" "$(inspect '{{.Config.User}}')" 65532:65532
  want "the volume" "$(inspect '{{json .Config.Volumes}}')" '{"/shared":{}}'
  want "the entry point" "$(inspect '{{json .Config.Entrypoint}}')" '["/shared/bin/nightjar"]'
  want "the label title" "$(inspect '{{index .Config.Labels "org.opencontainers.image.title"}}')" nightjar
  want "the label version" "$(inspect '{{index .Config.Labels "org.opencontainers.image.version"}}')" "$VERSION"
  want "the label revision" "$(inspect '{{index .Config.Labels "org.opencontainers.image.revision"}}')" "$COMMIT"
  want "the label created" "$(inspect '{{index .Config.Labels "org.opencontainers.image.created"}}')" "$DATE"
  container=$(docker create --label "$name" "$name")
  docker export "$container" | tar -tv --numeric-owner >"$temp/files"
  want "what can be executed" "$(awk '$1 ~ /^-.*x/ && $3 > 0 {print $6}' "$temp/files")" shared/bin/nightjar
  want "what has another owner below /shared" "$(awk '$6 ~ /^shared/ && $2 != "65532/65532"' "$temp/files")" ''
  grep -q ' etc/ssl/certs/ca-certificates.crt$' "$temp/files" || fail "there are no CA certificates"
  docker cp "$container:/shared" - | tar -t >"$temp/volume"
  ls examples >"$temp/examples"
  while read -r each; do
    grep -qx "shared/examples/$each/*" "$temp/volume" || fail "the volume lacks examples/$each"
  done <"$temp/examples"
  size=$(inspect '{{.Size}}')
  say "the image has $size bytes"
  [ "$size" -lt "$max_bytes" ] || fail "the image has $size bytes, want less than $max_bytes"
}

# Runs the image as a careful task definition does.
hardened() {
  docker run --label "$name" --read-only --cap-drop ALL --security-opt no-new-privileges "$@"
}

run_image() {
  local version
  version=$(hardened --rm --network none "$name" version)
  say "$version"
  case $version in
    "nightjar $VERSION, commit $COMMIT of $DATE ("*) ;;
    *) fail "nightjar version tells neither version, commit and date" ;;
  esac
  if docker run --label "$name" --rm --network none --entrypoint /bin/sh "$name" -c true 2>/dev/null; then
    fail "there is a shell"
  fi
}

# Copies what the program is built from.
copy_source() {
  mkdir -p "$1"
  tar -c go.mod go.sum bin cmd internal examples Dockerfile .dockerignore | tar -C "$1" -x
}

# The same commit in two folders, one with Docker and one with the local Go.
compare_builds() {
  local arch
  arch=$(go env GOHOSTARCH)
  say "building with the local Go, in another folder"
  copy_source "$temp/with-docker"
  copy_source "$temp/elsewhere/with-go"
  BUILD_WITH=docker timeout 900 "$temp/with-docker/bin/build.sh" "$arch" >/dev/null 2>"$temp/build.log" || fail "$(tail -20 "$temp/build.log")"
  BUILD_WITH=go timeout 900 "$temp/elsewhere/with-go/bin/build.sh" "$arch"
  cmp "$temp/with-docker/dist/nightjar" "$temp/elsewhere/with-go/dist/nightjar" || fail "two builds of one commit differ"
  (cd "$temp/with-docker/dist" && sha256sum --check --quiet SHA256SUMS) || fail "SHA256SUMS is wrong"
  say "two builds in two folders, with Docker and without, have the same bytes"
}

# ---- The mesh ----

world() {
  cat <<END
polite: true
clusters:
- name: shop
  instances:
  - {id: i-1, address: $network.1, docker: $network.0/24}
  services:
  - name: orders
    desired: 2
    network: bridge
    containers:
    - {name: web, ports: [3000]}
  - name: portal
    desired: 1
    network: bridge
    containers:
    - {name: web, unpublished: [3000]}
    - {name: nightjar}
    - {name: envoy}
END
}

ask() {
  "${at_network[@]}" curl --silent --show-error --fail --max-time 5 "$@"
}

# Runs a container in the docker network, at an address.
start() {
  local what=$1 address=$2
  shift 2
  hardened --detach --name "$name-$what" --network "$name" --ip "$address" "$@" >/dev/null
}

start_aws() {
  world >"$temp/world.yaml"
  chmod 644 "$temp/world.yaml"
  docker network create --subnet "$network.0/24" --gateway "$network.1" "$name" >/dev/null
  start sim "${sim%:*}" --volume "$temp/world.yaml:/world.yaml:ro" "$name" \
    sim --world /world.yaml --listen "0.0.0.0:${sim#*:}" --no-backends
  eventually "ECS runs the tasks" five_running
}

five_running() {
  [ "$(ask "http://$sim/v4/" | grep -c ' RUNNING$')" = 5 ]
}

# Lists the containers that ECS runs: service, name, docker address, host port or 0, address of its metadata endpoint.
placed() {
  "${at_network[@]}" python3 - "http://$sim/v4/" <<'END'
import json, sys, urllib.request
def get(url):
    return urllib.request.urlopen(url, timeout=5).read().decode()
for line in get(sys.argv[1]).splitlines():
    uri, service, name, status = line.split()
    of = json.loads(get(uri))
    if status == "RUNNING":
        host = [p["HostPort"] for p in of.get("Ports", []) if p.get("HostPort")]
        print(service, name, of["Networks"][0]["IPv4Addresses"][0], (host + [0])[0], uri)
END
}

# An app that says who it is: Envoy with an answer of its own.
app() {
  cat <<END
static_resources:
  listeners:
  - address: {socket_address: {address: 0.0.0.0, port_value: 3000}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: app
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            virtual_hosts:
            - name: app
              domains: ["*"]
              routes: [{match: {prefix: "/"}, direct_response: {status: 200, body: {inline_string: "$1"}}}]
END
}

# Runs the apps as ECS placed them, each at its docker address and published on its host port, and removes the others.
run_apps() {
  local service each address port publish keep=''
  placed >"$temp/placed"
  while read -r service each address port _; do
    [ "$each" = web ] || continue
    keep+=" $name-web-$address"
    docker inspect "$name-web-$address" >/dev/null 2>&1 && continue
    publish=()
    [ "$port" = 0 ] || publish=(--publish "$network.1:$port:3000")
    start "web-$address" "$address" "${publish[@]}" "$envoy" --disable-hot-restart --concurrency 1 --log-level error \
      --config-yaml "$(app "$service at $address, host port $port")"
  done <"$temp/placed"
  for each in $(docker ps --filter "name=$name-web-" --format '{{.Names}}'); do
    [[ $keep == *"$each"* ]] || docker rm --force "$each" >/dev/null
  done
}

# Prints a field of a container of the task with nightjar, as ECS placed it.
of_task() {
  awk -v name="$1" -v field="$2" '$1 == "shop/portal" && $2 == name {print $field}' "$temp/placed"
}

# The task with nightjar and Envoy in bridge mode: they share the volume, and the unix socket in it.
start_task() {
  local aws=(--env AWS_ENDPOINT_URL="http://$sim" --env AWS_REGION=eu-west-1 --env AWS_ACCESS_KEY_ID=sim --env AWS_SECRET_ACCESS_KEY=sim)
  start nightjar "$(of_task nightjar 3)" "${aws[@]}" --env ECS_CONTAINER_METADATA_URI_V4="$(of_task nightjar 5)" \
    --env EGRESS_LISTEN_PORT=8080 --env SERVICE_PATH_1=/orders \
    --env SERVICE_ARN_1=arn:aws:ecs:eu-west-1:111122223333:service/shop/orders \
    --env INGRESS_LISTEN_PORT=8081 --env CONTAINER_NAME_1=web --env CONTAINER_PATH_1=/ --env CONTAINER_PORT_1=3000 "$name"
  start envoy "$(of_task envoy 3)" --env ECS_CONTAINER_METADATA_URI_V4="$(of_task envoy 5)" --env NIGHTJAR_DRAIN_TIME=5s \
    --volumes-from "$name-nightjar:ro" --entrypoint /shared/bin/nightjar "$envoy" envoy -- --concurrency 1
  eventually "nightjar is ready" docker exec "$name-nightjar" /shared/bin/nightjar ready
  eventually "Envoy is ready" docker exec "$name-envoy" /shared/bin/nightjar ready --envoy
  want "the user of nightjar's process" "$(uid_of nightjar)" 65532
  want "the users of Envoy's processes" "$(uid_of envoy)" 65532
}

uid_of() {
  docker top "$name-$1" -eo pid,uid | awk 'NR > 1 {print $2}' | sort -u
}

# Tells whether egress reaches the two tasks as they are placed now, and nothing else answers.
egress_follows() {
  local n
  for n in 1 2 3 4 5 6 7 8; do
    ask "http://$(of_task envoy 3):8080/orders/$n" && echo
  done | sort -u >"$temp/answers"
  awk '$1 == "shop/orders" && $2 == "web" {print $1 " at " $3 ", host port " $4}' "$temp/placed" | sort -u | diff - "$temp/answers"
}

# Tells whether ingress reaches the app beside it, which publishes no port.
ingress_follows() {
  local web
  web=$(of_task web 3)
  ask "http://$(of_task envoy 3):8081/.nightjar/health" >/dev/null &&
    [ "$(ask "http://$(of_task envoy 3):8081/")" = "shop/portal at $web, host port 0" ]
}

# Lets something happen in ECS, and the agent do it.
step() {
  ask --data "$1" "http://$sim/step" >/dev/null
  sleep 2 # for ECS to do it
  run_apps
}

try_mesh() {
  say "a mesh of containers: starting it"
  start_aws
  run_apps
  start_task
  eventually "egress by host ports" egress_follows
  eventually "ingress by docker addresses" ingress_follows
  sort "$temp/answers" | while read -r line; do say "egress reaches $line"; done
  say "ingress reaches the app beside it at $(of_task web 3)"
  step '{do: restart, service: shop/orders}'
  eventually "egress after a restart" egress_follows
  sort "$temp/answers" | while read -r line; do say "after a restart: $line"; done
  step '{do: container, service: shop/portal, container: web, status: STOPPED}'
  step '{do: container, service: shop/portal, container: web, status: RUNNING}'
  eventually "ingress after a restart" ingress_follows
  say "after a restart ingress reaches it at $(of_task web 3)"
  say "ending it"
  ends envoy
  ends nightjar
}

# A container that is stopped ends well, and by itself.
ends() {
  local before=$SECONDS
  docker stop --time 20 "$name-$1" >/dev/null
  want "the status that $1 ends with" "$(inspect '{{.State.ExitCode}}' "$name-$1")" 0
  [ $((SECONDS - before)) -lt 15 ] || fail "$1 took more than 15 s to end"
}

# The example for docker-compose, in the engine's network.
try_compose() {
  if ! command -v docker-compose >/dev/null; then
    say "left out: examples/compose, as there is no docker-compose"
    return
  fi
  say "examples/compose"
  NIGHTJAR_IMAGE=$name ENVOY_IMAGE=$envoy timeout 300 "${at_network[@]}" bin/compose-test.sh >"$temp/compose.log" 2>&1 ||
    fail "bin/compose-test.sh: $(tail -60 "$temp/compose.log")"
  say "$(tail -1 "$temp/compose.log")"
}

trap clean EXIT
has_engine || start_engine
base_images
build_image
look_at_image
run_image
try_mesh
try_compose
compare_builds
say "all is well"
