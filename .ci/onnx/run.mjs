// Runs a model with ONNX Runtime: node run.mjs MODEL VALUES BATCH... The file VALUES holds
// float32 numbers, little-endian, for the model's one input, whose first dimension is free;
// batches of those sizes are taken from it, one after another, the last size again and
// again until nothing is left. Prints one line of JSON: {"inputs", "outputs", "values"},
// the values of the one output in the same order.
import { readFileSync } from "node:fs";
import ort from "onnxruntime-node";

const [model, file, ...batches] = process.argv.slice(2);
const session = await ort.InferenceSession.create(model);
const raw = readFileSync(file);
const values = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
const [input] = session.inputMetadata;
const rest = input.shape.slice(1);
const each = rest.reduce((product, size) => product * size, 1);
const all = [];
for (let first = 0, k = 0; first < values.length; k++) {
  const count = Math.min(Number(batches[Math.min(k, batches.length - 1)]), (values.length - first) / each);
  const tensor = new ort.Tensor("float32", values.slice(first, first + count * each), [count, ...rest]);
  const { [session.outputNames[0]]: out } = await session.run({ [input.name]: tensor });
  all.push(...out.data);
  first += count * each;
}
const named = ({ name, type, shape }) => ({ name, type, shape });
console.log(JSON.stringify({ inputs: session.inputMetadata.map(named), outputs: session.outputMetadata.map(named), values: all }));
