// SPDX-License-Identifier: Apache-2.0
/** What can be plugged into a machine while it runs, why something cannot be, and how that stands which is. Pure: knows no element and no server. */
import { t, word } from "./words.js";

/** So many a machine may have beside what it began with. */
export const DISKS_MAX = 4, CARDS_MAX = 2;

const TONES = { plugged: "good", refused: "bad" };

const is_under_way = ({ state }) => state === "plugging" || state === "unplugging";
const is_refused = ({ state }) => state === "refused";
const parts = ({ disks = [], cards = [] }) => [...disks, ...cards];
const is_busy = (vm) => parts(vm).some(is_under_way);

const state_words = ({ state, configured }) => state === "plugged" && configured === false ? t("plugs.state.unconfigured") : word("plugs.state", state);

/** Why nothing can be changed at all now, "" if something can. */
function why_nothing({ can_plug, confidential, state }) {
	if (!can_plug)
		return t(confidential === "none" ? "plugs.why.fixed" : "plugs.why.sealed");
	return state === "ready" ? "" : t("plugs.why.not_ready");
}

/**
 * What is plugged in, or was to be.
 * @param {object} vm of the API
 * @returns {{kind: "disk"|"card", id: string, name: string, facts: string, state: string, tone: string, reason: string, out: boolean, able: boolean}[]}
 *          `id`: by which the server knows it; `out`: it is there, so that it can be taken out; `able`: now
 */
export function plugged(vm) {
	const able = why_nothing(vm) === "" && !is_busy(vm);
	const entry = (kind, id, name, facts, part) => ({
		kind, id, name, facts, state: state_words(part), tone: part.state === "plugged" && part.configured === false ? (part.reason ? "bad" : "busy") : TONES[part.state] ?? "busy",
		reason: part.reason ?? "", out: !is_refused(part), able: able && !is_refused(part),
	});
	return [
		...(vm.disks ?? []).map((disk) => entry("disk", disk.volume, disk.volume, t("plugs.disk.facts", { serial: disk.serial }), disk)),
		...(vm.cards ?? []).map((card) => entry("card", String(card.card), t("plugs.card.name", { number: card.card }),
			[card.ip4, card.ip6, card.mac].filter(Boolean).join(" · "), card)),
	];
}

/* A place whose volume was refused is that volume's until it is tried again. */
function disk_offer({ disks = [] }, volumes) {
	if (volumes === null)
		return { choices: [], why: "" };
	const here = disks.filter((disk) => !is_refused(disk)).map(({ volume }) => volume);
	const free = volumes.filter(({ name, state, vm }) => state === "ready" && vm === null && !here.includes(name)).map(({ name }) => name);
	const full = disks.length >= DISKS_MAX, choices = free.filter((name) => !full || disks.some(({ volume }) => volume === name));
	if (choices.length > 0)
		return { choices, why: "" };
	return { choices, why: full ? t("plugs.disk.full", { max: DISKS_MAX }) : t(volumes.length > 0 ? "plugs.disk.none_free" : "plugs.disk.none") };
}

function why_no_card({ network, agent, cards = [] }) {
	if (network === "none")
		return t("plugs.card.no_network");
	if (agent !== "ready")
		return t("plugs.card.no_agent");
	return cards.filter((card) => !is_refused(card)).length >= CARDS_MAX ? t("plugs.card.full", { max: CARDS_MAX }) : "";
}

/**
 * What the machine can be given.
 * @param {object} vm of the API @param {?object[]} volumes of its owner, null while they are not known
 * @returns {{shown: boolean, why: string, busy: boolean, disk: {choices: string[], why: string}, card: {why: string}}} `shown`: it is worth a word;
 *          `why`: nothing can be changed, for this reason; `busy`: not before the last change is done; `why` of one: it cannot be had, for this reason
 */
export function offer(vm, volumes) {
	return { shown: vm.driver !== "local", why: why_nothing(vm), busy: is_busy(vm), disk: disk_offer(vm, volumes), card: { why: why_no_card(vm) } };
}

/** @param {object} before @param {object} now the machine, then and now @returns {string} what has become of its parts, for who hears the page */
export function news(before, now) {
	const was = plugged(before), is = plugged(now), same = (a) => (b) => a.kind === b.kind && a.id === b.id;
	return [
		...is.filter((one) => was.find(same(one))?.state !== one.state || was.find(same(one)).reason !== one.reason)
			.map(({ name, state, reason }) => t("plugs.said", { name, state: [state, reason].filter(Boolean).join(": ") })),
		...was.filter((one) => !is.some(same(one))).map(({ name }) => t("plugs.said", { name, state: t("plugs.state.out") })),
	].join("; ");
}

/**
 * A refusal, and what to do about it.
 * @param {{status: number, code: string, message: string}} error of the API @param {"disk"|"card"|"out"} wish that was refused @returns {string}
 */
export function refusal({ status, code, message }, wish) {
	if (status < 400 || status >= 500)
		return message; /* says so itself */
	return t("plugs.fault", { why: message, what: code === "wrong_state" ? t("plugs.why.not_ready") : t(`plugs.do.${wish}`) });
}
