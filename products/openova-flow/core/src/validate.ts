import { CONDITIONS, RELATIONSHIP_TYPES, type FlowMessage } from "./types.js";

export interface ValidationError {
  /** The offending field, such as `nodes[3].status`; empty when it is the message as a whole. */
  readonly field: string;
  readonly message: string;
}
export type Validated =
  | { readonly ok: true; readonly message: FlowMessage }
  | { readonly ok: false; readonly error: ValidationError };

const MAX_DEPTH = 64;

/** Parses and validates one message that is posted to flow `flowId`. What JSON.parse hides, such as duplicate keys, passes. */
export function decode(flowId: string, text: string): Validated {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (e) {
    return { ok: false, error: { field: "", message: e instanceof Error ? e.message : "not JSON" } };
  }
  return validate(flowId, value);
}

/** Validates a parsed message. The message that comes back is the value itself. */
export function validate(flowId: string, value: unknown): Validated {
  try {
    checkMessage(flowId, value);
    return { ok: true, message: value as FlowMessage };
  } catch (e) {
    if (e instanceof Refusal) return { ok: false, error: { field: e.field, message: e.message } };
    throw e;
  }
}

class Refusal extends Error {
  readonly field: string;
  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

type Check = (value: unknown, at: string, flowId: string) => void;
/** The fields of an object: a check each, and whether the field must be there. */
interface Shape {
  readonly fields: Readonly<Record<string, Check>>;
  readonly required: readonly string[];
  /** Matches the field names in any case. */
  readonly anyCase: RegExp;
}

function shape(fields: Record<string, Check>, required: readonly string[]): Shape {
  return { fields, required, anyCase: anyCase(Object.keys(fields)) };
}

function anyCase(names: readonly string[]): RegExp {
  return new RegExp(`^(?:${names.join("|")})$`, "iu");
}

function refuse(at: string, message: string): never {
  throw new Refusal(at, message);
}

function asObject(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) refuse(at, "must be an object");
  return value as Record<string, unknown>;
}

const text: Check = (v, at) => {
  if (typeof v !== "string") refuse(at, "must be a string");
};
const nonEmpty: Check = (v, at) => {
  if (typeof v !== "string" || v === "") refuse(at, "must be a non-empty string");
};
const ownFlow: Check = (v, at, flowId) => {
  if (v !== flowId) refuse(at, `must be the flow that it is posted to, ${JSON.stringify(flowId)}`);
};
const integer: Check = (v, at) => {
  if (!Number.isSafeInteger(v)) refuse(at, "must be an integer within 2^53-1 of 0");
};
const natural: Check = (v, at) => {
  if (!Number.isSafeInteger(v) || (v as number) < 0) refuse(at, "must be an integer, 0 or more");
};
const object: Check = (v, at) => void asObject(v, at);
const oneOf =
  (allowed: readonly string[]): Check =>
  (v, at) => {
    if (!allowed.includes(v as string)) refuse(at, `must be one of ${allowed.join(", ")}`);
  };
const listOf =
  (element: Check, mayBeEmpty: boolean): Check =>
  (v, at, flowId) => {
    if (!Array.isArray(v)) refuse(at, "must be an array");
    const list = v as unknown[];
    if (list.length === 0 && !mayBeEmpty) refuse(at, "is empty; at least one element is needed");
    for (let i = 0; i < list.length; i++) element(list[i], `${at}[${i}]`, flowId);
  };
const shaped =
  (s: Shape): Check =>
  (v, at, flowId) => {
    const o = asObject(v, at);
    for (const key of Object.keys(o)) {
      if (Object.hasOwn(s.fields, key)) s.fields[key]?.(o[key], `${at}.${key}`, flowId);
      else if (s.anyCase.test(key)) refuse(`${at}.${key}`, "is a field of the contract in another case");
    }
    for (const key of s.required) if (!Object.hasOwn(o, key)) refuse(`${at}.${key}`, "is missing");
  };

const trigger = shape({ flowId: text, when: oneOf(["success", "failure", "always"]) }, ["flowId", "when"]);
const flow = shape(
  {
    id: ownFlow,
    definitionId: text,
    parentFlowId: text,
    triggeredBy: listOf(shaped(trigger), true),
    status: nonEmpty,
    startedAt: natural,
    endedAt: integer,
    meta: object,
  },
  ["id", "status", "startedAt"],
);
const node = shape(
  {
    id: nonEmpty,
    flowId: ownFlow,
    label: nonEmpty,
    status: nonEmpty,
    family: text,
    region: text,
    startedAt: integer,
    endedAt: integer,
    meta: object,
  },
  ["id", "flowId", "label", "status"],
);
const pairFields = { fromId: text, toId: text, type: oneOf(RELATIONSHIP_TYPES) };
const pair = shape(pairFields, ["fromId", "toId", "type"]);
const relationship = shape(
  { ...pairFields, fromFlowId: text, toFlowId: text, condition: oneOf(CONDITIONS), lag: natural },
  ["fromId", "toId", "type"],
);

/** By message type: the fields that decide something. All are required but the lists of a snapshot. */
const variants: Readonly<Record<string, Readonly<Record<string, Check>>>> = {
  snapshot: { flow: shaped(flow), nodes: listOf(shaped(node), true), relationships: listOf(shaped(relationship), true) },
  "upsert-flow": { flow: shaped(flow) },
  "upsert-nodes": { nodes: listOf(shaped(node), false) },
  "upsert-rels": { relationships: listOf(shaped(relationship), false) },
  "delete-nodes": { ids: listOf(text, false) },
  "delete-rels": { pairs: listOf(shaped(pair), false) },
};
const topLevel = ["type", "flow", "nodes", "relationships", "ids", "pairs"];
const topLevelAnyCase = anyCase(topLevel);

function checkMessage(flowId: string, value: unknown): void {
  const m = asObject(value, "");
  if (deeperThan(m, MAX_DEPTH)) refuse("", `is nested deeper than ${MAX_DEPTH}`);
  for (const key of Object.keys(m)) {
    if (!topLevel.includes(key) && topLevelAnyCase.test(key)) refuse(key, "is a field of the contract in another case");
  }
  const type = Object.hasOwn(m, "type") ? m["type"] : refuse("type", "is missing");
  if (typeof type !== "string" || !Object.hasOwn(variants, type)) {
    refuse("type", `must be one of ${Object.keys(variants).join(", ")}`);
  }
  for (const [key, check] of Object.entries(variants[type] ?? {})) {
    if (Object.hasOwn(m, key)) check(m[key], key, flowId);
    else if (type !== "snapshot" || key === "flow") refuse(key, `is missing; ${type} needs it`);
  }
}

function deeperThan(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (depth === 0) return true;
  for (const part of Array.isArray(value) ? (value as unknown[]) : Object.values(value)) {
    if (deeperThan(part, depth - 1)) return true;
  }
  return false;
}
