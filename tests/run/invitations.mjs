// SPDX-License-Identifier: Apache-2.0
/* tests/run/80-invitations.sh: `with-mail` and request_access, or `without`. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { assert, Control, no_secrets_in, ok, sleep, until, Visitor } from "./signin.mjs";
import { start_provider, CLIENT } from "./oidc_provider.mjs";

const { SMTPServer } = createRequire(new URL("../web/package.json", import.meta.url))("smtp-server");
const { PORT, IDP_PORT, SMTP_PORT, CONTROL, LOG, TERRARIUM } = process.env;
const ORIGIN = `http://localhost:${PORT}`, PASSWORD = "a mail password for tests";
const provider = await start_provider(Number(IDP_PORT), [`${ORIGIN}/auth/corp/callback`]);
const admin = new Control(CONTROL);
await until("corp to be ready", async () => (await new Visitor(PORT).call("GET", "/api/v1/session")).body.sign_in.some((p) => p.ready));

const t = (...args) => new Promise((resolve) => {
	const child = spawn(TERRARIUM, args, { stdio: ["ignore", "pipe", "pipe"] }), run = { out: "", err: "" };
	child.stdout.on("data", (d) => (run.out += d));
	child.stderr.on("data", (d) => (run.err += d));
	child.on("close", (code) => resolve({ code, ...run }));
});
const invite = (email, note) => admin.call("POST", "/api/v1/invitations", { email, ...(note && { note }) });
const pending = async (email) => (await admin.must("GET", "/api/v1/invitations")).items.find((i) => i.email === email);

if (process.argv[2] === "without") {
	const r = await t("user", "invite", "ann@example.org", "--note", "See you on Monday.");
	assert.equal(r.code, 0, r.err);
	assert.match(r.out, new RegExp(`^Hello,\n\nlocal invites you to Terrarium.*1\\. Open ${ORIGIN}\n2\\. Choose "corp"\\. Sign in as ann@example\\.org\\.\n.*See you on Monday`, "s"));
	assert.equal((await pending("ann@example.org")).mail, "none");
	ok("without a mail server, the text to copy");
	const v = new Visitor(PORT);
	const refused = await v.sign_in_at("corp", "zoe@example.net");
	assert.equal(refused.status, 403);
	assert.equal(refused.body.may_ask, undefined);
	assert.equal((await v.call("POST", "/api/v1/access-requests", {})).status, 404);
	ok("nobody may ask to be let in unless that is switched on");
	await provider.close();
	process.exit(0);
}

/* --- a mail server: takes most, refuses some --- */
const mails = [], logins = [];
const server = new SMTPServer({
	authOptional: false, disabledCommands: ["STARTTLS"], allowInsecureAuth: true, size: 100000,
	onAuth(auth, _, done) {
		logins.push(auth);
		done(auth.username === "door" && auth.password === PASSWORD ? null : new Error("bad login"), { user: auth.username });
	},
	onRcptTo(address, _, done) {
		done(address.address.startsWith("nobody@") ? Object.assign(new Error("no such user here"), { responseCode: 550 }) : null);
	},
	onData(stream, session, done) {
		let text = "";
		stream.on("data", (d) => (text += d));
		stream.on("end", () => (mails.push({ from: session.envelope.mailFrom.address, to: session.envelope.rcptTo.map((r) => r.address), text }), done()));
	},
});
await new Promise((resolve) => server.listen(Number(SMTP_PORT), "127.0.0.1", resolve));
/** Headers and decoded parts of a mail. */
function read(mail) {
	const [head, ...rest] = mail.text.split("\r\n\r\n"), boundary = /boundary="([^"]+)"/.exec(head)[1];
	const parts = rest.join("\r\n\r\n").split(`--${boundary}`).slice(1, -1).map((p) => {
		const [h, body] = p.split("\r\n\r\n");
		return { type: /Content-Type: ([^;]+)/.exec(h)[1], text: Buffer.from(body, "base64").toString() };
	});
	return { head, parts };
}

let r = await invite("Ann@Example.org", "Kaffee & Kuchen <dort>\r\n.\r\nQUIT");
assert.equal(r.status, 201, JSON.stringify(r.body));
assert.equal(r.body.mail, "sending");
assert.equal(r.body.rule_added, true);
assert.equal((await admin.must("GET", "/api/v1/rules/ann@example.org")).effect, "allow");
await until("the mail", () => mails.length === 1);
const { head, parts } = read(mails[0]);
assert.deepEqual([mails[0].from, mails[0].to], ["door@terrarium.example", ["ann@example.org"]]);
assert.match(head, /^From: Terrarium <door@terrarium\.example>\r\nTo: <ann@example\.org>\r\nSubject: You are invited to Terrarium\r\nDate: \w{3}, \d\d \w{3} \d{4} /);
assert.deepEqual(parts.map((p) => p.type), ["text/plain", "text/html"]);
assert.ok(parts[0].text.includes(`1. Open ${ORIGIN}\n2. Choose "corp". Sign in as ann@example.org.`));
assert.ok(parts[0].text.includes("Kaffee & Kuchen <dort>"));
assert.ok(parts[1].text.includes("Kaffee &amp; Kuchen &lt;dort&gt;") && parts[1].text.includes(`href="${ORIGIN}"`));
assert.ok(logins.every((l) => l.password === PASSWORD) && logins.length === 1);
await until("the list to say so", async () => (await pending("ann@example.org")).mail === "sent");
ok("an invitation goes out as text and HTML, signed in at a real mail server");

