// SPDX-License-Identifier: Apache-2.0
/** What the admin page says of sizes, times, rules and changes, and what its forms mean. Pure: knows no element and no server. */
import { has, t } from "./words.js";

/** Roles, each of which may do what the ones before it may. */
export const ROLES = ["user", "auditor", "operator", "admin"];

/** @param {string} role that somebody has @param {string} needed @returns {boolean} */
export const may = (role, needed) => ROLES.indexOf(role) >= ROLES.indexOf(needed);

/* --- figures ------------------------------------------------------------------------------------------------------ */

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** @param {number} count of bytes @returns {string} such as "1.5 GiB" */
export function bytes(count) {
	let unit = 0;
	for (; count >= 1024 && unit < BYTE_UNITS.length - 1; unit++)
		count /= 1024;
	return `${unit === 0 || count >= 100 ? Math.round(count) : +count.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

const SPANS = [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1_000]];

/** @param {number} ms @returns {string} the two largest units, such as "3 min 20 s" */
export function span(ms) {
	const first = SPANS.findIndex(([, size]) => ms >= size);
	if (first < 0)
		return t("span.s", { n: 0 });
	return SPANS.slice(first, first + 2).map(([unit, size], i, both) => {
		const n = Math.floor((i === 0 ? ms : ms % both[0][1]) / size);
		return n > 0 && t(`span.${unit}`, { n });
	}).filter(Boolean).join(" ");
}

/** @param {number} n @param {string} kind of thing, one of the catalogue's count.* @returns {string} such as "3 rules" */
export const count = (n, kind) => t(`count.${kind}`, { count: n });

const two = (n) => String(n).padStart(2, "0");
const day_of = (d) => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;

/** @param {?string} text RFC 3339 @returns {string} in the time zone of this computer, "" for none */
export function moment(text) {
	if (!text)
		return "";
	const d = new Date(text);
	return `${day_of(d)} ${two(d.getHours())}:${two(d.getMinutes())}`;
}

/** @param {?string} text RFC 3339 @returns {string} value of a datetime-local field */
export const to_field = (text) => moment(text).replace(" ", "T");

/** @param {string} value of a datetime-local field, in the time zone of this computer @returns {?string} RFC 3339 in UTC */
export const from_field = (value) => value ? new Date(value).toISOString().replace(/\.\d+Z$/, "Z") : null;

/* --- rules -------------------------------------------------------------------------------------------------------- */

/** @param {object} rule @param {number} now_ms @returns {string} since when and until when, "" for always */
export function term_of({ not_before, expires_at }, now_ms = Date.now()) {
	const parts = [];
	if (not_before && Date.parse(not_before) > now_ms)
		parts.push(t("term.from", { when: moment(not_before) }));
	if (expires_at)
		parts.push(t(Date.parse(expires_at) <= now_ms ? "term.ended" : "term.until", { when: moment(expires_at) }));
	return parts.join(", ");
}

/** @param {object} quota of a rule @returns {string} what differs from the server's defaults, "" for nothing */
export function quota_words({ machines, cpus, memory, disk, lifetime_s, images, networks = [] } = {}) {
	return [
		machines && count(machines, "machine"), cpus && count(cpus, "CPU"), memory && t("quota.memory", { size: bytes(memory) }),
		disk && t("quota.disk", { size: bytes(disk) }),
		lifetime_s && t("quota.each", { time: span(lifetime_s * 1000) }), images && t("quota.images", { images }),
		networks.length > 0 && t("quota.network", { networks: networks.join(t("quota.or")) }),
	].filter(Boolean).join(", ");
}

/** @param {object} rule @returns {object} what a writer may say of it */
export const writable = ({ pattern, effect, role, quota, not_before, expires_at, note }) =>
	({ pattern, effect, role, quota, not_before, expires_at, note });

/* --- differences -------------------------------------------------------------------------------------------------- */

const or_default = (written) => (v) => v ? written(v) : t("quota.default");
const WORDS = {
	not_before: moment, expires_at: moment, created_at: moment, "quota.memory": or_default(bytes), "quota.disk": or_default(bytes),
	"quota.lifetime_s": or_default((v) => span(v * 1000)), "quota.machines": or_default(String), "quota.cpus": or_default(String),
	"quota.images": (v) => v || t("quota.all"), "quota.networks": (v) => v?.length > 0 ? v.join(", ") : t("quota.all"),
};
const label_of = (name) => has(`field.${name}`) ? t(`field.${name}`) : name;

/* {a: {b: 1}} as [["a.b", 1]]; lists stay whole. */
function flat(value, prefix = "") {
	return Object.entries(value ?? {}).flatMap(([name, v]) =>
		v !== null && typeof v === "object" && !Array.isArray(v) ? flat(v, `${prefix}${name}.`) : [[prefix + name, v]]);
}

function in_words(name, value) {
	const text = WORDS[name] ? WORDS[name](value) : value ?? "";
	return text === "" ? "–" : typeof text === "object" ? JSON.stringify(text) : String(text);
}

/**
 * What differs between two objects, member by member.
 * @param {?object} before @param {?object} after null: there is none @param {string[]} ignored members that do not count
 * @returns {{name: string, label: string, before: string, after: string}[]}
 */
export function differences(before, after, ignored = []) {
	const old = new Map(flat(before)), now = new Map(flat(after));
	const names = new Set([...old.keys(), ...now.keys()]);
	return [...names].filter((name) => !ignored.includes(name)).map((name) => ({
		name, label: label_of(name), before: before ? in_words(name, old.get(name)) : "–", after: after ? in_words(name, now.get(name)) : "–",
	})).filter((d) => d.before !== d.after);
}

/* --- fields of the form ------------------------------------------------------------------------------------------- */

export const SIZES = [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["B", 1]];
export const TIMES = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];

/** @param {number} n @param {[string, number][]} units largest first @returns {{value: string, unit: string}} exact; "" for 0 */
export function split(n, units) {
	const [unit, size] = (n && units.find(([, s]) => n % s === 0)) || units[0];
	return { value: n ? String(n / size) : "", unit };
}

/** The reverse of split(). @param {string} value @returns {number} NaN when it is no number from 0 */
export function join(value, unit, units) {
	const n = value === "" ? 0 : Number(value);
	return n >= 0 ? Math.round(n * units.find(([name]) => name === unit)[1]) : NaN;
}

const whole = (value) => value === "" ? 0 : /^\d+$/.test(value) ? Number(value) : NaN;

/**
 * The rule that a form means.
 * @param {object} v values of its fields by name, texts; `networks` is a list
 * @returns {{rule?: object, fault?: string, field?: string}} either a rule or what is wrong with which field
 */
export function rule_of(v) {
	const quota = {
		machines: whole(v.machines), cpus: whole(v.cpus), memory: join(v.memory, v.memory_unit, SIZES), disk: join(v.disk, v.disk_unit, SIZES),
		lifetime_s: join(v.lifetime, v.lifetime_unit, TIMES), images: v.images, networks: v.networks,
	};
	if (v.pattern === "")
		return { fault: t("rule.whom"), field: "pattern" };
	const wrong = Object.entries(quota).find(([, n]) => Number.isNaN(n));
	if (wrong)
		return { fault: t("rule.number", { field: label_of(`quota.${wrong[0]}`) }), field: wrong[0].replace(/_s$/, "") };
	const not_before = from_field(v.not_before), expires_at = from_field(v.expires_at);
	if (not_before && expires_at && expires_at <= not_before)
		return { fault: t("rule.order"), field: "expires_at" };
	return { rule: { pattern: v.pattern, effect: v.effect, role: v.role, quota, not_before, expires_at, note: v.note } };
}

/* --- pages of a list ---------------------------------------------------------------------------------------------- */

/** Which page of a list with cursors one is on. */
export class Pages {
	#cursors = [null]; /* of the pages so far */
	next = null;

	/** Go back to the first. */
	reset() {
		this.#cursors = [null];
		this.next = null;
	}

	/** @returns {?string} that asks for this page */
	get cursor() {
		return this.#cursors.at(-1);
	}

	/** @returns {number} from 1 */
	get number() {
		return this.#cursors.length;
	}

	get first() {
		return this.#cursors.length === 1;
	}

	forward() {
		if (this.next !== null)
			this.#cursors.push(this.next);
		this.next = null;
	}

	back() {
		if (!this.first)
			this.#cursors.pop();
		this.next = null;
	}
}

/** @param {object} values @returns {string} "?a=1&b=2" of those that are not empty */
export function query(values) {
	const given = Object.entries(values).filter(([, v]) => v !== null && v !== undefined && v !== "");
	return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

/* --- imports ------------------------------------------------------------------------------------------------------ */

/** @param {{dry_run: boolean, added: number, changed: number, same: number, bad_count: number}} result @returns {string} */
export function import_words({ dry_run, added, changed, same, bad_count }) {
	if (bad_count > 0)
		return t(dry_run ? "import.bad.would" : "import.bad.was", { count: bad_count });
	return t(dry_run ? "import.would" : "import.done", { rules: count(added, "rule"), changed, same });
}

/** @param {string} csv @param {number} number of a line, from 1 @returns {string} */
export const line_of = (csv, number) => csv.split("\n")[number - 1]?.replace(/\r$/, "") ?? "";
