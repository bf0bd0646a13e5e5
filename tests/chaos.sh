#!/usr/bin/env bash
# Everything that may go wrong, with several seeds, and a table of what came of it: `tests/chaos.sh`.
#
# The scenarios and the end-to-end suite (MOZHAO_CHAOS_SEEDS, default 2, seeds each), the simulation (MOZHAO_SEEDS, default
# 1..10000), every crash point (MOZHAO_CRASH_CASES), frozen workers (MOZHAO_ZOMBIES, default 100), bad input (MOZHAO_INPUT_CASES,
# default 100,000 mutations), then the known
# bugs, Schemathesis and cargo-fuzz. With arguments (filters and options for cargo nextest run): only those tests, and their
# table in target/chaos-part.md. `tests/chaos.sh replay SCENARIO SEED`: one scenario as it was played with that seed.
#
# One build serves all of it: with the known bugs as switches (off, but for the part that switches them on) and a little optimised,
# because ten thousand worlds are mostly computing. The table is printed and written to target/chaos.md. Exits with 1 if anything failed.
set -uo pipefail
cd "$(dirname "$0")/.."

export MOZHAO_CHAOS_SEEDS=${MOZHAO_CHAOS_SEEDS:-2}
export MOZHAO_SEEDS=${MOZHAO_SEEDS:-1..10000} MOZHAO_CRASH_CASES=${MOZHAO_CRASH_CASES:-all}
export MOZHAO_ZOMBIES=${MOZHAO_ZOMBIES:-100}
export MOZHAO_BACKLOG=${MOZHAO_BACKLOG:-100000}
export MOZHAO_INPUT_CASES=${MOZHAO_INPUT_CASES:-100000}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target} CARGO_PROFILE_DEV_OPT_LEVEL=1
export MOZHAO_FEATURES=faults
cargo nextest --version >/dev/null 2>&1 || {
  echo 'tests/chaos.sh: needs cargo-nextest (profiles, filters, a report to read): cargo install --locked cargo-nextest' >&2
  exit 2
}
mkdir -p "$CARGO_TARGET_DIR"
MOZHAO_CHAOS_RECORD=$(mktemp)
export MOZHAO_CHAOS_RECORD
parts=$(mktemp)
fuzz_build='' built=0
trap 'rm -f "$MOZHAO_CHAOS_RECORD" "$parts"; [ -z "$fuzz_build" ] || kill "$fuzz_build" 2>/dev/null' EXIT
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || commit="$commit and changes"

# What came of a part: its name, its seeds or cases, seconds, and 0, or that it failed or could not be run here (3).
part() {
  local name=$1 seeds=$2 begun=$SECONDS result=0
  shift 2
  echo "tests/chaos.sh: $name"
  "$@" || case $? in
    3) result='not run' ;;
    *) result=failed status=1 ;;
  esac
  printf '%s\t%s\t%s\t%s\n' "$name" "$seeds" "$((SECONDS - begun))" "$result" >>"$parts"
}

