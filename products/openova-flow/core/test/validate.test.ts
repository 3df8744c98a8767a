import { describe, expect, it } from "vitest";
import { decode, isFlowId, validate } from "../src/index.js";
import { filesIn } from "./files.js";

const vectors = "server/flow/testdata/vectors";

describe("decode", () => {
  it.each(filesIn(`${vectors}/valid`))("accepts $name", ({ text }) => {
    expect(decode("F", text)).toEqual({ ok: true, message: JSON.parse(text) });
  });

  it.each(filesIn(`${vectors}/invalid`))("rejects $name", ({ text }) => {
    expect(decode("F", text).ok).toBe(false);
  });

  const node = { id: "a", flowId: "F", label: "a", status: "running" };
  const nodes = (...list: unknown[]): unknown => ({ type: "upsert-nodes", nodes: list });
  const rel = { fromId: "a", toId: "b", type: "finish-to-start" };
  const rels = (r: unknown): unknown => ({ type: "upsert-rels", relationships: [r] });
  const flow = { id: "F", status: "running", startedAt: 0 };

  it.each([
    ["names the element and the field", nodes(node, { ...node, status: "" }), "nodes[1].status"],
    ["refuses a field in another case in a node", nodes({ ...node, Region: "x" }), "nodes[0].Region"],
    ["refuses a field in another case at the top", { ...(nodes(node) as object), IDS: 1 }, "IDS"],
    ["refuses ſ for s in a field", nodes({ ...node, "\u017ftatus": "x" }), "nodes[0].\u017ftatus"],
    ["refuses null for a field of a trigger", { type: "upsert-flow", flow: { ...flow, triggeredBy: [{ flowId: null, when: "always" }] } }, "flow.triggeredBy[0].flowId"],
    ["refuses null for optional fields", nodes({ ...node, meta: null }), "nodes[0].meta"],
    ["refuses integers above 2^53 - 1", nodes({ ...node, startedAt: 2 ** 53 }), "nodes[0].startedAt"],
    ["refuses an instant later than any date", nodes({ ...node, endedAt: 8.64e15 + 1 }), "nodes[0].endedAt"],
    ["refuses an instant earlier than any date", nodes({ ...node, startedAt: -8.64e15 - 1 }), "nodes[0].startedAt"],
    ["refuses a start of a flow later than any date", { type: "upsert-flow", flow: { ...flow, startedAt: 8.64e15 + 1 } }, "flow.startedAt"],
    ["refuses an end of a flow earlier than any date", { type: "upsert-flow", flow: { ...flow, endedAt: -8.64e15 - 1 } }, "flow.endedAt"],
    ["refuses a fraction", rels({ ...rel, lag: 1.5 }), "relationships[0].lag"],
    ["refuses a pair without a type", { type: "delete-rels", pairs: [{ fromId: "a", toId: "b" }] }, "pairs[0].type"],
    ["refuses null for a list that the variant uses", { type: "snapshot", flow, nodes: null }, "nodes"],
    ["refuses a type that is only a property of Object.prototype", { type: "toString" }, "type"],
  ])("%s", (_, value, field) => {
    expect(validate("F", value)).toMatchObject({ ok: false, error: { field } });
  });

  it.each([
    ["a negative time of a node", nodes({ ...node, startedAt: -1, endedAt: -8.64e15 })],
    ["empty strings where a string must only be present", rels({ ...rel, fromId: "", toFlowId: "" })],
    ["any values in fields that the variant does not use", { type: "delete-nodes", ids: [""], nodes: null, flow: 3, pairs: "x" }],
    ["names in another case within meta", nodes({ ...node, meta: { ID: 1, Status: null } })],
    ["unknown fields", nodes({ ...node, future: { null: null } })],
    ["a field called __proto__", JSON.parse('{"type":"delete-nodes","ids":["a"],"__proto__":{"x":1}}') as unknown],
  ])("accepts %s", (_, value) => {
    expect(validate("F", value)).toMatchObject({ ok: true });
  });

  it("accepts 64 levels and rejects 65", () => {
    const nested = (levels: number): unknown => {
      let x: unknown = {};
      for (let i = 1; i < levels; i++) x = [x];
      return { type: "delete-nodes", ids: ["a"], x };
    };
    expect(validate("F", nested(63)).ok).toBe(true);
    expect(validate("F", nested(64)).ok).toBe(false);
    expect(validate("F", nested(5_000)).ok).toBe(false);
  });
});

describe("isFlowId", () => {
  it.each(["a", "a:b", "A-_.9", "...", ".a", "z".repeat(128)])("accepts %s", (id) => expect(isFlowId(id)).toBe(true));
  it.each(["", ".", "..", "a/b", "../x", "%2e", "a b", "a\n", "é", "z".repeat(129)])("rejects %j", (id) => expect(isFlowId(id)).toBe(false));
});
