// SPDX-License-Identifier: Apache-2.0
/**
 * One file on its way into the machine, piece by piece: memory holds one piece, whatever the file's size. When a piece gets no answer, how far the
 * file has come is asked, after a pause, and it goes on there.
 */
const LEAST = 64 * 1024, MOST = 1024 * 1024;
const QUICK_MS = 500, SLOW_MS = 4_000; /* pieces that take less become larger, those that take more smaller */
const PAUSES_MS = [1_000, 2_000, 4_000, 8_000, ...Array(30).fill(10_000)];
const PASSING = ["no_agent", "agent_silent", "overloaded"]; /* a machine that is being restarted comes back */

const passes = (error) => error.status === 0 || [502, 503, 504].includes(error.status) || PASSING.includes(error.code);

export class Upload {
	/** What has arrived, of `file.size`. */
	sent = 0;
	/** @type {"queued"|"going"|"waiting"|"done"|"failed"|"cancelled"} */
	state = "queued";
	/** bytes in a second, lately */
	speed = 0;
	/** @type {?Error} why it failed, or waits */
	error = null;
	#piece = 256 * 1024;
	#tries = 0;
	#replace = false;
	#stop = new AbortController();

	/**
	 * @param {Blob & {name: string}} file
	 * @param {object} to see upload_to()
	 * @param {{change: () => void, replace: () => Promise<boolean>, pause?: (ms: number) => Promise<void>}} on `replace` asks whether to
	 */
	constructor(file, to, on) {
		Object.assign(this, { file, to, on });
	}

	get over() {
		return ["done", "failed", "cancelled"].includes(this.state);
	}

	/** Runs until it is over; never throws. */
	async run() {
		this.#set("going");
		while (!this.over)
			try {
				await this.#step();
			} catch (error) {
				await this.#trouble(error);
			}
		if (this.state !== "done")
			await this.to.drop().catch(() => {});
	}

	/** A piece that is under way arrives first: taken back from in front of it, what has come would be made anew. */
	cancel() {
		if (this.over)
			return;
		this.#set("cancelled");
		this.#stop.abort();
	}

	#set(state, error = null) {
		if (this.state === "cancelled" && state !== "done") /* the last piece was faster */
			return;
		this.state = state;
		this.error = error;
		this.on.change();
	}

	async #step() {
		const { file } = this, began = performance.now();
		const bytes = await file.slice(this.sent, this.sent + this.#piece).arrayBuffer().catch((cause) => {
			throw Object.assign(new Error(cause.message, { cause }), { status: -1 }); /* changed or removed meanwhile */
		});
		const { offset, done } = await this.to.piece(bytes, this.sent, file.size, this.#replace);
		const took = Math.max(1, performance.now() - began), now = (offset - this.sent) * 1000 / took;
		this.#tries = 0;
		this.speed = this.speed ? 0.8 * this.speed + 0.2 * now : now;
		this.sent = offset;
		if (took < QUICK_MS)
			this.#piece = Math.min(MOST, this.#piece * 2);
		else if (took > SLOW_MS)
			this.#piece = Math.max(LEAST, this.#piece / 2);
		this.#set(done ? "done" : "going");
	}

	async #trouble(error) {
		if (this.over)
			return;
		if (error.code === "wrong_offset" || error.code === "no_upload")
			this.sent = error.body?.offset ?? 0;
		else if (error.code === "exists" && !this.#replace && await this.on.replace())
			this.#replace = true;
		else if (error.code === "exists" && !this.#replace)
			this.cancel();
		else if (!passes(error) || this.#tries >= PAUSES_MS.length)
			this.#set("failed", error);
		else
			await this.#again(error);
	}

	async #again(error) {
		this.#set("waiting", error);
		await (this.on.pause ?? pause)(PAUSES_MS[this.#tries++], this.#stop.signal);
		if (this.over)
			return;
		try {
			const last = this.sent + this.#piece >= this.file.size;
			this.sent = await this.to.far();
			/* The answer to the last piece may be what was lost: then the file is in its place. */
			const whole = last && this.sent === 0 && this.file.size > 0 && await this.to.size().catch(() => -1) === this.file.size;
			if (whole)
				this.sent = this.file.size;
			this.#set(whole ? "done" : "going");
		} catch (more) {
			await this.#trouble(more);
		}
	}
}

const pause = (ms, signal) => new Promise((resolve) => {
	const timer = setTimeout(resolve, ms);
	signal.addEventListener("abort", () => {
		clearTimeout(timer);
		resolve();
	}, { once: true });
});
