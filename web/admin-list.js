// SPDX-License-Identifier: Apache-2.0
/** Lists of the admin page: a table that keeps its rows while they change, with pages, an empty state and words for what fails. */
import { attempt } from "./dom.js";
import { Pages } from "./admin-words.js";
import { t } from "./words.js";

/**
 * Make an element.
 * @param {string} name @param {object} attributes `class`, `text`, functions as listeners (`click`), anything else as an attribute
 * @param {...(Node|string)} children
 */
export function element(name, attributes = {}, ...children) {
	const e = document.createElement(name);
	for (const [key, value] of Object.entries(attributes)) {
		if (value === undefined || value === null || value === false)
			continue;
		if (key === "class")
			e.className = value;
		else if (key === "text")
			e.textContent = value;
		else if (typeof value === "function")
			e.addEventListener(key, value);
		else
			e.setAttribute(key, value === true ? "" : value);
	}
	e.append(...children);
	return e;
}

/* What a cell shows: text, or {text, tone, title} with a tone for a badge. Parts that did not change are left alone. */
function fill(cell, content) {
	const { text, tone = "", title = "" } = typeof content === "object" && content !== null ? content : { text: content ?? "" };
	const mark = JSON.stringify([text, tone, title]);
	if (cell.dataset.mark === mark)
		return;
	cell.dataset.mark = mark;
	cell.replaceChildren(tone ? element("span", { class: "badge", "data-tone": tone, text }) : String(text));
	cell.title = title;
}

/**
 * @typedef {object} Column
 * @property {string} label @property {(row: object) => string|{text: string, tone?: string, title?: string}} cell @property {string} [kind] a class
 * @typedef {object} Act
 * @property {string} label @property {(row: object) => boolean} [when] @property {(row: object) => Promise<void>|void} run
 * @property {boolean} [danger] @property {(row: object) => string} name for who hears and does not see it
 */

/** One list. */
export class List {
	#o;
	#pages = new Pages();
	#rows = new Map(); /* key: {tr, row} */
	#asked = 0;
	#table;
	#pager;
	#all = null; /* the box over all boxes */
	#body = element("tbody", { role: "rowgroup" });
	#note = element("p", { class: "empty", role: "status" });
	#where = element("span");
	#back = element("button", { type: "button", text: t("list.previous"), click: () => this.#turn("back") });
	#forward = element("button", { type: "button", text: t("list.next"), click: () => this.#turn("forward") });

