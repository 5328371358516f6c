#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The runner of all tests: what fails, fails the whole. (For a long time it did not: the sum's exit status was thrown away.)
. "$(dirname "$0")/../lib.sh"

export TEST_RESULTS=$T/results TEST_LOGS=$T/logs
check "a story knows nothing of the runner's second try" test -z "${SECOND_TRY:-}"
runner() { "$ROOT/tests/runner" "$@" >"$T/out" 2>&1; }
program() { printf '#!/bin/sh\n%s\n' "$2" >"$T/$1" && chmod +x "$T/$1"; }
total() { # total LINE succeeds|fails: what "sum" says
	local verdict=fails
	! runner sum || verdict=succeeds
	[ "$verdict" = "$2" ] && [ "$(tail -n 1 "$T/out")" = "$1" ]
}
program good 'exit 0'
program bad 'exit 1'
program skips 'echo no reason; exit 77'

check "nothing run is no success" total "0 passed, 0 failed, 0 skipped" fails
runner story "$T/good" "$T/skips"
check "a story that passes, one that is skipped" total "1 passed, 0 failed, 1 skipped" succeeds
runner story "$T/bad"
check "one that fails fails the whole" total "1 passed, 1 failed, 1 skipped" fails
check "and is shown" runner story "$T/bad"
check "with its name" grep -q "FAILED *bad" "$T/out"
runner reset
program wavers "[ -e '$T/been' ] && exit 0; touch '$T/been'; exit 1"
runner story "$T/wavers"
check "one that fails once is told, and passes by its second try" sh -c "grep -q 'failed *wavers' '$T/out' && grep -q 'a second try for 1 of 1' '$T/out'"
check "and counts once" total "1 passed, 0 failed, 0 skipped" succeeds
runner reset
program test_x 'echo "[  PASSED  ] 3 test(s)."; echo "[  FAILED  ] 1 test(s), listed below:"; exit 1'
runner unit "$T/test_x"
check "a unit test" total "3 passed, 1 failed, 0 skipped" fails
runner reset
runner unit "$T/good"
check "a program without tests" total "0 passed, 1 failed, 0 skipped" fails
runner reset
mkdir -p build/fuzz
program fuzz_finds 'exit 77'
FUZZ_SECONDS=1 runner fuzz "$T/fuzz_finds"
check "what a fuzzer finds is neither passed nor skipped" total "0 passed, 1 failed, 0 skipped" fails
runner reset
runner memcheck "$T/bad"
check "valgrind" sh -c "! grep -q '^1 0' '$T/results'"
rmdir tests/fuzz/corpus/finds build/fuzz/work/finds 2>/dev/null || true
