#!/usr/bin/env bash
# Schemathesis against our own OpenAPI description: `tests/schemathesis.sh [EXAMPLES [SEED]]`, 30 examples per operation by
# default. It makes requests that the description allows and requests that it forbids, and holds every answer against it.
#
# Installs Schemathesis, this version, from PyPI into a private folder below target/; where that is not possible it says so
# and ends with 3. Starts a worker on SQLite and the sandbox, and stops them.
set -euo pipefail
cd "$(dirname "$0")/.."
examples=${1:-30}
seed=${2:-1}
version=4.32.5
target=${CARGO_TARGET_DIR:-$PWD/target}
venv=$target/schemathesis-$version

if [ ! -x "$venv/bin/schemathesis" ]; then
  rm -rf "$venv"
  { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"; } >&2 || {
    rm -rf "$venv"
    echo 'tests/schemathesis.sh: Schemathesis could not be installed (no python3 -m venv, or offline?): NOT run' >&2
    exit 3
  }
fi

cargo build --quiet ${MOZHAO_FEATURES:+--features "$MOZHAO_FEATURES"}
mozhao=$target/debug/mozhao
folder=$(mktemp -d "${TMPDIR:-/tmp}/mozhao-schemathesis.XXXXXX")
pids=()
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait || true
  rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
sandbox=127.0.0.1:$(free_port)
listen=127.0.0.1:$(free_port)
sed "s/127.0.0.1:9900/$sandbox/" deploy/connectors.sandbox.yaml >"$folder/connectors.yaml"
cat >"$folder/mozhao.yaml" <<YAML
database: {url: "sqlite://$folder/mozhao.db"}
http: {listen: "$listen"}
processes: $PWD/deploy/processes
connectors: $folder/connectors.yaml
YAML

"$mozhao" sandbox --listen "$sandbox" >"$folder/sandbox.log" 2>&1 & pids+=($!)
"$mozhao" serve --config "$folder/mozhao.yaml" >"$folder/serve.log" 2>&1 & pids+=($!)
for _ in $(seq 100); do
  curl -fsS "http://$listen/readyz" >/dev/null 2>&1 && break
  kill -0 "${pids[1]}" 2>/dev/null || { cat "$folder/serve.log" >&2; exit 1; }
  sleep 0.1
done
token=$("$mozhao" token create schemathesis --config "$folder/mozhao.yaml" --role admin)

# Something to find behind the ids: a request that waits for a person, and its review.
curl -fsS -o /dev/null -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -H 'Idempotency-Key: one' \
  "http://$listen/v1/requests?wait=5s" -d '{"process": "card_unbind", "payload": {"customer_id": "C-000001",
    "card_id": "K-000001-1", "id_number": "11010519491231002X", "selfie": "selfie:0.75"}}'
first() {
  curl -fsS -H "Authorization: Bearer $token" "http://$listen/v1/$1" | python3 -c 'import json, sys; print((json.load(sys.stdin)["items"] or [{}])[0].get("id", ""))'
}
cat >"$folder/schemathesis.toml" <<TOML
[[operations]]
include-path-regex = "^/v1/requests/"
parameters = { "path.id" = "$(first requests)" }
[[operations]]
include-path-regex = "^/v1/reviews/"
parameters = { "path.id" = "$(first reviews)" }
[[operations]]
include-path-regex = "^/v1/dependencies/"
parameters = { "path.name" = "core_banking" }
[[operations]]
include-path-regex = "^/v1/processes/"
parameters = { "path.name" = "card_unbind" }
TOML

cd "$folder"
"$venv/bin/schemathesis" run "http://$listen/openapi.json" --header "Authorization: Bearer $token" \
  --max-examples "$examples" --seed "$seed" --exclude-operation-id stream_request --request-timeout 90 \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,negative_data_rejection,ignored_auth \
  --no-color --generation-database none || { status=$?; grep -iE 'panic|error' "$folder/serve.log" | tail -n 20 >&2 || true; exit "$status"; }
if grep -q panicked "$folder/serve.log"; then
  grep -A3 panicked "$folder/serve.log" >&2
  exit 1
fi
