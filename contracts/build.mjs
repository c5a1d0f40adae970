// Compiles contracts/src and contracts/test with the pinned compiler and writes ABI and bytecode as JSON, one file each:
// those of src into the package protocol/ledger/contracts, those of test beside the tests. `--check` writes nothing and
// fails if a committed file is another.
import { readFileSync, readdirSync, writeFileSync, mkdirSync, existsSync, rmSync } from "node:fs";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const solc = require("solc");
const targets = { src: join(here, "../protocol/ledger/contracts"), test: join(here, "../tests/contracts/artifacts") };
const check = process.argv.includes("--check");

const sources = {};
for (const folder of Object.keys(targets))
  for (const name of readdirSync(join(here, folder)).sort())
    if (name.endsWith(".sol")) sources[`${folder}/${name}`] = { content: readFileSync(join(here, folder, name), "utf8") };

// How often the optimizer expects code to run: often is cheap and long. Registry would be longer than a contract may be.
const OFTEN = 1000;
const SHORT = { "src/Registry.sol": 200 };
const wanted = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"];
const compiled = (runs, files) => {
  const settings = {
    evmVersion: "cancun",
    viaIR: true,
    optimizer: { enabled: true, runs },
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: Object.fromEntries(files.map((file) => [file, { "*": wanted }])),
  };
  const input = { language: "Solidity", sources, settings };
  return JSON.parse(solc.compile(JSON.stringify(input), { import: found }));
};
const found = (path) => {
  try {
    return { contents: readFileSync(join(here, "node_modules", path), "utf8") };
  } catch (error) {
    return { error: String(error) };
  }
};
const outputs = [
  compiled(OFTEN, Object.keys(sources).filter((file) => !(file in SHORT))),
  ...Object.entries(SHORT).map(([file, runs]) => compiled(runs, [file])),
];
const contractsOf = outputs.flatMap((output) => Object.entries(output.contracts ?? {}));
const problems = outputs.flatMap((output) => output.errors ?? []).filter(
  (one) => one.severity === "error" || !one.sourceLocation?.file.startsWith("@"), // warnings of libraries are theirs
);
for (const one of problems) console.error(one.formattedMessage);
if (problems.length) process.exit(1);

let different = 0;
const keep = { src: new Set(), test: new Set() };
for (const [file, contracts] of contractsOf) {
  const folder = file.split("/")[0];
  if (!(folder in targets)) continue;
  for (const [name, contract] of Object.entries(contracts)) {
    const code = contract.evm.bytecode.object;
    const size = contract.evm.deployedBytecode.object.length / 2;
    if (!code || (size < 100 && folder === "src")) continue; // interfaces, abstract contracts, libraries that are inlined
    if (!check) console.error(`${name}: ${size} bytes`);
    if (size > 24576) {
      console.error(`${name} has ${size} bytes; a contract has at most 24576`);
      process.exitCode = 1;
    }
    const text = JSON.stringify({ name, compiler: solc.version(), abi: contract.abi, bytecode: `0x${code}` }) + "\n";
    const path = join(targets[folder], `${name}.json`);
    keep[folder].add(`${name}.json`);
    if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
    different += 1;
    if (check) console.error(`${path} is not what the sources compile to`);
    else {
      mkdirSync(targets[folder], { recursive: true });
      writeFileSync(path, text);
    }
  }
}
for (const [folder, path] of Object.entries(targets))
  for (const name of existsSync(path) ? readdirSync(path) : [])
    if (name.endsWith(".json") && !keep[folder].has(name)) {
      different += 1;
      if (check) console.error(`${join(path, name)} has no source`);
      else rmSync(join(path, name));
    }
// What was compiled, so that a stale artifact is noticed without a compiler.
const sums = Object.entries(sources)
  .map(([name, one]) => `${createHash("sha256").update(one.content).digest("hex")}  ${name}\n`)
  .join("");
if (!check) writeFileSync(join(here, "sources.sha256"), sums);
else if (readFileSync(join(here, "sources.sha256"), "utf8") !== sums) different += 1;
if (check && different) process.exit(1);
