const path = require("path");
const store = require("./store.js");

const found = store.find();
if (found) {
  store.paths.forEach((name, at) => store.copy(path.join(found.folder, String(at)), path.resolve(name)));
  console.log(`Cache restored from key: ${found.name}`);
} else {
  console.log(`Cache not found for key: ${store.key}`);
}
store.output("GITHUB_OUTPUT", "cache-hit", Boolean(found && found.name === store.key));
store.output("GITHUB_OUTPUT", "cache-primary-key", store.key);
store.output("GITHUB_OUTPUT", "cache-matched-key", found ? found.name : "");
store.output("GITHUB_STATE", "key", store.key);
store.output("GITHUB_STATE", "hit", Boolean(found && found.name === store.key));