	/**
	 * @param {HTMLElement} host where it goes
	 * @param {object} o
	 * @param {string} o.caption @param {Column[]} o.columns the first names the row @param {Act[]} [o.acts]
	 * @param {(row: object) => string} o.key @param {string} o.empty what an empty list says
	 * @param {(cursor: ?string) => Promise<{items: object[], next: ?string, total?: number}>} o.fetch one page
	 * @param {(total: number) => string} [o.total] words for the number of all
	 * @param {{has: (key: string) => boolean, set: (row: object, on: boolean) => void, name: (row: object) => string}} [o.selection]
	 * @param {(error: Error) => boolean} o.on_error return true when the page deals with it
	 */
	constructor(host, o) {
		this.#o = { acts: [], ...o };
		const { caption, columns, acts, selection } = this.#o;
		const head = element("tr", { role: "row" });
		if (selection)
			head.append(element("td", { role: "cell", class: "select" }, this.#all = element("input", {
				type: "checkbox", "aria-label": t("list.select_all"), change: () => this.#select_all(),
			})));
		head.append(...columns.map(({ label, kind }) => element("th", { role: "columnheader", scope: "col", class: kind, text: label })));
		if (acts.length > 0)
			head.append(element("td", { role: "cell" }));
		this.#table = element("table", { role: "table" }, element("caption", { class: "unseen", text: caption }),
			element("thead", { role: "rowgroup" }, head), this.#body);
		this.#pager = element("nav", { class: "pager", "aria-label": t("list.pages", { caption }) }, this.#back, this.#forward, this.#where);
		host.replaceChildren(this.#note, this.#table, this.#pager);
		this.#table.hidden = this.#pager.hidden = true;
	}

	/** Show the first page, as after another search. */
	first() {
		this.#pages.reset();
		return this.load();
	}

	/** Show this page anew. Only the last of several answers counts. */
	async load() {
		const asked = ++this.#asked;
		let page;
		try {
			page = await this.#o.fetch(this.#pages.cursor);
		} catch (error) {
			if (asked === this.#asked && !this.#o.on_error(error))
				this.#failed(error);
			return;
		}
		if (asked !== this.#asked)
			return;
		if (page.items.length === 0 && !this.#pages.first) {
			this.#pages.back(); /* the last rows of the last page went away */
			await this.load();
			return;
		}
		this.#pages.next = page.next;
		this.#show(page);
	}

	/** The rows that show. @returns {object[]} */
	get rows() {
		return [...this.#rows.values()].map(({ row }) => row);
	}

	/** Draw the boxes again after the selection changed elsewhere. */
	mark() {
		for (const [key, { tr }] of this.#rows)
			tr.querySelector(".select input").checked = this.#o.selection.has(key);
		this.#mark_all();
	}

	#turn(way) {
		this.#pages[way]();
		this.load();
		this.#table.scrollIntoView({ block: "nearest" });
	}

	#failed(error) {
		this.#note.hidden = false;
		this.#note.className = "empty fault";
		this.#note.replaceChildren(t("list.failed", { why: error.message }), element("button", {
			type: "button", class: "small", text: t("door.retry"), click: () => this.load(),
		}));
	}

	#show({ items, total }) {
		const { key, empty } = this.#o;
		const rows = new Map(items.map((row) => [key(row), row]));
		for (const [id, { tr }] of this.#rows)
			if (!rows.has(id)) {
				tr.remove();
				this.#rows.delete(id);
			}
		let after = null;
		for (const [id, row] of rows) {
			const tr = this.#row(id, row);
			if (after ? after.nextSibling !== tr : this.#body.firstChild !== tr)
				this.#body.insertBefore(tr, after ? after.nextSibling : this.#body.firstChild);
			after = tr;
		}
		this.#note.className = "empty";
		this.#note.hidden = items.length > 0;
		if (items.length === 0)
			this.#note.replaceChildren(empty);
		this.#table.hidden = items.length === 0;
		this.#show_pager(total);
		if (this.#o.selection)
			this.#mark_all();
	}

	#show_pager(total) {
		const single = this.#pages.first && this.#pages.next === null;
		const words = total === undefined ? "" : this.#o.total(total);
		this.#pager.hidden = single && !words;
		this.#back.hidden = this.#forward.hidden = single;
		this.#back.disabled = this.#pages.first;
		this.#forward.disabled = this.#pages.next === null;
		this.#where.textContent = [single ? "" : t("list.page", { page: this.#pages.number }), words].filter(Boolean).join(" · ");
	}

	#row(id, row) {
		const { columns, acts, selection } = this.#o;
		let known = this.#rows.get(id);
		if (!known) {
			const tr = element("tr", { role: "row" });
			known = { tr, row };
			this.#rows.set(id, known);
			const now = () => this.#rows.get(id)?.row ?? row;
			if (selection)
				tr.append(element("td", { role: "cell", class: "select" }, element("input", {
					type: "checkbox", "aria-label": t("list.select", { name: selection.name(row) }), change: (event) => {
						selection.set(now(), event.target.checked);
						this.#mark_all();
					},
				})));
			tr.append(...columns.map(({ label, kind }, i) => i === 0 ?
				element("th", { role: "rowheader", scope: "row", class: kind }) :
				element("td", { role: "cell", class: kind, "data-label": label })));
			if (acts.length > 0)
				tr.append(element("td", { role: "cell", class: "acts" }, ...acts.map((act) => this.#button(act, now))));
		}
		known.row = row;
		if (selection)
			known.tr.querySelector(".select input").checked = selection.has(id);
		columns.forEach(({ cell }, i) => fill(known.tr.children[i + (selection ? 1 : 0)], cell(row)));
		if (acts.length > 0)
			[...known.tr.lastElementChild.children].forEach((button, i) => { button.hidden = acts[i].when ? !acts[i].when(row) : false; });
		return known.tr;
	}

	#button({ label, run, danger, name }, now) {
		return element("button", {
			type: "button", class: danger ? "small danger" : "small", text: label, "aria-label": t("admin.act", { label, name: name(now()) }),
			click: (event) => {
				const button = event.currentTarget;
				button.disabled = true;
				attempt(t("admin.act", { label, name: name(now()) }), async () => run(now())).finally(() => { button.disabled = false; });
			},
		});
	}

	#select_all() {
		for (const row of this.rows)
			this.#o.selection.set(row, this.#all.checked);
		this.mark();
	}

	#mark_all() {
		const on = [...this.#rows.keys()].filter((key) => this.#o.selection.has(key)).length;
		this.#all.checked = on > 0 && on === this.#rows.size;
		this.#all.indeterminate = on > 0 && on < this.#rows.size;
	}
}

/**
 * A table of what differs.
 * @param {{label: string, before: string, after: string}[]} changes @param {string} before @param {string} after heads of the two columns
 * @returns {HTMLTableElement}
 */
export function difference_table(changes, before, after) {
	return element("table", { class: "diff" },
		element("thead", {}, element("tr", {}, element("td"), ...[before, after].map((text) => element("th", { scope: "col", text })))),
		element("tbody", {}, ...changes.map((d) => element("tr", {}, element("th", { scope: "row", text: d.label }),
			element("td", { class: "before", text: d.before }), element("td", { class: "after", text: d.after })))));
}

/** A list of facts, of those that are not empty. @param {object} facts name: text @returns {HTMLDListElement} */
export function fact_list(facts) {
	return element("dl", {}, ...Object.entries(facts).filter(([, value]) => value).flatMap(([name, value]) =>
		[element("dt", { text: name }), element("dd", {}, value)]));
}

/** Run @fn a little after the last change of a filter. @param {HTMLFormElement} form @param {() => void} fn */
export function on_filter(form, fn) {
	let timer = 0;
	const soon = () => {
		clearTimeout(timer);
		timer = setTimeout(fn, 250);
	};
	form.addEventListener("input", soon);
	form.addEventListener("submit", (event) => {
		event.preventDefault();
		clearTimeout(timer);
		fn();
	});
}

/** @param {HTMLFormElement} form @returns {object} its values, trimmed */
export const values_of = (form) => Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));
