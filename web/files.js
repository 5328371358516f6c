// SPDX-License-Identifier: Apache-2.0
/** Files of the machine: a dialog to look through them, to fetch and to bring some, and dropping them onto the terminal. */
import { request } from "./api.js";
import { $, ask, attempt, on_click, put, show, toast } from "./dom.js";
import { content_url, join, list_files, make_dir, parent, remove_file, upload_to } from "./files-api.js";
import { Upload } from "./upload.js";
import { language, t } from "./words.js";

const HOMES = ["/root", "/"]; /* where a machine's shells begin, when none says where it is */
const SHOWN_MAX = 2_000; /* of one directory */

const KB = 1024;
function amount(bytes) {
	const step = bytes < KB ? 0 : Math.min(3, Math.floor(Math.log(bytes) / Math.log(KB)));
	const number = new Intl.NumberFormat(language, { maximumFractionDigits: step && bytes / KB ** step < 10 ? 1 : 0 });
	return `${number.format(bytes / KB ** step)} ${["B", "KiB", "MiB", "GiB"][step]}`;
}
const moment = (at) => new Date(at).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
/* Random, for names of uploads; randomUUID() is not there on pages without TLS. */
const fresh_id = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

function element(tag, class_name, text = "") {
	const made = document.createElement(tag);
	made.className = class_name;
	made.textContent = text;
	return made;
}

function button(class_name, text, label, run) {
	const made = element("button", class_name, text);
	made.type = "button";
	made.ariaLabel = label;
	made.addEventListener("click", run);
	return made;
}

const by_kind_and_name = (a, b) => (b.kind === "dir") - (a.kind === "dir") || a.name.localeCompare(b.name, language, { numeric: true });

export class Files {
	#room;
	#path = null;
	#asked = 0; /* which listing is the newest: an older one may answer later */
	#uploads = [];
	#busy = false;
	#drop_path = null; /* a promise while files hang over the terminal */

