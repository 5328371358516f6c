#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An operator's way to the program: fetched only as the file whose sum was written down, and nothing is left of any other.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
needs curl sha256sum

get() { deploy/get-cloud-hypervisor.sh --out "$T/bin/ch" "$@" >"$T/get.log" 2>&1; }
says() { grep -q "$1" "$T/get.log"; }
mkdir "$T/bin"
printf '#!/bin/sh\necho hello\n' >"$T/program"
sum=$(sha256sum <"$T/program" | cut -c1-64)
zeros=$(printf '0%.0s' $(seq 64))

# refused TEXT WORDS ARGUMENT...: it fails with these words, and the folder is as empty as before
refused() {
	local text=$1 words=$2
	shift 2
	get "$@" && fail "$text: it went through"
	says "$words" || fail "$text: $(cat "$T/get.log")"
	[ -z "$(ls -A "$T/bin")" ] || fail "$text: something is left: $(ls -A "$T/bin")"
	ok "$text"
}
echo "$zeros  cloud-hypervisor-static" >"$T/wrong"
printf '%s  cloud-hypervisor-static\n' "$sum" "$zeros" >"$T/two"
echo "$sum  ch-remote-static" >"$T/other"
echo "$sum *release/cloud-hypervisor-static-v53.0" >"$T/right"
refused "without a sum nothing is fetched" "sums FILE is missing" --from "file://$T/program"
refused "another program's sum is none" "has no line for" --sums "$T/other" --from "file://$T/program"
refused "two sums are one too many" "several sums" --sums "$T/two" --from "file://$T/program"
refused "a wrong file is thrown away" "thrown away" --sums "$T/wrong" --from "file://$T/program"
refused "plain http only on this machine" "only https, file" --sums "$T/right" --from "http://127.0.0.1.example.org/x"
refused "what is not there is told" "cannot be fetched" --sums "$T/right" --from "file://$T/nowhere"
check "the right one is taken" get --sums "$T/right" --from "file://$T/program"
check "it can be run" [ "$("$T/bin/ch")" = hello ]
check "and nothing else is there" [ "$(ls -A "$T/bin")" = ch ]
check "nothing calls it by itself" sh -c "! grep -rn get-cloud-hypervisor Makefile deploy/demo.sh deploy/install-deps.sh deploy/systemd"
say "$PASSED checks"
