// SPDX-License-Identifier: Apache-2.0
/** A dialog of keys that the browser keeps for itself, or that a keyboard lacks. */
import { $ } from "./dom.js";
import { bytes_of } from "./keycodes.js";
import { t } from "./words.js";

const CONTROLS = ["w", "t", "n", "q", "c", "z", "d", "\\"];
const OTHERS = ["esc", "tab", "home", "end", "page_up", "page_down"];
const FUNCTIONS = Array.from({ length: 12 }, (_, i) => `f${i + 1}`);

/**
 * @param {(bytes: Uint8Array) => void} type @param {() => boolean} application the program wants application cursor keys
 * @param {() => void} after the dialog is closed
 * @returns {() => void} opens it
 */
export function send_key_dialog(type, application, after) {
	const button = (label, key, held) => {
		const element = document.createElement("button");
		element.type = "button";
		element.textContent = label;
		element.addEventListener("click", () => {
			$("sendkey").close();
			type(bytes_of(key, held, application()));
		});
		return element;
	};
	$("sendkey-keys").replaceChildren(
		...CONTROLS.map((key) => button(`${t("key.cap.ctrl")}+${key.toUpperCase()}`, key, { ctrl: true })),
		...OTHERS.map((key) => button(t(`key.cap.${key}`), key)),
		...FUNCTIONS.map((key) => button(key.toUpperCase(), key)));
	$("sendkey").addEventListener("close", after);
	return () => $("sendkey").showModal();
}
