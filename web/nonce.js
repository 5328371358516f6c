// SPDX-License-Identifier: Apache-2.0
/**
 * Lets xterm.js live under a strict content security policy. It makes `<style>` elements, which need the nonce of this page, and gives cells
 * their exact colours by `style` attributes, which the policy refuses but allows as properties. Without this the terminal is black on black.
 * Must be imported before anything that makes styles.
 */
const nonce = document.querySelector('meta[name="style-nonce"]')?.content ?? "";
const create = document.createElement;
const set = Element.prototype.setAttribute;

document.createElement = function (name, options) {
	const element = create.call(this, name, options);
	if (element instanceof HTMLStyleElement)
		element.nonce = nonce;
	return element;
};

HTMLElement.prototype.setAttribute = function (name, value) {
	if (name === "style")
		this.style.cssText = value;
	else
		set.call(this, name, value);
};
