// SPDX-License-Identifier: Apache-2.0
//
// Checks values against Cloud Hypervisor's own OpenAPI file (openapi.json beside this one: version 53, without its descriptions). More
// strictly than the real server, which ignores what it does not know: a member without a place in the file is an error here.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const spec = JSON.parse(fs.readFileSync(path.join(__dirname, "openapi.json"), "utf8"));
const schemas = spec.components.schemas;

/* What the server does and the file does not say. */
schemas.NetConfig.properties.fds = { type: "array", items: { type: "integer" } };
schemas.VmmPingResponse.required = ["version", "build_version", "pid", "features"];

const LIMITS = { uint8: 255, int16: 32767, int64: Number.MAX_SAFE_INTEGER };

function isType(value, type) {
	switch (type) {
	case "integer": return Number.isInteger(value);
	case "number": return typeof value === "number";
	case "array": return Array.isArray(value);
	case "object": return value !== null && typeof value === "object" && !Array.isArray(value);
	default: return typeof value === type;
	}
}

function checkObject(value, schema, where, wrong) {
	for (const name of schema.required ?? [])
		if (!(name in value))
			wrong.push(`${where}: ${name} is missing`);
	for (const [name, member] of Object.entries(value)) {
		const rule = schema.properties?.[name] ?? schema.additionalProperties;
		if (!rule)
			wrong.push(`${where}: unknown member ${name}`);
		else if (member !== null) // an Option that is None
			check(member, rule, `${where}.${name}`, wrong);
	}
}

function check(value, rule, where, wrong) {
	const schema = rule.$ref ? schemas[rule.$ref.split("/").pop()] : rule;

	if (schema.type && !isType(value, schema.type)) {
		wrong.push(`${where}: ${JSON.stringify(value)} is no ${schema.type}`);
	} else if (schema.enum && !schema.enum.includes(value)) {
		wrong.push(`${where}: ${JSON.stringify(value)} is none of ${schema.enum}`);
	} else if (schema.type === "integer" && (value < (schema.minimum ?? 0) || value > (LIMITS[schema.format] ?? 4294967295))) {
		wrong.push(`${where}: ${value} is out of range`);
	} else if (schema.type === "array") {
		value.forEach((v, i) => check(v, schema.items, `${where}[${i}]`, wrong));
	} else if (schema.type === "object") {
		checkObject(value, schema, where, wrong);
	}
}

/* What is wrong with @value as the schema of that name: a list of sentences, empty when nothing is. */
exports.faults = (name, value) => {
	const wrong = [];
	check(value, schemas[name], name, wrong);
	return wrong;
};

/* The operation of a path: { method, body: name of a schema or null }, or null when there is none. */
exports.operation = (name) => {
	const methods = spec.paths[`/${name}`];
	if (!methods)
		return null;
	const [[method, operation]] = Object.entries(methods);
	const ref = operation.requestBody?.content["application/json"].schema.$ref;
	return { method: method.toUpperCase(), body: ref ? ref.split("/").pop() : null };
};
