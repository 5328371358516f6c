// SPDX-License-Identifier: Apache-2.0
/**
 * Keeps the room where it can be seen while a keyboard lies over the page. Some browsers make the page smaller then (interactive-widget in
 * index.html), others only move what shows of it: there the room takes the size and place of that part.
 */

/** @param {HTMLElement} room */
export function keep_in_view(room) {
	const view = globalThis.visualViewport;
	if (!view)
		return;
	const place = () => {
		/* Somebody who has magnified the page wants to move over it. */
		const covered = view.scale === 1 && innerHeight - view.height > 1;
		room.style.height = covered ? `${view.height}px` : "";
		room.style.transform = covered && view.offsetTop > 0 ? `translateY(${view.offsetTop}px)` : "";
	};
	view.addEventListener("resize", place);
	view.addEventListener("scroll", place);
	place();
}
