#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The hostile requests again, with valgrind watching: sanitizers see only our own code, but what frees a connection twice is the library, when
# it is used in the way that its examples show.
. "$(dirname "$0")/../lib.sh"
needs node curl valgrind

mkdir "$T/bin"
cat >"$T/bin/terrariumd" <<SH
#!/bin/sh
exec valgrind -q --log-file=$T/valgrind.%p.log --leak-check=full --errors-for-leak-kinds=definite "$BUILD/terrariumd" "\$@"
SH
chmod +x "$T/bin/terrariumd"
BUILD=$T/bin SERVING_LIMIT=60
start_gateway
SLOW=1 node tests/run/http_gate.mjs "$PORT" "$(demo_token ann@example.org)" || fail "the gate"
stop_pid "$GATEWAY_PID" 20
# That an older valgrind does not know a system call (Landlock's, which is only asked for) is no complaint about us.
sed '/unhandled amd64-linux syscall/,/valgrind.org\/support/d' "$T"/valgrind.*.log >"$T/valgrind.txt"
[ ! -s "$T/valgrind.txt" ] || { cat "$T/valgrind.txt"; fail "valgrind complains"; }
ok "no invalid access, no leak"
