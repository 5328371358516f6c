// SPDX-License-Identifier: Apache-2.0
/**
 * Which terminals of a machine stand where: tabs, each with one terminal or up to four side by side. Pure; knows ids and nothing else.
 *
 * The order of single terminals is the server's, the same on every device. What stands together is this browser's own affair.
 */
export const PANES_MAX = 4;

/** @typedef {{ids: string[], way: "row"|"column"}} Tab */

export class Layout {
	/** @type {Tab[]} */
	tabs = [];
	front = ""; /* id of the terminal in front */

	/** @param {?object} saved what save() gave */
	constructor(saved) {
		if (!Array.isArray(saved?.tabs))
			return;
		for (const tab of saved.tabs)
			if (Array.isArray(tab?.ids) && tab.ids.every((id) => typeof id === "string") && tab.ids.length <= PANES_MAX)
				this.tabs.push({ ids: [...tab.ids], way: tab.way === "column" ? "column" : "row" });
		this.front = String(saved.front ?? "");
	}

	save() {
		return { tabs: this.tabs, front: this.front };
	}

	/** @returns {?Tab} the tab this terminal is in */
	tab_of(id) {
		return this.tabs.find((tab) => tab.ids.includes(id)) ?? null;
	}

	/** These terminals exist, in this order: forget others, put new ones behind. @param {string[]} ids */
	follow(ids) {
		for (const tab of this.tabs)
			tab.ids = tab.ids.filter((id, i) => ids.includes(id) && tab.ids.indexOf(id) === i);
		this.tabs = this.tabs.filter((tab) => tab.ids.length > 0);
		for (const id of ids)
			if (!this.tab_of(id))
				this.tabs.push({ ids: [id], way: "row" });
		this.tabs.sort((a, b) => ids.indexOf(a.ids[0]) - ids.indexOf(b.ids[0]));
		if (!this.tab_of(this.front))
			this.front = this.tabs[0]?.ids[0] ?? "";
	}

	/** Put @id beside the terminal in front. @param {string} id @param {"row"|"column"} way @returns {boolean} false when there is no room */
	split(id, way) {
		const tab = this.tab_of(this.front), own = this.tab_of(id);
		if (!tab || tab.ids.length >= PANES_MAX || own === tab)
			return false;
		if (own)
			own.ids = own.ids.filter((other) => other !== id);
		this.tabs = this.tabs.filter((t) => t.ids.length > 0);
		tab.ids.splice(tab.ids.indexOf(this.front) + 1, 0, id);
		tab.way = way;
		this.front = id;
		return true;
	}

	/** Whoever comes to the front when @id goes: beside it, else the tab before. */
	heir(id) {
		const tab = this.tab_of(id), at = this.tabs.indexOf(tab);
		const beside = tab?.ids.filter((other) => other !== id) ?? [];
		return beside[0] ?? (this.tabs[at - 1] ?? this.tabs[at + 1])?.ids[0] ?? "";
	}

	/** The terminal @by further on, over all tabs, around the end. */
	neighbour(by) {
		const all = this.tabs.flatMap((tab) => tab.ids), at = all.indexOf(this.front);
		return all[(at + by + all.length) % all.length] ?? "";
	}
}
