// SPDX-License-Identifier: Apache-2.0
/**
 * What this browser keeps for sealed terminals, for each person: the owner's key, which no script can read (IndexedDB keeps the object, not
 * its bytes), which measurements the person believes, which machines were seen sealed, and a root of their own if there is one.
 */
const DATABASE = "terrarium", KEYS = "owner-keys", NOTES = "terrarium.seal.";

const done = (request) => new Promise((resolve, reject) => {
	request.onsuccess = () => resolve(request.result);
	request.onerror = () => reject(request.error);
});

async function with_keys(mode, work) {
	const opening = indexedDB.open(DATABASE, 1);
	opening.onupgradeneeded = () => opening.result.createObjectStore(KEYS);
	const database = await done(opening);
	try {
		return await done(work(database.transaction(KEYS, mode).objectStore(KEYS)));
	} finally {
		database.close();
	}
}

export class SealedStore {
	#key = null;
	#sealed = new Set(); /* where nothing may be stored, this page at least does not forget */

	/** @param {string} email of the person */
	constructor(email) {
		this.email = email;
	}

	/** @returns {Promise<CryptoKeyPair>} ECDSA P-256; made when there is none */
	key() {
		this.#key ??= this.#find_key().catch((error) => {
			this.#key = null;
			throw error;
		});
		return this.#key;
	}

	async #find_key() {
		const kept = await with_keys("readonly", (keys) => keys.get(this.email));
		if (kept)
			return kept;
		const made = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
		try {
			await with_keys("readwrite", (keys) => keys.add(made, this.email));
		} catch {
			return with_keys("readonly", (keys) => keys.get(this.email)); /* another tab was faster */
		}
		return made;
	}

	/** @returns {{root?: string, pins?: object, machines?: string[]}} root: DER in base64 */
	get notes() {
		try {
			return JSON.parse(localStorage.getItem(NOTES + this.email)) ?? {};
		} catch {
			return {};
		}
	}

	note(change) {
		localStorage.setItem(NOTES + this.email, JSON.stringify({ ...this.notes, ...change }));
	}

	/** @param {string} kind of machine: what decides its measurement @returns {?string} the one that this person believes */
	pinned(kind) {
		return this.notes.pins?.[kind] ?? null;
	}

	pin(kind, measurement) {
		this.note({ pins: { ...this.notes.pins, [kind]: measurement } });
	}

	/** A machine that was sealed once, or was called so, is never entered otherwise, whatever the server calls it later. @param {string} vm id */
	was_sealed(vm) {
		return this.#sealed.has(vm) || this.notes.machines?.includes(vm) === true;
	}

	remember(vm) {
		if (this.was_sealed(vm))
			return;
		this.#sealed.add(vm);
		this.note({ machines: [...(this.notes.machines ?? []), vm].slice(-200) });
	}
}
