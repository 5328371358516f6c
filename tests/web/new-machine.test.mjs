// SPDX-License-Identifier: Apache-2.0
/* The form for a new machine: what it means, and whose fault an answer is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { field_of, free_name, memory_words, spec_of } from "../../web/new-machine-form.js";
import { choose_machine, which } from "../../web/which.js";

const FORM = { name: " den ", image: "micro", cpus: "2", memory: "268435456", network: "nat", driver: "auto", confidential: "none", recipe: "", packages: "", script: "" };
const PLAIN = { name: "den", image: "micro", cpus: 2, memory: 268435456, network: "nat" };

test("a form says what was chosen and leaves out what was not", () => {
	assert.deepEqual(spec_of(FORM), PLAIN);
	assert.deepEqual(spec_of({ ...FORM, driver: "qemu", confidential: "snp" }), { ...PLAIN, driver: "qemu", confidential: "snp" });
	assert.deepEqual(spec_of({ ...FORM, packages: "git, vim\npython3", script: "#!/bin/sh\n" }), { ...PLAIN, packages: ["git", "vim", "python3"], script: "#!/bin/sh\n" });
	assert.deepEqual(spec_of({ ...FORM, home: "*", disk: "1073741824", data: "" }), { ...PLAIN, home: true, disk: 2 ** 30 });
	assert.deepEqual(spec_of({ ...FORM, home: "work" }), { ...PLAIN, home: "work" });
	/* What was taken out of a recipe is said, or the recipe would put it back. */
	assert.deepEqual(spec_of({ ...FORM, recipe: "web" }), { ...PLAIN, recipe: "web", packages: [], script: "" });
});

test("an answer is told at the field that it is about", () => {
	assert.equal(field_of({ code: "bad_spec", detail: "memory must be a multiple of 1 MiB (1048576 bytes)." }), "memory");
	assert.equal(field_of({ code: "bad_spec", detail: "unknown member \"x\"" }), null);
	assert.equal(field_of({ code: "quota", field: "cpus", detail: "this machine needs 4 processors; your others have 0, and you may have 2 in all." }), "cpus");
	assert.equal(field_of({ code: "quota", field: "data", detail: "data: this needs 1024 MiB of disk; you have 32 already, and may have 160 in all." }), "data");
	assert.equal(field_of({ code: "quota", field: "size", detail: "size: this needs 1024 MiB of disk." }), null);
	assert.equal(field_of({ code: "not_possible", detail: "home: the volume home is in use by den." }), "home");
	assert.equal(field_of({ code: "vm_exists", detail: "you have 3 of 3 machines." }), null);
});

test("names that are free, sizes in words", () => {
	assert.equal(free_name([]), "terrarium");
	assert.equal(free_name(["terrarium", "terrarium-2", "x"]), "terrarium-3");
	assert.equal(memory_words(268435456), "256 MiB");
	assert.equal(memory_words(1.5 * 2 ** 30), "1.5 GiB");
});

test("the page's machine: by id, by name, else the oldest; none when the last was deleted", () => {
	const machines = [{ id: "aa", name: "one" }, { id: "bb", name: "two" }, { id: "cc", name: "aa" }];
	assert.deepEqual(which("?machine=bb"), { wanted: "bb", none: false });
	assert.deepEqual(which("?machine="), { wanted: "", none: true });
	assert.deepEqual(which(""), { wanted: "", none: false });
	assert.equal(choose_machine(machines, "bb").id, "bb");
	assert.equal(choose_machine(machines, "two").id, "bb");
	assert.equal(choose_machine(machines, "aa").id, "aa");
	assert.equal(choose_machine(machines, "gone").id, "aa");
	assert.equal(choose_machine([], "gone"), null);
});
