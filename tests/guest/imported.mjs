// SPDX-License-Identifier: Apache-2.0
// What an imported image's machine is from inside: imported.mjs microvm|q35. Called by tests/run/55-image-import.sh, which has made the image.
import assert from "node:assert/strict";
import { Guest } from "./guest.mjs";

const guest = await Guest.boot(process.argv[2], ["terrarium.host=box"]);
const long = process.env.GUEST_LONG;
try {
	assert.equal(await guest.run("id"), "uid=1000(app) gid=1000(app) groups=1000(app),1001(extra)\n".replace("1000(app),1001", "1001"));
	assert.equal(await guest.run("pwd; echo $A; echo $USER $HOME $TERM"), "/app\na b\"c\napp /home/app xterm-256color\n");
	console.log("the console's shell is the image's user, in its directory, with its environment");
	assert.match(await guest.run("stat -c '%u %a' /dev/ttyS0"), /^1000 /);
	assert.match(await guest.run("echo x >/etc/passwd"), /denied/i);
	if (process.env.GUEST_ROOT) { // else all files are root's
		assert.equal(await guest.run("stat -c '%u:%g %a %h' /app/locked; cat /app/second-name; stat -c '%u %a' / /bin/program"), "1000:1000 400 2\nlocked\n0 755\n0 755\n");
		assert.equal(await guest.run(`cat /app/deep/${long}/file-whose-path-is-longer-than-a-hundred-bytes`), "deep\n");
		console.log("files have their owners, modes, names and links");
		let log;
		for (let i = 0; i < 40 && !/starting[^]*starting[^]*program/.test(log); i++)
			log = await guest.run("sleep 0.5; cat /var/log/entrypoint.log");
		assert.match(log, /starting \/bin\/program\nprogram one two three as 1000:1000 in \/app with A=a b"c\n.*failed with status 3; it is started again in 1 s\n.*starting/);
		console.log("its own program runs as it should, and again after a failure");
	}
	guest.qmp("system_powerdown");
	assert.equal(await guest.end(60_000), 0);
	console.log("the power button ends it");
} catch (error) {
	console.log(`FAILED: ${error.stack}\n--- console:\n${JSON.stringify(guest.log.slice(-4000))}`);
	guest.kill();
	process.exit(1);
}
