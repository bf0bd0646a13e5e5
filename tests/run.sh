#!/usr/bin/env bash
# All tests: `tests/run.sh [filters and options for cargo nextest run or cargo test]`.
#
# Installs the programs of PostgreSQL and RabbitMQ if they are missing, starts one private server of each
# for the whole run, runs unit, integration and documentation tests (with arguments only the tests that they name), and stops the
# servers, however it ends. MOZHAO_FEATURES: the package's features to build with.
set -euo pipefail
cd "$(dirname "$0")/.."

# --- programs ---------------------------------------------------------------------------------------------

missing() {
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || echo postgresql
  [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || command -v rabbitmq-server >/dev/null || echo rabbitmq-server
  # RabbitMQ's own installation script calls these two without depending on them.
  command -v openssl >/dev/null || echo openssl
  command -v ps >/dev/null || echo procps
  # The console is tested in a real browser; its libraries come from npm, by a lock file.
  [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || echo chromium
  command -v node >/dev/null || echo nodejs
  command -v npm >/dev/null || echo npm
  [ -e /usr/share/fonts/opentype/noto ] || fc-list :lang=zh 2>/dev/null | grep -q . || echo fonts-noto-cjk
}

give_up() {
  echo "tests/run.sh: the tests need the programs of PostgreSQL (initdb, postgres, psql) and of RabbitMQ" >&2
  echo "  (rabbitmq-server, rabbitmqctl, epmd), and chromium, node and npm; missing: $packages" >&2
  echo "  They could not be installed: $1" >&2
  exit 1
}

install_packages() {
  command -v apt-get >/dev/null || give_up 'there is no apt-get here. Please install them by hand, without starting them.'
  [ "$(id -u)" = 0 ] || give_up "not root. Please run: sudo apt-get install $packages"
  echo "tests/run.sh: installing $packages"
  # We want the programs, not the services: this makes the installation scripts start nothing.
  local policy=/usr/sbin/policy-rc.d made= units=(rabbitmq-server.service epmd.service epmd.socket postgresql.service)
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    made=1
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  local log
  log=$(mktemp)
  # shellcheck disable=SC2086 # a list of words
  if ! { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $packages; } \
      >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    give_up 'apt-get failed (offline?), see above.'
  fi
  rm -f "$log"
  if [ -n "$made" ]; then
    rm -f "$policy"
    trap - EXIT
    # Nor shall they start at the next boot; where systemd does not run there is no next boot.
    if [ -d /run/systemd/system ]; then
      systemctl disable --now "${units[@]}" >/dev/null 2>&1 || true
    fi
  fi
}

packages=$(missing | tr '\n' ' ')
[ -z "$packages" ] || install_packages
packages=$(missing | tr '\n' ' ')
[ -z "$packages" ] || give_up 'apt-get installed something else.'

# --- servers ----------------------------------------------------------------------------------------------

# A short path: PostgreSQL's socket lives below it, and its name may have 107 bytes.
MOZHAO_TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/mozhao-test.XXXXXX")
export MOZHAO_TEST_DIR
chmod 711 "$MOZHAO_TEST_DIR"

features=(${MOZHAO_FEATURES:+--features "$MOZHAO_FEATURES"})
cargo build --quiet "${features[@]}" --example private-servers
# Its standard input is a pipe from this script: when the script ends, in whatever way, it stops the servers.
coproc SERVERS { exec cargo run --quiet "${features[@]}" --example private-servers; }
servers=$SERVERS_PID

stop_servers() {
  trap - EXIT
  eval "exec ${SERVERS[1]:-9}>&-" 2>/dev/null || true
  wait "$servers" 2>/dev/null || true
  rmdir "$MOZHAO_TEST_DIR" 2>/dev/null || true
}
trap stop_servers EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ready=
while read -r line <&"${SERVERS[0]}"; do
  case $line in
    ready) ready=1; break ;;
    MOZHAO_TEST_*=*) export "${line?}" ;;
  esac
done
[ -n "$ready" ] || { echo 'tests/run.sh: the private servers did not start, see above' >&2; exit 1; }

small=$(mktemp -d)
if mount -t tmpfs tmpfs "$small" 2>/dev/null; then umount "$small"; else
  echo 'tests/run.sh: this process may not mount: the two scenarios with a full disk are NOT run' >&2
fi
rmdir "$small"
command -v systemd-analyze >/dev/null || echo 'tests/run.sh: no systemd-analyze here: deploy/mozhao.service is NOT checked by it' >&2

# --- tests ------------------------------------------------------------------------------------------------

# A storm of connections has an end of each in the test and one in the worker.
files=$(ulimit -S -n)
[ "$files" = unlimited ] || [ "$files" -ge 8192 ] || ulimit -S -n 8192 2>/dev/null || true
# Two for each processor: `.config/nextest.toml` says which tests take one of them, and which take more.
export NEXTEST_TEST_THREADS=${NEXTEST_TEST_THREADS:-$((2 * $(nproc)))}
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run "${features[@]}" "$@"
  if [ $# = 0 ]; then
    echo 'tests/run.sh: left to `make chaos`: more seeds (scenarios: 1 here, simulation: 1,000), all but 40 crash points, all but 6,000'
    echo '  mutations of bad input, the known bugs, drives that panic, a backlog of 100,000, 204 frozen workers, Schemathesis, cargo-fuzz; and'
    cargo nextest list --ignore-default-filter -E 'not default()' --message-format oneline 2>/dev/null | sed 's/^/  /'
  fi
else
  cargo test --lib --bins --tests "${features[@]}" "$@"
fi
[ $# != 0 ] || cargo test --doc --quiet
