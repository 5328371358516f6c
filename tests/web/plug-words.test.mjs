// SPDX-License-Identifier: Apache-2.0
/* Disks and network cards of a machine that runs: what is offered, why not, and how they stand, in words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { news, offer, plugged, refusal } from "../../web/plug-words.js";

const VM = { id: "aa", driver: "qemu", can_plug: true, confidential: "none", state: "ready", agent: "ready", network: "nat", disks: [], cards: [] };
const disk = (volume, state = "plugged", reason = null) => ({ volume, serial: `vol-${volume}`, state, reason });
const card = (number, state = "plugged", more = {}) => ({ card: number, state, configured: state === "plugged", reason: null,
	...(state === "plugged" && { mac: "02:74:72:60:00:01", ip4: "10.213.4.2", gateway4: "10.213.4.1", ip6: "fd00::2" }), ...more });
const volume = (name, vm = null, state = "ready") => ({ name, vm, state });
const SEEDS = [volume("seeds")];

test("a machine that can take something is offered free volumes and a network card", () => {
	const volumes = [volume("seeds"), volume("work", "bb"), volume("new", null, "making"), volume("old", null, "failed")];
	assert.deepEqual(offer(VM, volumes), { shown: true, why: "", busy: false, disk: { choices: ["seeds"], why: "" }, card: { why: "" } });
	assert.deepEqual(offer(VM, null).disk, { choices: [], why: "" }, "they are not known yet");
});

test("one that cannot says why; a shell without a machine says nothing of it", () => {
	assert.match(offer({ ...VM, can_plug: false }, SEEDS).why, /fixed when it starts.*q35/);
	assert.match(offer({ ...VM, can_plug: false, confidential: "snp" }, SEEDS).why, /confidential/);
	for (const state of ["booting", "paused", "stopped"])
		assert.match(offer({ ...VM, state }, SEEDS).why, /that is ready/);
	assert.equal(offer({ ...VM, driver: "cloud-hypervisor" }, SEEDS).why, "");
	assert.equal(offer({ ...VM, driver: "local", can_plug: false }, SEEDS).shown, false);
	assert.ok(offer({ ...VM, driver: "qemu", can_plug: false }, SEEDS).shown);
});

test("no volume to plug in: there is none, all are in use, or the machine has four", () => {
	assert.match(offer(VM, []).disk.why, /terrarium volume create/);
	assert.match(offer(VM, [volume("work", "bb")]).disk.why, /in use/);
	assert.match(offer({ ...VM, disks: [disk("seeds", "plugging")] }, SEEDS).disk.why, /in use/, "the list is of before");
	const four = ["a", "b", "c", "d"].map((name) => disk(name));
	assert.deepEqual(offer({ ...VM, disks: four }, SEEDS).disk.choices, []);
	assert.match(offer({ ...VM, disks: four }, SEEDS).disk.why, /4 volumes/);
	/* A place that a refused volume has is taken, and good for that volume. */
	assert.deepEqual(offer({ ...VM, disks: [...four.slice(1), disk("a", "refused", "no port")] }, [...SEEDS, volume("a")]).disk.choices, ["a"]);
});

test("no network card: without a network, without an agent, or with two", () => {
	const why = (more) => offer({ ...VM, ...more }, SEEDS).card.why;
	assert.match(why({ network: "none" }), /without a network/);
	assert.match(why({ agent: "connecting" }), /agent/);
	assert.match(why({ cards: [card(1), card(2)] }), /2 network cards/);
	assert.equal(why({ cards: [card(1, "refused"), card(2)] }), "");
	assert.deepEqual(offer({ ...VM, agent: "none" }, SEEDS).disk.choices, ["seeds"], "a disk needs no agent");
});

test("what is plugged in: names, addresses, state, reason; out of it one at a time", () => {
	const vm = { ...VM, disks: [disk("seeds"), disk("bulbs", "refused", "no port")], cards: [card(1), card(2, "plugged", { configured: false, ip6: null })] };
	const list = plugged(vm);
	assert.deepEqual(list.map(({ kind, id, name, facts }) => [kind, id, name, facts]), [
		["disk", "seeds", "seeds", "Serial number vol-seeds"], ["disk", "bulbs", "bulbs", "Serial number vol-bulbs"],
		["card", "1", "Network card 1", "10.213.4.2 · fd00::2 · 02:74:72:60:00:01"], ["card", "2", "Network card 2", "10.213.4.2 · 02:74:72:60:00:01"],
	]);
	assert.deepEqual(list.map(({ state, tone, reason, out, able }) => [state, tone, reason, out, able]), [
		["plugged in", "good", "", true, true], ["not plugged in", "bad", "no port", false, false],
		["plugged in", "good", "", true, true], ["plugged in, waits for its addresses", "busy", "", true, true],
	]);
	const busy = { ...VM, disks: [disk("seeds")], cards: [card(1, "unplugging")] };
	assert.equal(offer(busy, SEEDS).busy, true);
	assert.deepEqual(plugged(busy).map(({ out, able }) => [out, able]), [[true, false], [true, false]]);
	assert.deepEqual(plugged({ ...vm, state: "paused" }).map(({ able }) => able), [false, false, false, false]);
});

test("who hears the page is told what has changed, and only that", () => {
	const before = { ...VM, disks: [disk("seeds", "plugging")], cards: [card(1)] };
	assert.equal(news(before, before), "");
	assert.equal(news(before, { ...before, disks: [disk("seeds")] }), "seeds: plugged in");
	assert.equal(news(before, { ...before, disks: [], cards: [card(1, "unplugging")] }), "Network card 1: being taken out…; seeds: taken out");
	assert.equal(news(before, { ...before, disks: [disk("seeds", "refused", "its monitor does not answer")] }), "seeds: not plugged in: its monitor does not answer");
});

test("a refusal says what to do, unless it does so itself", () => {
	const fault = (status, code, message) => ({ status, code, message });
	assert.equal(refusal(fault(0, "unreachable", "No answer; try again."), "disk"), "No answer; try again.");
	assert.equal(refusal(fault(503, "helper_away", "Away; try again in a moment."), "card"), "Away; try again in a moment.");
	assert.match(refusal(fault(409, "wrong_state", "It is stopping."), "out"), /^It is stopping\. .*start it/);
	assert.match(refusal(fault(409, "not_possible", "volume: seeds is being used by your machine fern."), "disk"), /machine fern\. Nothing has changed\. Choose another/);
	assert.match(refusal(fault(409, "not_possible", "The last change is not done yet."), "out"), /yet\. Nothing has changed\. Try again/);
});
