// Lints ../openapi.yaml (Redocly; rules in redocly.yaml) and ../asyncapi.yaml
// (the AsyncAPI parser's own rules). Exits with 1 at the first warning or error:
// what may stay is written in redocly.yaml or in `accepted` below, with the reason.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Parser } from "@asyncapi/parser";

const here = fileURLToPath(new URL(".", import.meta.url));

function lintOpenAPI() {
  const cli = createRequire(import.meta.url).resolve("@redocly/cli/bin/cli.js");
  const run = spawnSync(process.execPath, [cli, "lint", "../openapi.yaml", "--config", "redocly.yaml", "--max-problems", "1000"], {
    cwd: here,
    encoding: "utf8",
    // No word leaves the machine.
    env: { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true", NO_COLOR: "1" },
  });
  const said = run.stdout + run.stderr;
  const clean = run.status === 0 && !/You have \d+ warning/.test(said);
  if (!clean) console.error(said);
  return clean;
}

async function lintAsyncAPI() {
  // accepted: code of a diagnostic -> why it may stay.
  const accepted = new Map([
    ["asyncapi-latest-version", "3.0 is what tools read"],
  ]);
  const text = await readFile(new URL("../asyncapi.yaml", import.meta.url), "utf8");
  const { document, diagnostics } = await new Parser().parse(text, { source: here + "../asyncapi.yaml" });
  const left = diagnostics.filter((d) => !accepted.has(d.code));
  for (const d of left) {
    console.error(`asyncapi.yaml:${d.range.start.line + 1}: ${d.code}: ${d.message} (${d.path.join(".")})`);
  }
  if (!document) console.error("asyncapi.yaml: not a document");
  return Boolean(document) && left.length === 0;
}

const clean = [lintOpenAPI(), await lintAsyncAPI()];
if (clean.includes(false)) process.exit(1);
console.log("openapi.yaml and asyncapi.yaml: clean");