r = await invite("ann@example.org");
assert.equal(r.body.rule_added, false);
await until("the second mail", () => mails.length === 2);
ok("and again when asked");
for (const bad of ["ann@example.org\r\nBcc: all@example.org", "ann@example.org, bob@example.org", "Ann <ann@example.org>", "ann", ""])
	assert.equal((await invite(bad)).status, 400, bad);
await sleep(300);
assert.equal(mails.length, 2);
ok("no address smuggles in a header or a second recipient");

await invite("nobody@example.org");
const failed = await until("the refusal", async () => {
	const i = await pending("nobody@example.org");
	return i.mail === "failed" && i;
});
assert.match(failed.why, /550/);
assert.equal((await admin.audit("&action=invitation.failed"))[0].object, "nobody@example.org");
assert.match((await t("user", "invitations")).out, /nobody@example\.org .*failed .*550/);
ok("what the mail server refuses is shown, with its reason");
assert.equal((await admin.call("DELETE", "/api/v1/invitations/nobody@example.org")).status, 204);
assert.equal(await pending("nobody@example.org"), undefined);

await admin.must("POST", "/api/v1/rules", { pattern: "mallory@example.org", effect: "deny" });
r = await invite("mallory@example.org");
assert.equal(r.status, 409);
assert.equal(r.body.current.effect, "deny");
let limited = 0;
for (let i = 0; i < 7; i++)
	limited += (await invite("often@example.org")).status === 429;
assert.equal(limited, 2);
ok("whom a rule keeps out is not invited, and nobody is flooded");

const ann = new Visitor(PORT);
assert.equal((await ann.sign_in_at("corp", "ann@example.org")).status, 201);
assert.equal(await pending("ann@example.org"), undefined);
assert.equal((await ann.call("POST", "/api/v1/invitations", { email: "x@example.org" })).status, 403);
ok("whoever has come is no longer on the list of those who are waited for");

/* --- asking --- */
const refusals = [];
async function refused(email) {
	const v = new Visitor(PORT), got = await v.sign_in_at("corp", email);
	assert.equal(got.status, 403);
	assert.equal(got.body.may_ask, true);
	refusals.push(JSON.stringify(got.body));
	return v;
}
const zoe = await refused("zoe@example.net");
const stranger = new Visitor(PORT);
assert.equal((await stranger.call("POST", "/api/v1/access-requests", { reason: "let me in", secret: "0".repeat(64) })).status, 404);
r = await zoe.call("POST", "/api/v1/access-requests", { reason: "I am in the course of Monday" });
assert.equal(r.status, 202, JSON.stringify(r.body));
const answer = JSON.stringify(r.body);
assert.equal((await zoe.call("POST", "/api/v1/access-requests", {})).status, 404, "a sign-in is good for one request");
const asks = (await admin.must("GET", "/api/v1/access-requests")).items;
assert.equal(asks.length, 1);
assert.deepEqual([asks[0].email, asks[0].reason, asks[0].issuer], ["zoe@example.net", "I am in the course of Monday", `http://127.0.0.1:${IDP_PORT}`]);
const mallory = await refused("mallory@example.org");
r = await mallory.call("POST", "/api/v1/access-requests", { reason: "please" });
assert.deepEqual([r.status, JSON.stringify(r.body)], [202, answer]);
assert.equal((await admin.must("GET", "/api/v1/access-requests")).items.length, 1);
assert.equal(refusals[0], refusals[1]);
ok("a verified stranger asks; whom a rule keeps out gets the same answers, and is not heard");

assert.equal((await ann.call("GET", "/api/v1/access-requests")).status, 403);
assert.match((await t("user", "requests")).out, /zoe@example\.net .*course of Monday/);
assert.match((await t("user", "approve", "zoe@example.net")).out, /^let in/);
assert.equal((await admin.must("GET", "/api/v1/access-requests")).items.length, 0);
assert.equal((await admin.call("POST", "/api/v1/access-requests/zoe@example.net/approve")).status, 404);
assert.equal((await zoe.sign_in_at("corp", "zoe@example.net")).status, 201);
await until("a mail to zoe", () => mails.some((m) => m.to[0] === "zoe@example.net"));
ok("an administrator lets her in, she is told, and gets in");

const yan = await refused("yan@example.net");
assert.equal((await yan.call("POST", "/api/v1/access-requests", {})).status, 202);
assert.match((await t("user", "refuse", "yan@example.net")).out, /^refused/);
assert.equal((await yan.sign_in_at("corp", "yan@example.net")).status, 403);
assert.deepEqual((await admin.audit("&action=access.")).map((a) => a.action).reverse(), ["access.ask", "access.ask", "access.approve", "access.ask", "access.deny"]);
ok("or does not");

await new Promise((resolve) => server.close(resolve));
await invite("later@example.org");
const away = await until("the server to be found away", async () => {
	const i = await pending("later@example.org");
	return i.mail === "failed" && i;
});
assert.match(away.why, /connect/i);
ok("a mail server that is away is told of");
await no_secrets_in(LOG, admin, [CLIENT.secret, PASSWORD]);
await provider.close();
process.exit(0);
