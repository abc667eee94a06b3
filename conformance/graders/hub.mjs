// Grades the header parser of the npm package @huggingface/hub: node hub.mjs FILE
//
// Exit 0 = accepted, 1 = refused: its SafetensorParseError, or the TypeError or
// RangeError of a header that surprises it, which a caller sees as a refusal too.
// Any other error is exit 3. The package reads from a repository, so it is given
// a fetch that answers from FILE, byte ranges included; nothing goes over the
// network.

import { readFile } from "node:fs/promises";
import { parseSafetensorsMetadata } from "@huggingface/hub";

const bytes = await readFile(process.argv[2]);

async function fromFile(url, init) {
	const range = /^bytes=(\d+)-(\d*)$/.exec(new Headers(init?.headers).get("range") ?? "");
	const begin = range ? Number(range[1]) : 0;
	const end = Math.min(range?.[2] ? Number(range[2]) + 1 : bytes.length, bytes.length);
	const headers = {
		etag: '"file"',
		"content-length": String(Math.max(end - begin, 0)),
		"content-range": `bytes ${begin}-${end - 1}/${bytes.length}`,
		"x-linked-size": String(bytes.length),
	};
	return new Response(init?.method === "HEAD" ? null : bytes.subarray(begin, end), { status: range ? 206 : 200, headers });
}

try {
	await parseSafetensorsMetadata({ repo: "a/b", path: "file.safetensors", fetch: fromFile });
} catch (error) {
	console.error(error);
	process.exit(error?.name === "SafetensorParseError" || error instanceof TypeError || error instanceof RangeError ? 1 : 3);
}
