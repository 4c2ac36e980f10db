// A plugin in Node that counts words. See tools/PROCESS.md for the protocol.
import { createInterface } from "node:readline";

const tools = [
  {
    name: "count",
    description: "counts the words of a text",
    input: {
      type: "object",
      properties: { text: { type: "string" } },
      required: ["text"],
      additionalProperties: false,
    },
    effects: { write: false, idempotent: true },
    returns: "json",
  },
];

const count = ({ text = "" }) => ({ words: String(text).split(/\s+/).filter(Boolean).length, characters: [...String(text)].length });

const send = (message) => process.stdout.write(JSON.stringify(message) + "\n");

createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  if (method === "describe") send({ id, result: { tools } });
  if (method === "call") send({ id, result: count(params.args) });
});
