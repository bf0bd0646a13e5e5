#!/usr/bin/env bash
# Bad input at length: `tests/input.sh [MUTATIONS [SECONDS [EXAMPLES]]]`.
#
# 100,000 seeded mutations of everything that comes from outside, cargo-fuzz on each target for 60 seconds, and Schemathesis
# with 30 examples per operation. The last two say so where they cannot be installed. See tests/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
export MOZHAO_INPUT_CASES=${1:-100000}
tests/run.sh -E 'binary(input)' --no-capture
# 3: it could not be installed, and has said so.
tests/schemathesis.sh "${3:-30}" || [ $? = 3 ]
tests/fuzz.sh "${2:-60}" || [ $? = 3 ]
