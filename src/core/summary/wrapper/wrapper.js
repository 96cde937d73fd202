// Runs the handleSummary of a user's script on given data, once, and writes down what came of it.
// In front of this stand: user (the script's exports), given (the data as JSON), answerFile.

import { b64encode } from "k6/encoding";

export default function () {}

export async function handleSummary() {
  return { [answerFile]: JSON.stringify(await answer()) };
}

async function answer() {
  if (!("handleSummary" in user)) {
    return { kind: "not_exported" };
  }
  const handle = user.handleSummary;
  if (typeof handle !== "function") {
    return invalid("exported identifier handleSummary must be a function");
  }
  let result;
  try {
    result = await handle(data());
  } catch (thrown) {
    return { kind: "threw", message: described(thrown) };
  }
  if (!result) {
    return { kind: "default" };
  }
  if (Object.prototype.toString.call(result) !== "[object Object]") {
    return invalid("handleSummary() should return a map with string keys");
  }
  const files = [];
  for (const [name, value] of Object.entries(result)) {
    const content = captured(value);
    if (content === null) {
      return invalid(`error handling summary object ${name}: it needs to be a string or ArrayBuffer`);
    }
    files.push([name, content]);
  }
  return { kind: "files", files };
}

function invalid(message) {
  return { kind: "invalid", message };
}

function data() {
  const parsed = JSON.parse(given);
  // k6 has this key also where setup() returned nothing, which JSON cannot say.
  if ("root_group" in parsed && !("setup_data" in parsed)) {
    parsed.setup_data = undefined;
  }
  return parsed;
}

function captured(value) {
  if (typeof value === "string") {
    // Half a surrogate pair is no text; k6 replaces it when it makes bytes of a string.
    return /\\ud[89a-f]/.test(JSON.stringify(value)) ? { base64: b64encode(value) } : { text: value };
  }
  if (value instanceof ArrayBuffer) {
    return { base64: b64encode(value) };
  }
  if (value instanceof Uint8Array || value instanceof Uint8ClampedArray) {
    return { base64: b64encode(value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength)) };
  }
  return null;
}

function described(thrown) {
  if (!(thrown instanceof Error) || !thrown.stack) {
    return String(thrown);
  }
  const lines = String(thrown.stack).split("\n");
  return lines.filter((line) => !line.includes("weir-handle-summary.js")).join("\n");
}