	/** @param {{vm: () => string, stream: () => string, closed: () => void}} room the machine's id, the stream in front; runs when the dialog has gone */
	constructor(room) {
		this.#room = room;
		on_click("files-open", () => {
			$("menu").hidePopover();
			this.open();
		});
		on_click("files-close", () => $("files").close());
		on_click("files-up", () => this.#go(parent(this.#path)));
		on_click("files-upload", () => $("files-pick").click());
		on_click("files-new", () => this.#new_dir());
		$("files-pick").addEventListener("change", () => {
			this.#bring([...$("files-pick").files], this.#path);
			$("files-pick").value = "";
		});
		$("files-form").addEventListener("submit", (event) => {
			event.preventDefault();
			this.#go($("files-path").value.trim() || "/");
		});
		$("files").addEventListener("close", () => room.closed());
		this.#take_drops();
	}

	/** @param {?string} path where to begin; by itself where the shell is */
	async open(path = null) {
		if (!$("files").open)
			$("files").showModal();
		this.#show_uploads();
		await this.#go(path ?? this.#path ?? await this.#here());
	}

	/* Where the shell in front is; else a home. */
	async #here() {
		try {
			const { cwd } = await request("GET", `streams/${encodeURIComponent(this.#room.stream())}`);
			if (cwd)
				return cwd;
		} catch { /* the list will say what is wrong */ }
		for (const home of HOMES)
			if (await list_files(this.#room.vm(), home).then(({ kind }) => kind === "dir", () => false))
				return home;
		return "/";
	}

	/* --- looking ---------------------------------------------------------------------------------------------- */

	async #go(path) {
		const asked = ++this.#asked, items = [];
		put("files-said", "");
		$("files-list").ariaBusy = "true";
		try {
			for (let cursor = null; ;) {
				const page = await list_files(this.#room.vm(), path, cursor);
				if (asked !== this.#asked)
					return;
				if (page.kind !== "dir")
					throw new Error(t("files.no_dir"));
				items.push(...page.items);
				cursor = page.next;
				if (!cursor || items.length >= SHOWN_MAX)
					break;
			}
			this.#path = path;
			$("files-path").value = path;
			$("files-up").disabled = parent(path) === path;
			this.#show(items);
		} catch (error) {
			if (asked === this.#asked)
				put("files-said", t("fault.failed", { what: path, why: error.message }));
		}
		$("files-list").ariaBusy = "false";
	}

	#show(items) {
		const part = items.filter(({ name }) => !/^\.terrarium-.*\.part$/.test(name)).sort(by_kind_and_name);
		$("files-list").replaceChildren(...part.map((item) => this.#row(item)));
		put("files-said", items.length >= SHOWN_MAX ? t("files.more", { count: SHOWN_MAX }) : part.length ? t("files.count", { count: part.length }) : t("files.empty"));
	}

	#row(item) {
		const row = element("li", "file"), dir = this.#path;
		let name;
		if (item.kind === "dir")
			name = button("file-name", `${item.name}/`, t("files.enter", { name: item.name }), () => this.#go(join(dir, item.name)));
		else if (item.kind === "file") {
			name = element("a", "file-name", item.name);
			name.href = content_url(this.#room.vm(), dir, item);
			name.download = item.name;
			name.ariaLabel = t("files.fetch", { name: item.name });
		} else
			name = element("span", "file-name", item.name);
		row.append(name, element("span", "file-size", item.kind === "file" && item.size !== null ? amount(item.size) : ""),
			element("span", "file-time", item.mtime ? moment(item.mtime) : ""),
			button("small danger", "×", t("files.remove.of", { name: item.name }), () => this.#remove(dir, item)));
		return row;
	}

	async #remove(dir, item) {
		if (!await ask({ title: t("files.remove"), text: t("files.remove.text"), quote: join(dir, item.name), yes: t("files.remove"), danger: true }))
			return;
		await attempt(t("files.remove"), () => remove_file(this.#room.vm(), dir, item));
		await this.#go(dir);
	}

	async #new_dir() {
		const name = $("files-name").value.trim();
		show("files-name", true);
		$("files-name").focus();
		if (!name || name.includes("/"))
			return;
		$("files-name").value = "";
		show("files-name", false);
		await attempt(t("files.new"), () => make_dir(this.#room.vm(), join(this.#path, name)));
		await this.#go(this.#path);
	}

	/* --- bringing --------------------------------------------------------------------------------------------- */

	#bring(files, dir) {
		for (const file of files) {
			const path = join(dir, file.name);
			const upload = new Upload(file, upload_to(this.#room.vm(), path, fresh_id()), {
				change: () => this.#show_upload(upload),
				replace: () => ask({ title: t("files.replace"), text: t("files.replace.text"), quote: path, yes: t("files.replace") }),
			});
			Object.assign(upload, { dir, row: this.#upload_row(upload) });
			this.#uploads.push(upload);
		}
		this.#show_uploads();
		this.#work();
	}

	/* One at a time: two would share the same way, and both come later. */
	async #work() {
		if (this.#busy)
			return;
		this.#busy = true;
		for (let next; (next = this.#uploads.find(({ state }) => state === "queued"));) {
			await next.run();
			if (next.state === "done" && next.dir === this.#path && $("files").open)
				await this.#go(this.#path);
			if (next.state === "done" && !$("files").open)
				toast(t("files.arrived", { name: next.file.name, dir: next.dir }));
			if (next.state === "failed" && !$("files").open)
				toast(t("fault.failed", { what: next.file.name, why: next.error.message }), "fault");
		}
		this.#busy = false;
	}

	#upload_row(upload) {
		const row = element("li", "upload"), bar = document.createElement("progress"), said = element("span", "upload-said");
		bar.max = Math.max(1, upload.file.size);
		bar.ariaLabel = t("files.upload.of", { name: upload.file.name });
		row.append(element("span", "file-name", upload.file.name), said, bar,
			button("small", "×", t("files.cancel.of", { name: upload.file.name }), () => {
				if (upload.over)
					this.#uploads = this.#uploads.filter((one) => one !== upload);
				upload.cancel();
				this.#show_uploads();
			}));
		return row;
	}

	#show_uploads() {
		$("files-uploads").replaceChildren(...this.#uploads.map(({ row }) => row));
		show("files-uploads", this.#uploads.length > 0);
		for (const upload of this.#uploads)
			this.#show_upload(upload);
	}

	#show_upload(upload) {
		const { file, sent, speed, state, error } = upload, row = upload.row;
		if (!row)
			return;
		const going = t("files.going", { sent: amount(sent), total: amount(file.size), speed: amount(Math.round(speed)) });
		row.dataset.state = state;
		row.querySelector("progress").value = state === "done" ? Math.max(1, file.size) : sent;
		row.querySelector(".upload-said").textContent = {
			queued: t("files.queued"), going, waiting: t("files.waiting"), done: t("files.done", { total: amount(file.size) }),
			failed: error?.message ?? "", cancelled: t("files.cancelled"),
		}[state];
	}

	/* --- dropping onto the terminal --------------------------------------------------------------------------- */

	#take_drops() {
		const carries = (event) => event.dataTransfer?.types.includes("Files");
		const over = (event) => $("terminal").contains(event.target) || event.target === $("files-drop") || $("files").contains(event.target);
		addEventListener("dragover", (event) => {
			if (!carries(event) || $("room").hidden)
				return;
			event.preventDefault(); /* beside it nothing happens, rather than the browser leaving for the file */
			event.dataTransfer.dropEffect = over(event) ? "copy" : "none";
			if (over(event) && !$("files").open)
				this.#hang();
		}, { capture: true });
		addEventListener("dragleave", (event) => event.relatedTarget === null && this.#let_go(), { capture: true });
		addEventListener("drop", (event) => {
			if (!carries(event) || $("room").hidden)
				return;
			event.preventDefault();
			event.stopPropagation();
			const hit = over(event), where = $("files").open ? this.#path : this.#drop_path;
			this.#let_go();
			if (hit)
				attempt(t("files.title"), () => this.#dropped(event.dataTransfer, where));
		}, { capture: true });
	}

	#hang() {
		if (this.#drop_path)
			return;
		show("files-drop", true);
		put("files-drop-to", t("files.drop"));
		const path = this.#drop_path = this.#here();
		path.then((dir) => this.#drop_path === path && put("files-drop-to", t("files.drop.to", { dir })));
	}

	#let_go() {
		this.#drop_path = null;
		show("files-drop", false);
	}

	async #dropped(data, where) {
		/* What is dropped can be read only now; a directory among it cannot be read as a file. */
		const entries = [...data.items].filter(({ kind }) => kind === "file");
		const files = entries.filter((item) => !item.webkitGetAsEntry?.()?.isDirectory).map((item) => item.getAsFile());
		if (files.length < entries.length)
			toast(t("files.no_folders"), "fault");
		if (files.length === 0)
			return;
		const dir = await (where ?? this.#here());
		this.#bring(files, dir);
		await this.open(dir);
	}
}
