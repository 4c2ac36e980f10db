// PLUGIN_NAME: tools for a Sojourn agent. One JSON object a line comes in, one a line goes out.
import { realpathSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const tools = [
  {
    name: "greet",
    description: "greets somebody by name",
    input: {
      type: "object",
      properties: { name: { type: "string" } },
      required: ["name"],
      additionalProperties: false,
    },
    // Declared effects: this tool only reads. Without `effects` the worst is assumed.
    effects: { write: false, idempotent: true },
    returns: "json",
  },
];

const functions = {
  greet({ name }) {
    if (typeof name !== "string") throw new TypeError("name is not a text");
    return { greeting: `Hello, ${name}!` };
  },
};

export async function answer({ id, method, params }) {
  if (method === "describe") return { id, result: { tools } };
  if (method !== "call") return undefined;
  try {
    return { id, result: await functions[params.tool](params.args) };
  } catch (error) {
    return { id, error: String(error) }; // whatever it is, the agent is told
  }
}

// Only when this file is the program, not when its test imports it.
if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const reply = await answer(JSON.parse(line));
    if (reply) process.stdout.write(JSON.stringify(reply) + "\n");
  });
}
