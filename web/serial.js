// SPDX-License-Identifier: Apache-2.0
/**
 * What size the machine believes its terminal has. A serial line cannot carry it: the console gets one at boot and keeps it until somebody runs
 * `stty`. This remembers the last one it was told, so that the page speaks up only when it differs.
 */

const KEY = "terrarium.serial";

export class SerialSize {
	#told;

	constructor() {
		try {
			this.#told = JSON.parse(localStorage.getItem(KEY)) ?? {};
		} catch {
			this.#told = {};
		}
	}

	/** The console of process @epoch is attached; the server says that the size is this. */
	attached(epoch, cols, rows) {
		if (this.#told.epoch !== epoch)
			this.#keep({ epoch, cols, rows });
	}

	/** The machine has been told. */
	told(cols, rows) {
		this.#keep({ ...this.#told, cols, rows });
	}

	/** @returns {boolean} the machine believes something else */
	differs(cols, rows) {
		return this.#told.cols !== cols || this.#told.rows !== rows;
	}

	#keep(told) {
		this.#told = told;
		try {
			localStorage.setItem(KEY, JSON.stringify(told));
		} catch {
			/* then it is forgotten with the page */
		}
	}
}

/** @returns {string} the line that tells a shell */
export const stty_line = (cols, rows) => `stty rows ${rows} cols ${cols}`;
