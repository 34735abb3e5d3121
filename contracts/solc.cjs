#!/usr/bin/env node
// What forge takes for a solc program: the npm compiler (WebAssembly) behind `--version` and `--standard-json`.
const fs = require("fs");
const path = require("path");
const solc = require(path.join(__dirname, "lib", "packages", "solc"));
if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else {
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8")));
}
