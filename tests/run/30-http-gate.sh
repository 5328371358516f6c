#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Hostile requests, one by one: each gets one answer or a close, and the next person is served as if nothing had been.
# Alone: it looks at the clock.
. "$(dirname "$0")/../lib.sh"
needs node curl

start_gateway # without a helper: the door must hold on its own
node tests/run/http_gate.mjs "$PORT" "$(demo_token ann@example.org)" || fail "the gate"
ok "hostile requests"

before=$(rss_kib "$GATEWAY_PID")
node - "$PORT" <<'JS' || fail "half-open connections"
const net = require("node:net"), port = Number(process.argv[2]);
let open = 0;
const socks = Array.from({ length: 400 }, () => net.connect(port, "127.0.0.1").on("connect", () => open++).on("error", () => {}));
for (const s of socks)
	s.write("GET / HT");
setTimeout(async () => {
	const t0 = Date.now(), r = await fetch(`http://localhost:${port}/healthz`);
	const ms = Date.now() - t0;
	for (const s of socks)
		s.destroy();
	if (open < 400 || r.status !== 200 || ms > 500)
		throw new Error(`${open} open, status ${r.status}, ${ms} ms`);
	console.log(`beside 400 half-open connections /healthz takes ${ms} ms`);
}, 500);
JS
after=$(rss_kib "$GATEWAY_PID")
say "resident: $before KiB before, $after KiB after 400 half-open connections"
[ $((after - before)) -lt 16384 ] || [ "${BUILD##*/}" != build ] || fail "half-open connections cost $((after - before)) KiB"
ok "half-open connections"

kill -TERM "$GATEWAY_PID"
wait_until 2 gone "$GATEWAY_PID" || fail "SIGTERM is not answered within 2 s"
wait "$GATEWAY_PID"
check "SIGTERM ends it with status 0" [ $? = 0 ]
grep -E "ERROR: (Address|Leak)|runtime error" "$T/gateway.log" && fail "a sanitizer complains"
exit 0
