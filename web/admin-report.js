// SPDX-License-Identifier: Apache-2.0
/** One dialog for what is only to be read. */
import { $, put, show } from "./dom.js";

/**
 * @param {string} title @param {Node} body
 * @param {?{label: string, run: () => void}} more a second button
 */
export function report(title, body, more = null) {
	put("report-title", title);
	$("report-body").replaceChildren(body);
	show("report-more", more !== null);
	if (more) {
		put("report-more", more.label);
		$("report-more").onclick = () => {
			$("report").close();
			more.run();
		};
	}
	$("report").showModal();
}
