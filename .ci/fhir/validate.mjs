// Validates FHIR resources, one file each: node validate.mjs r4|r5 FILE... R5 by
// HL7's StructureDefinitions (npm package hl7.fhir.r5.core) with the validator of
// @atomic-ehr/fhirschema: elements, types, cardinalities; beside that, codes of
// required bindings are looked up in HL7's own value sets. R4 by the validator of npm
// package fhir. Prints one line of JSON a file: {"file", "errors"}.
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { translate, validate } from "@atomic-ehr/fhirschema";
import fhir from "fhir";

// Sets' methods of Node 22, which the validator uses, for Node 20.
for (const [name, keep] of Object.entries({ intersection: true, difference: false })) {
  Set.prototype[name] ??= function (other) {
    return new Set([...this].filter((item) => other.has(item) === keep));
  };
}

const { Fhir } = fhir;
const require = createRequire(import.meta.url);
const core = dirname(require.resolve("hl7.fhir.r5.core/package.json"));
const read = (name) => JSON.parse(readFileSync(join(core, name), "utf8"));

const definitions = {};
const translated = {};
for (const name of readdirSync(core)) {
  if (!name.startsWith("StructureDefinition-")) continue;
  const definition = read(name);
  if (definition.derivation === "constraint") continue; // profiles are not the base
  definitions[definition.type] = definition;
  translated[definition.type] = translate(definition);
}

// inherit adds to a type, and to the components in it, what they have from their
// base: the validator itself does not follow it.
const nameOf = (canonical) => canonical?.split("/").pop();
const inherit = (schema) => {
  const base = translated[nameOf(schema.base)] ?? translated[schema.type];
  const own = Object.entries(schema.elements ?? {}).map(([name, e]) => [name, e.elements ? inherit(e) : e]);
  const from = base && base !== schema ? inherit(base) : {};
  return {
    ...schema,
    elements: { ...from.elements, ...Object.fromEntries(own) },
    required: [...new Set([...(from.required ?? []), ...(schema.required ?? [])])],
  };
};
const primitive = (type) => definitions[type].kind === "primitive-type";
const schemas = {};
for (const [type, schema] of Object.entries(translated)) {
  schemas[type] = schemas[schema.url] = primitive(type) ? schema : inherit(schema);
}

// codesOf are the codes of a value set that lists whole code systems or codes.
const codesOf = (canonical) => {
  const id = canonical.split("|")[0].replace("http://hl7.org/fhir/ValueSet/", "");
  const codes = new Set();
  const walk = (concepts) => concepts?.forEach((c) => (codes.add(c.code), walk(c.concept)));
  for (const part of read(`ValueSet-${id}.json`).compose.include) {
    if (part.concept) walk(part.concept);
    else walk(read(`CodeSystem-${part.system.replace("http://hl7.org/fhir/", "")}.json`).concept);
  }
  return codes;
};

// bindings finds codes that a required binding does not have.
const bindings = (resource, errors) => {
  for (const element of definitions[resource.resourceType].snapshot.element) {
    if (element.binding?.strength !== "required" || element.type?.[0]?.code !== "code") continue;
    let values = [resource];
    for (const step of element.path.split(".").slice(1)) {
      values = values.flatMap((v) => v?.[step] ?? []);
    }
    for (const value of values) {
      if (element.path.endsWith(".language")) continue; // BCP 47, no list
      if (!codesOf(element.binding.valueSet).has(value)) errors.push({ path: element.path, message: `code ${value} is not in ${element.binding.valueSet}` });
    }
  }
};

// R4: the validator of npm package fhir, which has HL7's R4 profiles in it.
const validateR4 = (resource) =>
  new Fhir()
    .validate(resource, { errorOnUnexpected: true })
    .messages.filter((m) => m.severity === "error" || m.severity === "fatal")
    .map((m) => ({ path: m.location, message: m.message }));

const validateR5 = (resource) => {
  const { outcome } = validate(resource, schemas[resource.resourceType], schemas);
  const errors = outcome.issue.map((i) => ({ path: i.expression?.[0] ?? resource.resourceType, message: i.details?.text ?? i.code }));
  bindings(resource, errors);
  return errors;
};

const [release, ...files] = process.argv.slice(2);
for (const file of files) {
  const resource = JSON.parse(readFileSync(file, "utf8"));
  console.log(JSON.stringify({ file, errors: release === "r4" ? validateR4(resource) : validateR5(resource) }));
}
