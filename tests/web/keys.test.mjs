// SPDX-License-Identifier: Apache-2.0
/* What the page's own keys send, and where the room goes when a keyboard lies over it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes_of, with_held } from "../../web/keycodes.js";
import { keep_in_view } from "../../web/viewport.js";

const text = (bytes) => String.fromCharCode(...bytes);

test("keys with a sequence: modes and modifiers as xterm has them", () => {
	for (const [key, held, application, sent] of [
		["up", {}, false, "\x1b[A"], ["up", {}, true, "\x1bOA"], ["up", { ctrl: true }, true, "\x1b[1;5A"], ["end", { alt: true }, false, "\x1b[1;3F"],
		["f1", {}, false, "\x1bOP"], ["f4", { ctrl: true, alt: true }, false, "\x1b[1;7S"], ["f11", {}, false, "\x1b[23~"], ["f12", { ctrl: true }, false, "\x1b[24;5~"],
		["page_up", { alt: true }, false, "\x1b[5;3~"], ["esc", {}, false, "\x1b"], ["esc", { alt: true }, false, "\x1b\x1b"], ["tab", { ctrl: true }, false, "\t"],
	])
		assert.equal(text(bytes_of(key, held, application)), sent, key);
});

test("Ctrl makes a control character of what has one", () => {
	for (const [key, code] of [["a", 1], ["A", 1], ["[", 0x1b], ["\\", 0x1c], ["@", 0], [" ", 0], ["/", 0x1f], ["?", 0x7f], ["8", 0x7f]])
		assert.deepEqual([...bytes_of(key, { ctrl: true })], [code], key);
	assert.equal(text(bytes_of("1", { ctrl: true })), "1");
	assert.equal(text(bytes_of("x", { ctrl: true, alt: true })), "\x1b\x18");
});

test("held keys change typing, not what the terminal says by itself", () => {
	const utf8 = new TextEncoder();
	assert.equal(text(with_held(utf8.encode("c"), { ctrl: true })), "\x03");
	assert.equal(text(with_held(utf8.encode("ab"), { alt: true })), "\x1bab");
	assert.deepEqual(with_held(utf8.encode("你"), { ctrl: true }), utf8.encode("你"));
	assert.equal(with_held(utf8.encode("\x1b[24;80R"), { ctrl: true }), null);
});

test("a keyboard over the page: the room takes what is left of it, unless somebody has magnified the page", () => {
	const view = Object.assign(new EventTarget(), { height: 844, offsetTop: 0, scale: 1 });
	const room = { style: { height: "", transform: "" } };
	Object.assign(globalThis, { visualViewport: view, innerHeight: 844 });
	keep_in_view(room);
	const now = (change) => {
		Object.assign(view, change).dispatchEvent(new Event("resize"));
		return [room.style.height, room.style.transform];
	};
	assert.deepEqual(now({}), ["", ""]);
	assert.deepEqual(now({ height: 500 }), ["500px", ""]);
	assert.deepEqual(now({ offsetTop: 120 }), ["500px", "translateY(120px)"]);
	assert.deepEqual(now({ scale: 1.5 }), ["", ""]);
	assert.deepEqual(now({ scale: 1, height: 844, offsetTop: 0 }), ["", ""]);
});
