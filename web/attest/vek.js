// SPDX-License-Identifier: Apache-2.0
/** What AMD writes into the certificate of a chip's or a cloud's key (extensions 1.3.6.1.4.1.3704.1). */
import * as der from "./der.js";
import { demand, Refusal } from "./refusal.js";

const AMD = "2b060104019c7801";
const LEVELS = { bl: "0301", tee: "0302", snp: "0303", ucode: "0308", fmc: "0309" };
const UNUSED = ["01", "0304", "0305", "0306", "0307"]; /* numbers too, but of nothing that is compared */

function exactly(bytes, read) {
	const value = new der.Der(bytes), result = read(value);
	value.end();
	return result;
}

function name_of(bytes) {
	const name = exactly(bytes, (value) => der.read_text(value, der.IA5_STRING));
	if (!/^[\x20-\x7e]{1,127}$/.test(name))
		throw new der.DerError("a name that cannot be printed");
	return name;
}

/** `{tcb, hwid, csp_id, product_name}`; what is absent is undefined. */
export function parse_vek({ extensions }) {
	const value = (arc) => extensions.get(AMD + arc)?.value;
	const tcb = {};
	try {
		for (const [part, arc] of Object.entries(LEVELS)) {
			if (value(arc))
				tcb[part] = exactly(value(arc), der.read_byte);
		}
		UNUSED.filter(value).forEach((arc) => exactly(value(arc), der.read_byte));
		const hwid = value("04"); /* raw bytes, without a header of their own */
		if (hwid && hwid.length !== 8 && hwid.length !== 64)
			throw new der.DerError("an id of a chip has 8 or 64 bytes");
		return { tcb, hwid, csp_id: value("05") && name_of(value("05")), product_name: value("02") && name_of(value("02")) };
	} catch {
		throw new Refusal("certificate", "an extension of the signing key is malformed");
	}
}

/** Refuses a certificate that lacks something for a key of this kind ("vcek", "vlek"), or has too much. */
export function check_vek(vek, kind, has_fmc) {
	for (const part of Object.keys(LEVELS)) {
		const wanted = part !== "fmc" || has_fmc;
		demand((part in vek.tcb) === wanted, "certificate",
			`the certificate of the signing key ${wanted ? "lacks" : "must not have"} the ${part} level of the TCB`);
	}
	if (kind === "vcek")
		demand(vek.hwid && !vek.csp_id, "signing-key", "a VCEK names a chip and no cloud provider; this certificate does otherwise");
	else
		demand(!vek.hwid && vek.csp_id, "signing-key", "a VLEK names a cloud provider and no chip; this certificate does otherwise");
}
