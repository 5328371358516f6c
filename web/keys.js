// SPDX-License-Identifier: Apache-2.0
/** The keys that a touch screen's keyboard lacks. Ctrl and Alt stick to the next key. */
import { $, show } from "./dom.js";
import { t } from "./words.js";

const KEYS = [
	["Esc", "\x1b"], ["Tab", "\t"], ["Ctrl", null], ["Alt", null], ["↑", "\x1b[A"], ["↓", "\x1b[B"], ["←", "\x1b[D"], ["→", "\x1b[C"],
	["/", "/"], ["-", "-"], ["|", "|"], ["~", "~"],
];
const NAMES = { "↑": "up", "↓": "down", "←": "left", "→": "right", "/": "slash", "-": "hyphen", "|": "pipe", "~": "tilde" };
const utf8 = new TextEncoder();

export class Keys {
	#held = new Set();

	/** @param {(bytes: Uint8Array) => void} type @param {() => void} focus back to the terminal, so that the keyboard stays */
	constructor(type, focus) {
		$("keys").replaceChildren(...KEYS.map(([name, text]) => {
			const button = document.createElement("button");
			button.type = "button";
			button.textContent = name;
			button.ariaLabel = NAMES[name] ? t(`key.${NAMES[name]}`) : name;
			if (text === null)
				button.ariaPressed = "false";
			button.addEventListener("pointerdown", (event) => event.preventDefault());
			button.addEventListener("click", () => {
				if (text === null)
					this.#hold(name, !this.#held.has(name));
				else
					type(this.apply(utf8.encode(text)));
				focus();
			});
			return button;
		}));
		show("keys", matchMedia("(pointer: coarse)").matches);
	}

	#hold(name, held) {
		if (held)
			this.#held.add(name);
		else
			this.#held.delete(name);
		[...$("keys").children].find((b) => b.textContent === name).ariaPressed = String(held);
	}

	/** @returns {Uint8Array} what typing these bytes means with the keys that are held, which are let go */
	apply(bytes) {
		if (this.#held.size === 0)
			return bytes;
		if (this.#held.has("Ctrl") && bytes.length === 1 && bytes[0] >= 0x3f && bytes[0] < 0x7f)
			bytes = Uint8Array.of(bytes[0] === 0x3f ? 0x7f : bytes[0] & 0x1f);
		if (this.#held.has("Alt"))
			bytes = Uint8Array.of(0x1b, ...bytes);
		for (const name of [...this.#held])
			this.#hold(name, false);
		return bytes;
	}
}
