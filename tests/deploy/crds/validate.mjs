// Holds the Prometheus operator's kinds against their own definitions: a JSON list of objects on
// stdin, mistakes on stdout, a line each.
//
// The package's validators know types and patterns and let unknown fields pass; its TypeScript
// declarations, made from the same definitions, do not. So each object goes through both.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as kinds from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import ts from "typescript";

const here = dirname(fileURLToPath(import.meta.url));
const objects = JSON.parse(readFileSync(0, "utf8"));
const mistakes = [];

for (const object of objects) {
  const Kind = kinds[object.kind];
  if (!Kind) {
    mistakes.push(`there is no kind ${object.kind}`);
    continue;
  }
  try {
    new Kind(object).validate();
  } catch (error) {
    mistakes.push(`${object.kind} ${object.metadata.name}: ${error.message}`);
  }
}

// A module that claims each object to be of its kind; beside node_modules, where types are found.
const directory = mkdtempSync(join(here, "typed-"));
try {
  const file = join(directory, "objects.ts");
  const lines = objects.map(
    (object, number) =>
      `import type { I${object.kind} as Kind${number} } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";\n` +
      `export const object${number}: Kind${number} = ${JSON.stringify(object)};\n`,
  );
  writeFileSync(file, lines.join(""));
  const program = ts.createProgram([file], {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    types: [],
  });
  for (const found of ts.getPreEmitDiagnostics(program)) {
    mistakes.push(ts.flattenDiagnosticMessageText(found.messageText, "; "));
  }
} finally {
  rmSync(directory, { recursive: true });
}

for (const mistake of mistakes) {
  console.log(mistake);
}
