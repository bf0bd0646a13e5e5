#!/usr/bin/env bash
# cargo-fuzz on each target: `tests/fuzz.sh [SECONDS [TARGET …]]`, 60 seconds each by default; with 0 they are only built.
#
# Needs a nightly compiler (cargo-fuzz instruments with it) and cargo-fuzz itself, which it installs below target/ where it is
# missing. Where either cannot be had it says so and ends with 3: the same functions are exercised by the seeded mutator of
# tests/input, which needs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(message process_file expression)

target=${CARGO_TARGET_DIR:-$PWD/target}
version=0.13.1
if ! rustup run nightly rustc --version >/dev/null 2>&1; then
  echo 'tests/fuzz.sh: no nightly compiler here (rustup toolchain install nightly): NOT fuzzed' >&2
  exit 3
fi
fuzz=$(command -v cargo-fuzz || echo "$target/cargo-fuzz/bin/cargo-fuzz")
if [ ! -x "$fuzz" ]; then
  cargo install --quiet --locked cargo-fuzz --version "$version" --root "$target/cargo-fuzz" || {
    echo 'tests/fuzz.sh: cargo-fuzz could not be installed (offline?): NOT fuzzed' >&2
    exit 3
  }
fi

for name in "${targets[@]}"; do
  corpus=$target/fuzz-corpus/$name
  mkdir -p "$corpus"
  # No sanitizer: the code has no `unsafe`, and what is looked for (panics, time, memory) is seen without one.
  export CARGO_TARGET_DIR=$target/fuzz RUSTUP_TOOLCHAIN=nightly
  if [ "$seconds" = 0 ]; then
    "$fuzz" build --fuzz-dir tests/fuzz --sanitizer none "$name"
    continue
  fi
  echo "tests/fuzz.sh: $name, $seconds s"
  "$fuzz" run --fuzz-dir tests/fuzz --sanitizer none "$name" \
    "$corpus" "tests/fuzz/seeds/$name" -- -max_total_time="$seconds" -max_len=65536 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1
done
