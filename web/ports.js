// SPDX-License-Identifier: Apache-2.0
/** What programs in the machine serve on their ports, shown in tabs of their own (docs/protocol.md, Previews), where the operator has set that up. */
import { open_link } from "./clipboard.js";
import { run_command } from "./command.js";
import { $, ask, on_click, put, show } from "./dom.js";
import { PORT_MAX, listening, local_place, preview_url } from "./places.js";
import { t } from "./words.js";

export class Ports {
	#vm;
	#pattern;
	#asked = 0;

	/** @param {{pattern: ?string, vm: () => {id: string, sealed: boolean}, closed: () => void}} o `pattern` of GET /api/v1/host, null when there is no domain for it */
	constructor({ pattern, vm, closed }) {
		this.#pattern = pattern ?? null;
		this.#vm = vm;
		on_click("ports-open", () => {
			$("menu").hidePopover();
			this.#open();
		});
		on_click("ports-close", () => $("ports").close());
		$("ports").addEventListener("close", closed);
		$("ports-form").addEventListener("submit", (event) => {
			event.preventDefault();
			this.#submit();
		});
		$("ports-number").addEventListener("input", () => this.#fault(""));
	}

	/** A link that the machine printed: one to itself leads to its preview. @param {string} uri */
	async follow(uri) {
		const place = local_place(uri), { id, sealed } = this.#vm();
		if (!place || this.#pattern === null || sealed) {
			await open_link(uri, place ? t(this.#pattern === null ? "ports.link.none" : "ports.sealed") : "");
			return;
		}
		const url = preview_url(this.#pattern, id, place.port, place.path);
		if (await ask({ title: t("ports.link.title", { port: String(place.port) }), text: t("ports.link.text"), quote: url, yes: t("link.yes") }))
			window.open(url, "_blank", "noopener,noreferrer");
	}

	#open() {
		const { sealed } = this.#vm(), able = this.#pattern !== null && !sealed;
		put("ports-lead", t(sealed ? "ports.sealed" : able ? "ports.lead" : "ports.none_here"));
		show("ports-form", able);
		show("ports-found", false);
		this.#fault("");
		$("ports").showModal();
		$(able ? "ports-number" : "ports-close").focus();
		if (able)
			this.#look();
	}

	/* Which ports there are is a help; without an answer there is still the field. */
	async #look() {
		const { id } = this.#vm(), asked = ++this.#asked;
		put("ports-said", t("ports.looking"));
		show("ports-found", true);
		const text = await run_command(id, ["cat", "/proc/net/tcp", "/proc/net/tcp6"]).catch(() => null);
		if (asked !== this.#asked)
			return;
		const ports = listening(text ?? "");
		put("ports-said", text === null ? t("ports.not_told") : t(ports.length > 0 ? "ports.listens" : "ports.nothing"));
		$("ports-list").replaceChildren(...ports.map((port) => this.#entry(id, port)));
	}

	#entry(vm, port) {
		const item = document.createElement("li"), link = document.createElement("a");
		link.className = "port";
		link.href = preview_url(this.#pattern, vm, port);
		link.target = "_blank";
		link.rel = "noopener noreferrer";
		link.textContent = String(port);
		link.ariaLabel = t("ports.open.of", { port: String(port) });
		item.append(link);
		return item;
	}

	#submit() {
		const text = $("ports-number").value.trim(), port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
		if (port < 1 || port > PORT_MAX) {
			this.#fault(t("ports.no_port"));
			$("ports-number").focus();
			return;
		}
		window.open(preview_url(this.#pattern, this.#vm().id, port), "_blank", "noopener,noreferrer");
	}

	#fault(text) {
		put("ports-fault", text);
		show("ports-fault", text !== "");
		$("ports-number").ariaInvalid = String(text !== "");
	}
}
