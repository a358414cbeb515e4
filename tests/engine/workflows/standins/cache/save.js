const fs = require("fs");
const path = require("path");
const store = require("./store.js");

const key = process.env.STATE_key || process.env.INPUT_KEY;
const target = path.join(store.own, encodeURIComponent(key));
if (process.env.STATE_hit === "true" || fs.existsSync(target)) {
  console.log(`Cache hit occurred on the primary key ${key}, not saving cache.`);
} else if (!store.paths.some((name) => fs.existsSync(name))) {
  console.log("Path Validation Error: Path(s) specified in the action for caching do(es) not exist");
} else {
  fs.mkdirSync(target, { recursive: true });
  store.paths.forEach((name, at) => store.copy(path.resolve(name), path.join(target, String(at))));
  console.log(`Cache saved with key: ${key}`);
}
