// SPDX-License-Identifier: Apache-2.0
/**
 * Gives every `<style>` that a script makes the nonce of this page, which the content security policy asks for. xterm.js makes some;
 * without this they are ignored and the terminal is black on black. Must be imported before anything that makes styles.
 */
const nonce = document.querySelector('meta[name="style-nonce"]')?.content ?? "";
const create = document.createElement;

document.createElement = function (name, options) {
	const element = create.call(this, name, options);
	if (String(name).toLowerCase() === "style")
		element.nonce = nonce;
	return element;
};
