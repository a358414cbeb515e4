const fs = require("fs");
const path = require("path");

const lines = (text) => (text || "").split("\n").map((line) => line.trim()).filter(Boolean);
const paths = lines(process.env.INPUT_PATH);
// A cache of other paths is another cache, whatever its key.
const version = require("crypto").createHash("sha256").update(paths.join("\n")).digest("hex").slice(0, 8);
const scope = (ref) => path.join(process.env.HARNESS_CACHES, ref.replace(/\//g, "_"), version);

exports.paths = paths;
exports.key = process.env.INPUT_KEY;
exports.own = scope(process.env.GITHUB_REF);
exports.copy = (from, to) => fs.existsSync(from) && fs.cpSync(from, to, { recursive: true });
exports.output = (file, name, value) => fs.appendFileSync(process.env[file], `${name}=${value}\n`);

// The newest copy whose name begins with one of the keys; the first key must fit whole. Own ref first, then main.
exports.find = () => {
  for (const folder of [exports.own, scope("refs/heads/main")]) {
    if (!fs.existsSync(folder)) continue;
    const names = fs.readdirSync(folder).map((name) => [fs.statSync(path.join(folder, name)).mtimeMs, name]);
    const newest = names.sort((a, b) => b[0] - a[0]).map((pair) => decodeURIComponent(pair[1]));
    const wanted = [(name) => name === exports.key, (name) => name.startsWith(exports.key)];
    wanted.push(...lines(process.env["INPUT_RESTORE-KEYS"]).map((start) => (name) => name.startsWith(start)));
    for (const fits of wanted) {
      const found = newest.find(fits);
      if (found) return { name: found, folder: path.join(folder, encodeURIComponent(found)) };
    }
  }
  return null;
};
