// SPDX-License-Identifier: Apache-2.0
/*
 * A stand-in for AMD's key distribution service: node kds.mjs FOLDER LOG. It has one chip, the Genoa of tests/vectors/snp-pki; FOLDER holds
 * vcek.der, chain.pem and crl.der. Prints its port. A file FOLDER/status makes it answer with that status and the bytes of FOLDER/body.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";

const [folder, log] = process.argv.slice(2);
const hwid = Array.from({ length: 64 }, (_, i) => (i + 1).toString(16).padStart(2, "0")).join("");
const files = {
	[`/vcek/v1/Genoa/${hwid}?blSPL=10&teeSPL=00&snpSPL=23&ucodeSPL=84`]: "vcek.der",
	"/vcek/v1/Genoa/cert_chain": "chain.pem",
	"/vcek/v1/Genoa/crl": "crl.der",
};

createServer((request, response) => {
	appendFileSync(log, `${request.method} ${request.url}\n`);
	if (existsSync(`${folder}/status`)) {
		response.writeHead(Number(readFileSync(`${folder}/status`)));
		response.end(readFileSync(`${folder}/body`));
		return;
	}
	const file = request.method === "GET" && files[request.url];
	response.writeHead(file ? 200 : 404);
	response.end(file ? readFileSync(`${folder}/${file}`) : "not found");
}).listen(0, "127.0.0.1", function listening() {
	console.log(this.address().port);
});
