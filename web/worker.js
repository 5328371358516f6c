// SPDX-License-Identifier: Apache-2.0
/**
 * The service worker: keeps the page's shell, and nothing that a machine or a person has said.
 *
 * Its list is made by build.mjs: files whose names hold a hash of their content, the icons, and one page that says what this is while the server
 * cannot be reached. Those and no others are answered from here; the page itself, with its nonce, and everything below /api and /auth goes
 * to the server untouched. Another build is another list and so another cache; the old one goes when the new worker takes over.
 */

/* global SHELL, VERSION */
const CACHE = `terrarium-${VERSION}`;
const OFFLINE = "/offline";
const PAGES = ["/", "/admin", "/recordings", "/shared"];
const kept = new Set(SHELL);

async function fill() {
	const cache = await caches.open(CACHE);
	await cache.addAll(SHELL.map((path) => new Request(path, { cache: "no-cache", credentials: "omit" })));
	await skipWaiting();
}

async function clear() {
	const names = await caches.keys();
	await Promise.all(names.filter((name) => name.startsWith("terrarium-") && name !== CACHE).map((name) => caches.delete(name)));
	await clients.claim();
}

const from_cache = async (path, request) => await (await caches.open(CACHE)).match(path) ?? fetch(request);

addEventListener("install", (event) => event.waitUntil(fill()));
addEventListener("activate", (event) => event.waitUntil(clear()));
addEventListener("fetch", (event) => {
	const { request } = event, url = new URL(request.url);
	if (request.method !== "GET" || url.origin !== location.origin)
		return;
	if (request.mode === "navigate" && PAGES.includes(url.pathname))
		event.respondWith(fetch(request).catch(() => from_cache(OFFLINE, request)));
	else if (kept.has(url.pathname) && url.search === "")
		event.respondWith(from_cache(url.pathname, request));
});