# nextest's own folder, wherever cargo builds.
junit=target/nextest/chaos/junit.xml
rm -f "$junit"
status=0
written=$CARGO_TARGET_DIR/chaos.md
if [ "${1:-}" = replay ]; then
  [ $# = 3 ] || { echo 'tests/chaos.sh replay SCENARIO SEED' >&2; exit 2; }
  export MOZHAO_CHAOS_SEED=$3
  set -- --test chaos -E "test(/::$2\$/)"
fi
if [ $# -gt 0 ]; then
  written=$CARGO_TARGET_DIR/chaos-part.md
  tests/run.sh --profile chaos "$@" || status=1
else
  suites=(--test chaos --test e2e --test simulation --test crash --test input)
  cargo build --quiet --features "$MOZHAO_FEATURES" --bins "${suites[@]}" --test store || exit 1
  built=$SECONDS
  # The instrumented programs are a build of their own; the scenarios mostly wait meanwhile.
  nice -n 19 tests/fuzz.sh 0 >"$CARGO_TARGET_DIR/fuzz-build.log" 2>&1 & fuzz_build=$!
  tests/run.sh --profile chaos "${suites[@]}" -E 'not test(mutants)' || status=1
  listed() { sed -n "/^pub const $1:/,/^];/p" src/faults.rs | grep -c '^    ("'; }
  part 'known bugs, each caught by the simulation' "$(listed BUGS) bugs" cargo test --features faults --test simulation mutants -- --nocapture
  # Not the profile of the run above: its report is read below.
  part 'known bugs of the databases, each caught by the store suite' "$(listed DATABASE_BUGS) bugs" \
    tests/run.sh --no-capture --test store -E 'test(mutants)'
  part 'Schemathesis against our OpenAPI' '30 examples an operation' tests/schemathesis.sh 30
  wait "$fuzz_build" || cat "$CARGO_TARGET_DIR/fuzz-build.log"
  fuzz_build=
  part 'cargo-fuzz: message, process file, expression' '60 s each' tests/fuzz.sh 60
fi

# A row for each scenario (with its seeds), each other test, each part.
table() {
  echo "Commit $commit, $(date -u '+%Y-%m-%d %H:%M') UTC, $(nproc) cores, $((SECONDS / 60)) minutes in all, $((built / 60)) of them for the build; exit status $status."
  echo
  echo "| scenario | seeds | seconds | requests or inputs | faults | violations |"
  echo "|---|---|---|---|---|---|"
  sort -t $'\t' -k1,1 -k2,2n "$MOZHAO_CHAOS_RECORD" | awk -F '\t' -v junit="$junit" -v parts="$parts" -v worlds="$MOZHAO_SEEDS" '
    function row() { if (name != "") printf "| %s | %d | %.0f | %d | %d | %s |\n", name, seeds, seconds, requests, faults, bad == "" ? 0 : bad }
    $1 != name { row(); name = $1; seeds = seconds = requests = faults = 0; bad = "" }
    { known[$1] = 1; seeds++; seconds += $3; requests += $4; faults += $5; all++; every += $4; hits += $5
      if ($6 == "failed") { bad = bad "seed " $2 " "; failed++; told[$1] = 1 }
      if ($6 == "not run") bad = "not run" }
    END { row()
      # What nextest says: suites that keep no record of worlds, and whatever failed before or after its record was written.
      while ((getline line < junit) > 0) {
        if (match(line, /<testcase name="[^"]*" classname="mozhao::[^"]*"/)) {
          split(line, part, "\""); current = part[2]; binary = part[4]; sub(/^mozhao::/, "", binary)
          time = line; sub(/.* time="/, "", time); sub(/".*/, "", time)
          scenario = current; sub(/^suite::/, "", scenario)
          if (!(scenario in known)) sub(/.*::/, "", scenario)
          recorded = scenario in known || binary ~ /^(chaos|e2e)$/
          if (!recorded) { others[++count] = binary ": " current; took[count] = time; lost[count] = 0 }
        } else if (line ~ /<testcase /) current = ""
        if (current == "" || line !~ /<failure|<error/) continue
        if (!recorded) lost[count] = 1
        else if (scenario in told) { current = ""; continue }
        else { others[++count] = binary ": " current; took[count] = time; lost[count] = 1 }
        failed++; current = ""
      }
      for (n = 1; n <= count; n++)
        printf "| %s | %s | %.0f | | | %s |\n", others[n], others[n] ~ /the_books/ ? worlds : "", took[n], lost[n] ? "failed" : 0
      FS = "\t"
      while ((getline < parts) > 0) { printf "| %s | %s | %d | | | %s |\n", $1, $2, $3, $4; if ($4 == "failed") failed++ }
      printf "| **%d runs of scenarios, and the rest** | | | **%d** | **%d** | **%d** |\n", all, every, hits, failed }'
}
table | tee "$written"
exit $status
