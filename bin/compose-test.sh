#!/usr/bin/env bash
# Runs examples/compose for real: it comes up, routes, follows a deployment without a failed request, and goes down. It needs
# a Docker engine that has the images NIGHTJAR_IMAGE and ENVOY_IMAGE, or what the file has for them, and the ports 4566,
# 8080 and 9903. COMPOSE names the command: docker-compose (1.29), or "docker compose" (v2).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../examples/compose"

read -ra command <<<"${COMPOSE:-docker-compose}"
compose() { timeout 120 "${command[@]}" -p nightjar-compose-test "$@"; }
# grep -q would end at its find, and curl with an error as it can't write the rest: so grep reads all.
holds() { grep "$1" >/dev/null; }
get() { curl -sS --fail --max-time 5 "http://127.0.0.1:8080$1"; }

fail() {
  echo "compose-test: $*" >&2
  compose logs --tail 40 >&2 || true
  exit 1
}

# Waits until a command succeeds, for so many seconds.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "this did not come true: $*"
    sleep 0.5
  done
}

trap 'compose down -v --timeout 30 >/dev/null 2>&1 || true' EXIT

compose up -d
within 60 get /orders
within 60 get /basket/7
within 60 compose exec -T nightjar /shared/bin/nightjar ready
within 60 compose exec -T envoy /shared/bin/nightjar ready --envoy
get /orders | holds '"service":"shop/orders".*"revision":"orders:1"' || fail "orders answers otherwise"
get /basket/7 | holds '"service":"shop/basket".*"target":"/basket/7"' || fail "basket answers otherwise"
curl -sS --fail --max-time 5 http://127.0.0.1:9903/ | holds '<html' || fail "there is no page"

curl -sS --fail --max-time 5 -d '{do: deploy, service: shop/orders}' http://127.0.0.1:4566/step
asked=0 new=0
end=$((SECONDS + 60))
while [ $new -lt 40 ]; do # so many answers of the new revision in a row
  [ $SECONDS -lt $end ] || fail "the deployment is not followed"
  answer=$(get /orders) || fail "request $asked failed in the deployment"
  asked=$((asked + 1))
  case $answer in
    *'"revision":"orders:2"'*) new=$((new + 1)) ;;
    *) new=0 ;;
  esac
  sleep 0.05
done

compose down -v --timeout 30
[ -z "$(compose ps -q)" ] || fail "containers are left"
echo "compose-test: routed, followed a deployment through $asked requests without a failed one, and went down"
