// SPDX-License-Identifier: Apache-2.0
/* tests/run/88-openapi.sh: PORT STATE_DIR */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Person, until } from "./client.mjs";

const packages = createRequire(new URL("../web/package.json", import.meta.url));
const YAML = packages("yaml"), Ajv = packages("ajv/dist/2020").default, formats = packages("ajv-formats").default;
const { Validator } = await import(packages.resolve("@seriousme/openapi-schema-validator"));
const [port, state] = process.argv.slice(2);
const ok = (what) => console.log(`ok: ${what}`);
process.on("exit", () => faults.length && console.log(faults.join("\n")));
const api = YAML.parse(readFileSync("docs/openapi.yaml", "utf8"));

/* --- the document --- */
const sound = await new Validator().validate(structuredClone(api));
assert.ok(sound.valid, JSON.stringify(sound.errors, null, 1));
const methods = ["get", "put", "post", "patch", "delete"];
const operations = Object.entries(api.paths).flatMap(([path, item]) => methods.filter((m) => item[m]).map((m) => ({ path, method: m, ...item[m] })));
assert.equal(new Set(operations.map((o) => o.operationId)).size, operations.length, "an operationId comes twice");
ok("a sound OpenAPI 3.1 document");

/* --- the same routes, roles and scopes as gateway/api.c --- */
const table = readFileSync("gateway/api.c", "utf8").split("routes[] = {")[1].split("{ 0 }")[0];
const there = new Map();
for (const [, method, path] of table.matchAll(/ANY\((\w+), "([^"]+)"/g))
	there.set(`${method} ${path}`, "nobody");
for (const [, role, method, path, scope] of table.matchAll(/FOR\((\w+), (\w+), "([^"]+)", \w+, (\w+)\)/g))
	there.set(`${method} ${path}`, `${role} ${scope}`.toLowerCase());
for (const [, method, path, role, scope] of table.matchAll(/\.method = HTTP_(\w+), \.path = "([^"]+)"[^}]*\.role = ROLE_(\w+),\s*\.scope = SCOPE_(\w+)/g))
	there.set(`${method} ${path}`, `${role} ${scope}`.toLowerCase());
assert.equal(there.size, table.match(/"\/[^"]*"/g).length, "a route that this test cannot read");
const scope_word = { any: "all", session: "none" };
const described = new Map(operations.map((o) => [`${o.method.toUpperCase()} ${o.path}`,
	o["x-terrarium-role"] === "nobody" ? "nobody" : `${o["x-terrarium-role"]} ${scope_word[o["x-terrarium-scope"]] ?? o["x-terrarium-scope"]}`]));
assert.deepEqual([...described].sort(), [...there].sort());
for (const o of operations) {
	const bearer = o.security.some((way) => "bearer" in way), write = o.method !== "get";
	assert.equal(bearer, !["nobody"].includes(o["x-terrarium-role"]) && o["x-terrarium-scope"] !== "session", `${o.operationId}: bearer`);
	if (write)
		assert.ok(o.security.some((way) => "origin" in way && "marker" in way), `${o.operationId}: Origin and X-Terrarium`);
}
ok(`${there.size} routes, their roles and scopes: as in the gateway`);

/* --- the same codes of errors, each at its status --- */
const sources = readdirSync("gateway").filter((name) => /^(api.*|http|fileop)\.c$/.test(name)).map((name) => readFileSync(`gateway/${name}`, "utf8")).join("\n");
const raised = new Set([...sources.matchAll(/\b([45]\d\d),\s*"([a-z_]+)"/g)].map(([, status, code]) => `${status} ${code}`));
const told = new Set(operations.flatMap((o) => Object.entries(o.responses)).filter(([status]) => /^[45]\d\d$/.test(status))
	.flatMap(([status, { description }]) => (description.match(/`\w+`/g) ?? []).map((code) => `${status} ${code.slice(1, -1)}`)));
for (const [, codes, status] of api.components.responses.Problem.description.matchAll(/((?:`\w+`, )*`\w+`) \((\d+)\)/g))
	for (const code of codes.match(/\w+/g))
		told.add(`${status} ${code}`);
const members = ["vm", "current", "offset"]; /* what else stands in backquotes */
assert.deepEqual([...raised].filter((code) => !told.has(code)), [], "codes that the description leaves out");
assert.deepEqual([...told].filter((code) => !raised.has(code) && !members.includes(code.slice(4))), [], "codes that the gateway does not have");
ok(`${raised.size} codes of errors`);

/* --- real answers --- */
const ajv = new Ajv({ strict: false, allErrors: true });
formats(ajv);
ajv.addSchema({ $id: "api", components: api.components });
const compiled = new Map();
function check_schema(schema, value, what) {
	const key = JSON.stringify(schema);
	if (!compiled.has(key))
		compiled.set(key, ajv.compile(JSON.parse(key.replaceAll('"$ref":"#/', '"$ref":"api#/'))));
	const fits = compiled.get(key);
	if (!fits(value))
		faults.push(`${what}: ${ajv.errorsText(fits.errors)}\n${JSON.stringify(value).slice(0, 1500)}`);
}
const find = (ref) => ref.split("/").slice(1).reduce((at, name) => at[name.replaceAll("~1", "/")], api);
const by_id = Object.fromEntries(operations.map((o) => [o.operationId, o]));
const common = new Set(find("#/components/responses/Problem").description.match(/`(\w+)`/g));
const asked = new Set(), faults = []; /* all that differs is told at the end */

/* Call an operation as the description says, and hold the answer against it. */
async function call(who, id, { at = "", name = "", query = "", body, headers, status } = {}) {
	const o = by_id[id], path = o.path.replace("{id}", encodeURIComponent(at)).replace("{name}", name);
	const r = await who.raw(o.method.toUpperCase(), path + (query && `?${query}`), body, headers);
	const what = `${id} ${r.status} ${r.text.slice(0, 300)}`;
	assert.ok(status ? r.status === status : r.status < 400, what);
	const said = o.responses[r.status] ?? o.responses.default, answer = said.$ref ? find(said.$ref) : said;
	if (r.status < 400) {
		if (!o.responses[r.status])
			faults.push(`${what}: this answer is not described`);
		asked.add(id);
	}
	const type = r.type.split(";")[0];
	if (!answer.content) {
		assert.equal(r.text, "", what);
		return r;
	}
	if (!answer.content[type])
		faults.push(`${what}: ${type} is not described`);
	if (!type.endsWith("json") || !answer.content[type])
		return r;
	const json = JSON.parse(r.text);
	check_schema(answer.content[type].schema, json, what);
	if (r.status >= 400) {
		const codes = o.responses[r.status]?.description.match(/`\w+`/g) ?? [];
		if (!codes.includes(`\`${json.code}\``) && !common.has(`\`${json.code}\``))
			faults.push(`${what}: this code is not described`);
		assert.equal(json.status, r.status);
	} else if (body && !(body instanceof Uint8Array) && o.requestBody) {
		check_schema(o.requestBody.content["application/json"].schema, body, `the body of ${id}`);
	}
	return json;
}
Person.prototype.raw = async function (method, path, body, headers = {}) {
	const bytes = body instanceof Uint8Array;
	const h = { ...(this.bearer ? { Authorization: `Bearer ${this.bearer}` } : this.cookie && { Cookie: this.cookie }), ...headers };
	if (method !== "GET" && !this.bearer)
		Object.assign(h, { Origin: this.origin, "X-Terrarium": "1" });
	if (body)
		h["Content-Type"] = bytes ? "application/octet-stream" : "application/json";
	const r = await fetch(`${this.origin}${path}`, { method, headers: h, redirect: "manual", body: bytes ? body : body && JSON.stringify(body), signal: AbortSignal.timeout(10000) });
	return { status: r.status, type: r.headers.get("content-type") ?? "", text: await r.text(), headers: r.headers };
};

const nobody = new Person(port), ann = await new Person(port).sign_in(state, "ann@example.org"), bob = await new Person(port).sign_in(state, "bob@example.org");
await call(nobody, "health");
await call(nobody, "ready");
await call(nobody, "metrics");
await call(nobody, "getSession", { status: 401 });
await call(nobody, "attach", { status: 426 });
await call(nobody, "listVms", { status: 401 });
await call(nobody, "signInByLink", { body: { provider: "demo", token: "0".repeat(64) }, status: 403 });
await call(nobody, "beginSignIn", { body: { provider: "nobody" }, status: 400 });
await call(nobody, "askForAccess", { body: { reason: "please" }, status: 404 });
await call(ann, "getSession");
await call(ann, "getHost");
await call(ann, "getSettings");
await call(ann, "putSettings", { body: { theme: "dark" } });
ok("the server, sessions, settings");

await call(ann, "listRecipes");
for (const [wish, said] of [[{ recipe: "jungle" }, /^recipe /], [{ packages: ["a b"] }, /^packages\[0\] /], [{ packages: ["curl"] }, /^packages: /], [{ script: "\u001b" }, /^script /]])
	assert.match((await call(ann, "createVm", { body: { name: "greenhouse", ...wish }, status: 400 })).detail, said);
const vm = await call(ann, "createVm", { body: { name: "greenhouse", recipe: "custom", script: "echo $((6 * 7)); exit 3" } });
await call(ann, "createVm", { body: { name: "orangery" }, status: 409 });
await call(ann, "createVm", { body: { name: "NO" }, status: 400 });
await until("the agent", async () => (await call(ann, "getVm", { at: vm.id })).agent === "ready");
assert.equal((await call(ann, "listVms")).items.length, 1);
await call(ann, "listVms", { query: "limit=0", status: 400 });
await call(bob, "getVm", { at: vm.id, status: 404 });
await call(ann, "getBootLog", { at: vm.id });
await call(ann, "getEvidence", { at: vm.id, status: 404 });
await call(ann, "startVm", { at: vm.id, status: 409 });
ok("machines");

const setup = await until("the script", async () => (await call(ann, "getVm", { at: vm.id })).setup, 10000).then(() =>
	until("the script's end", async () => { const s = await call(ann, "getSetup", { at: vm.id }); return s.state === "failed" && s; }));
assert.deepEqual([setup.code, setup.lines, setup.log, setup.recipe], [3, ["42"], "42\n", "custom"]);
await call(ann, "repeatSetup", { at: vm.id });
await until("its second end", async () => (await call(ann, "getVm", { at: vm.id })).setup.state === "failed");
await call(bob, "getSetup", { at: vm.id, status: 404 });
ok("a script for the first boot, and its end");
assert.deepEqual((await call(ann, "listSecrets", { at: vm.id })).items, []);
await call(ann, "setSecret", { at: vm.id, name: "key", body: Buffer.from("x"), status: 403 }); /* a process of the host */
await call(ann, "setSecret", { at: vm.id, name: ".key", body: Buffer.from("x"), status: 400 });
await call(ann, "dropSecret", { at: vm.id, name: "key", status: 404 });

const shell = await call(ann, "openStream", { at: vm.id, body: { kind: "shell", name: "one" } });
await call(ann, "openStream", { at: vm.id, body: { kind: "exec", argv: ["true"] } });
await call(ann, "openStream", { at: vm.id, body: { kind: "moss" }, status: 400 });
await call(ann, "listStreams", { at: vm.id });
await call(ann, "listStreams", { at: vm.id, query: "kind=exec" });
await call(ann, "getStream", { at: shell.id });
await call(ann, "editStream", { at: shell.id, body: { name: "two", position: 1 } });
await call(ann, "editStream", { at: `${vm.id}.console`, body: { name: "x" }, status: 409 });
await call(ann, "makeTicket", { at: shell.id, body: { role: "viewer" } });
const terminal = await ann.attach(`${vm.id}.console`);
assert.equal((await call(ann, "listLive")).items.length, 1);
ok("terminals");

const dir = encodeURIComponent(`${state}/files`), file = `path=${dir}%2Fa.txt`;
await call(ann, "makeDirectory", { at: vm.id, query: `path=${dir}`, body: { mode: "0755" } });
await call(ann, "uploadPiece", { at: vm.id, query: `${file}&upload=abcdefgh&offset=0&total=6`, body: Buffer.from("abc") });
await call(ann, "getUpload", { at: vm.id, query: `${file}&upload=abcdefgh` });
await call(ann, "uploadPiece", { at: vm.id, query: `${file}&upload=abcdefgh&offset=3&total=6`, body: Buffer.from("def"), status: 201 });
await call(ann, "listFiles", { at: vm.id, query: `path=${dir}` });
await call(ann, "listFiles", { at: vm.id, query: file });
await call(ann, "listFiles", { at: vm.id, query: `path=${dir}%2Fnone`, status: 404 });
assert.equal((await call(ann, "download", { at: vm.id, query: file })).text, "abcdef");
assert.equal((await call(ann, "download", { at: vm.id, query: file, headers: { Range: "bytes=1-2" }, status: 206 })).text, "bc");
await call(ann, "download", { at: vm.id, query: file, headers: { Range: "bytes=99-" }, status: 416 });
await call(ann, "rename", { at: vm.id, query: file, body: { to: `${state}/files/b.txt` } });
await call(ann, "dropUpload", { at: vm.id, query: `${file}&upload=abcdefgh` });
await call(ann, "deleteFile", { at: vm.id, query: `path=${dir}`, status: 409 });
await call(ann, "deleteFile", { at: vm.id, query: `path=${dir}%2Fb.txt` });
ok("files");

const share = await call(ann, "makeShare", { at: shell.id, body: { role: "viewer", expires_in_s: 600 } });
const secret = share.url.split("#share=")[1];
await call(ann, "listShares", { at: shell.id });
await call(bob, "redeemShare", { body: { secret } });
await call(bob, "redeemShare", { body: { secret: "0".repeat(64) }, status: 403 });
await call(bob, "makeSharedTicket", { at: share.id, body: { secret } });
await call(ann, "changeShare", { at: share.id, body: { role: "controller" } });
await call(ann, "removeViewer", { at: 1, status: 404 });
await call(ann, "dropShare", { at: share.id });

const recording = await call(ann, "startRecording", { at: shell.id });
await call(ann, "startRecording", { at: shell.id, status: 409 });
await call(ann, "listRecordings");
await call(ann, "stopRecording", { at: shell.id });
await call(ann, "getRecording", { at: recording.id });
await call(ann, "getRecordingContent", { at: recording.id });
await call(ann, "renameRecording", { at: recording.id, body: { name: "first" } });
await call(ann, "listAllRecordings", { query: "owner=ann%40example.org" });
await call(ann, "getAnyRecording", { at: recording.id });
await call(ann, "watchAnyRecording", { at: recording.id });
await call(bob, "listAllRecordings", { status: 403 });
await call(ann, "deleteRecording", { at: recording.id });
const volume = await call(ann, "makeVolume", { body: { name: "seeds", size: 16 << 20 } });
await call(ann, "makeVolume", { body: { name: "seeds", size: 16 << 20 }, status: 409 });
await call(ann, "makeVolume", { body: { name: "seeds" }, status: 400 });
await until("the volume", async () => (await call(ann, "getVolume", { at: "seeds" })).state === "ready");
await call(ann, "growVolume", { at: volume.id, body: { size: 20 << 20 } });
await until("the volume", async () => (await call(ann, "getVolume", { at: volume.id })).state === "ready");
await call(ann, "listVolumes", { query: "limit=1" });
await call(bob, "getVolume", { at: volume.id, status: 404 });
await call(ann, "deleteVolume", { at: volume.id });
ok("shares and recordings");

await call(ann, "putRule", { body: { pattern: "carl@example.org", effect: "allow", quota: { machines: 2, networks: ["nat"] }, note: "gardener" } });
await call(ann, "putRule", { body: { pattern: "carl@example.org", effect: "deny" }, headers: { "If-None-Match": "*" }, status: 409 });
await call(ann, "putRule", { body: { pattern: "carl@example.org", moss: 1 }, status: 422 });
await call(ann, "getRule", { at: "carl@example.org" });
await call(ann, "listRules");
await call(bob, "listRules", { status: 403 });
await call(ann, "importRules", { body: { csv: "pattern,effect\ndora@example.org,allow\n", dry_run: true } });
await call(ann, "exportRules");
await call(ann, "why", { query: "email=carl%40example.org" });
await call(ann, "deleteRule", { at: "carl@example.org" });
await call(ann, "invite", { body: { email: "eve@example.org", note: "welcome" } });
await call(ann, "listInvitations");
await call(ann, "dropInvitation", { at: "eve@example.org" });
await call(ann, "listAccessRequests");
await call(ann, "approve", { at: "eve@example.org", status: 404 });
await call(ann, "listUsers");
await call(ann, "listAllVms");
await call(ann, "makeWatchTicket", { at: `${vm.id}.console`, body: {} });
await call(ann, "getCapacity");
await call(ann, "listAudit", { query: "limit=200" });
await call(ann, "exportAudit");
await call(ann, "verifyAudit");
ok("administration");

const token = await call(ann, "makeToken", { body: { name: "ci", scopes: ["vm"] } });
await call(ann, "listTokens");
const script = Object.assign(new Person(port), { bearer: token.token });
await call(script, "listVms");
await call(script, "listTokens", { status: 403 });
await call(script, "listAudit", { status: 403 });
await call(ann, "dropToken", { at: token.id });
await call(ann, "rotateKey");
ok("tokens");

await terminal.close();
await call(ann, "closeStream", { at: shell.id });
await call(ann, "stopVm", { at: vm.id, body: { force: true } });
await ann.wait_state(vm.id, "stopped");
await call(ann, "startVm", { at: vm.id });
await ann.wait_state(vm.id, "ready");
await call(ann, "restartVm", { at: vm.id });
await ann.wait_state(vm.id, "ready");
await call(ann, "stopAnyVm", { at: vm.id });
await ann.wait_state(vm.id, "stopped");
await call(ann, "resizeVm", { at: vm.id, body: { cpus: 2 } });
await call(ann, "deleteVm", { at: vm.id });
await call(ann, "kick", { at: "bob@example.org" });
await call(ann, "signOut");
assert.equal(faults.join("\n"), "");
const rest = operations.filter((o) => !asked.has(o.operationId)).map((o) => o.operationId);
ok(`answers of ${asked.size} operations are as described; not asked with success: ${rest.join(" ")}`);
