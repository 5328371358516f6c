// SPDX-License-Identifier: Apache-2.0
/* A bad line: a TCP proxy whose connections can be delayed, throttled, stalled, cut, reset, or forgotten (half-open) while they run. */
import net from "node:net";

const FULL = 256 << 10; /* bytes on the way, then the sender waits */
const TICK_MS = 20;

/* One direction. What is on the way still arrives after its sender has gone, unless the connection is cut. */
class Way {
	constructor(from, to) {
		Object.assign(this, { from, to, queue: [], size: 0, timer: null, not_before: 0, delay: 0, rate: 0, dead: false });
		from.on("data", (b) => this.put(b));
		from.on("end", () => this.put(null));
		from.on("error", () => {});
		from.on("close", () => this.put(undefined));
		to.on("drain", () => this.pump());
	}
	put(piece) {
		this.queue.push({ piece, due: Date.now() + this.delay });
		this.size += piece?.length ?? 0;
		if (this.size > FULL)
			this.from.pause();
		this.pump();
	}
	later(ms) {
		this.timer ??= setTimeout(() => {
			this.timer = null;
			this.pump();
		}, ms);
	}
	/* What was stalled goes on. */
	go_on() {
		clearTimeout(this.timer);
		Object.assign(this, { timer: null, not_before: 0 });
		this.pump();
	}
	pump() {
		while (this.queue.length > 0 && !this.dead && !this.timer && !this.to.writableNeedDrain) {
			const first = this.queue[0], wait = Math.max(this.not_before, first.due) - Date.now();
			if (wait > 0)
				return this.later(wait);
			if (!first.piece) {
				this.queue.shift();
				if (first.piece === null)
					this.to.end();
				else
					this.to.destroy();
				continue;
			}
			const n = this.rate ? Math.min(first.piece.length, Math.ceil(this.rate * TICK_MS / 1000)) : first.piece.length;
			this.to.write(first.piece.subarray(0, n));
			this.size -= n;
			if (n === first.piece.length)
				this.queue.shift();
			else
				first.piece = first.piece.subarray(n);
			if (this.size <= FULL && this.from.isPaused())
				this.from.resume();
			if (this.rate)
				this.later(TICK_MS);
		}
	}
}

class Connection {
	constructor(client, server) {
		Object.assign(this, { client, server, up: new Way(client, server), down: new Way(server, client), forgotten: false });
	}
	get ways() {
		return [this.up, this.down];
	}
	delay(ms) {
		for (const w of this.ways)
			w.delay = ms;
	}
	throttle(bytes_per_s) {
		for (const w of this.ways)
			w.rate = bytes_per_s;
	}
	stall(ms, ways = this.ways) {
		for (const w of ways)
			w.not_before = Date.now() + ms;
	}
	/* Nothing arrives any more, and neither side is told. */
	forget() {
		this.forgotten = true;
		for (const w of this.ways)
			w.dead = true;
	}
	/* Part of what is under way arrives, then both ends get a reset. */
	cut(part) {
		for (const w of this.ways) {
			const first = w.queue[0]?.piece;
			if (first && !w.dead && !w.to.destroyed)
				w.to.write(first.subarray(0, Math.floor(first.length * part)));
			w.dead = true;
		}
		this.client.resetAndDestroy();
		this.server.resetAndDestroy();
	}
	end() {
		this.client.end();
		this.server.end();
	}
	heal() {
		this.delay(0);
		this.throttle(0);
		this.stall(0);
		for (const w of this.ways)
			w.pump();
	}
}

export class Lossy {
	constructor(port) {
		this.connections = new Set();
		this.server = net.createServer({ allowHalfOpen: true }, (client) => {
			const up = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
			const c = new Connection(client, up);
			client.setNoDelay(true);
			up.setNoDelay(true);
			this.connections.add(c);
			/* Who has forgotten keeps what is still open of it. */
			for (const s of [client, up])
				s.on("close", () => c.client.destroyed && c.server.destroyed && this.connections.delete(c));
			this.on_connection?.(c, client.remotePort);
		});
	}
	listen(at = 0) {
		return new Promise((done) => this.server.listen(at, "127.0.0.1", () => done(this.server.address().port)));
	}
	close() {
		for (const c of this.connections) {
			c.client.destroy();
			c.server.destroy();
		}
		this.server.close();
	}
}
