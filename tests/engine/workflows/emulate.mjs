// GitHub's REST API by emulate, for tests/engine/workflows/github_fake.py:
// node emulate.mjs FOLDER_OF_EMULATE PORT SEED, then "reset" on its input as often as wanted; it ends with its input.
import net from "node:net";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, port, seed] = process.argv.slice(2);
// emulate listens on every interface and has no option for it.
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (where, host, ...rest) {
  return listen.call(this, where, "127.0.0.1", ...rest);
};
const { createEmulator } = await import(pathToFileURL(`${folder}/dist/api.js`));
const github = await createEmulator({ service: "github", port: Number(port), seed: JSON.parse(seed) });
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "reset") {
    github.reset();
    console.log("ready");
  }
}
process.exit(0);
