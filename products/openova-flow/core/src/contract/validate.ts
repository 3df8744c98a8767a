import { CONDITIONS, RELATIONSHIP_TYPES, type FlowMessage } from "./types.js";

export interface ValidationError {
  /** The invalid field, such as `nodes[3].status`; empty if the message as a whole is invalid. */
  readonly field: string;
  readonly message: string;
}
export type Validated =
  | { readonly ok: true; readonly message: FlowMessage }
  | { readonly ok: false; readonly error: ValidationError };

const MAX_DEPTH = 64;
/** The range of a Date, in milliseconds before and after 1970. */
const MAX_TIME = 8.64e15;

/** Parses and validates one message posted to flow `flowId`. It does not detect what JSON.parse hides, such as duplicate keys. */
export function decode(flowId: string, text: string): Validated {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (e) {
    return { ok: false, error: { field: "", message: e instanceof Error ? e.message : "not JSON" } };
  }
  return validate(flowId, value);
}

/** Validates a parsed message. The returned message is the value itself. */
export function validate(flowId: string, value: unknown): Validated {
  try {
    checkMessage(flowId, value);
    return { ok: true, message: value as FlowMessage };
  } catch (e) {
    if (e instanceof Refusal) return { ok: false, error: { field: e.field.replace(/^\./, ""), message: e.message } };
    throw e;
  }
}

class Refusal extends Error {
  field: string;
  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

/** Throws a Refusal whose field is relative to the value. */
type Check = (value: unknown, flowId: string) => void;
/** The fields of an object: a check for each, and whether it is required. */
interface Shape {
  readonly fields: Readonly<Record<string, Check>>;
  readonly required: readonly string[];
  /** Matches the field names, ignoring case. */
  readonly anyCase: RegExp;
}

function shape(fields: Record<string, Check>, required: readonly string[]): Shape {
  return { fields, required, anyCase: anyCase(Object.keys(fields)) };
}

function anyCase(names: readonly string[]): RegExp {
  return new RegExp(`^(?:${names.join("|")})$`, "iu");
}

function refuse(field: string, message: string): never {
  throw new Refusal(field, message);
}

function asObject(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) refuse("", "must be an object");
  return value as Record<string, unknown>;
}

/** Runs the check of a part, and adds the part's name to the field of a refusal. */
function checkPart(check: Check, value: unknown, flowId: string, part: string | number): void {
  try {
    check(value, flowId);
  } catch (e) {
    if (e instanceof Refusal) e.field = (typeof part === "number" ? `[${part}]` : `.${part}`) + e.field;
    throw e;
  }
}

const text: Check = (v) => {
  if (typeof v !== "string") refuse("", "must be a string");
};
const nonEmpty: Check = (v) => {
  if (typeof v !== "string" || v === "") refuse("", "must be a non-empty string");
};
const ownFlow: Check = (v, flowId) => {
  if (v !== flowId) refuse("", `must be the flow that it is posted to, ${JSON.stringify(flowId)}`);
};
const instant: Check = (v) => {
  if (!Number.isSafeInteger(v) || Math.abs(v as number) > MAX_TIME) refuse("", "must be an integer within 8.64e15 of 0");
};
const instantFrom0: Check = (v) => {
  instant(v, "");
  if ((v as number) < 0) refuse("", "must be 0 or more");
};
const natural: Check = (v) => {
  if (!Number.isSafeInteger(v) || (v as number) < 0) refuse("", "must be an integer, 0 or more");
};
const object: Check = (v) => void asObject(v);
const oneOf =
  (allowed: readonly string[]): Check =>
  (v) => {
    if (!allowed.includes(v as string)) refuse("", `must be one of ${allowed.join(", ")}`);
  };
const listOf =
  (element: Check, mayBeEmpty: boolean): Check =>
  (v, flowId) => {
    if (!Array.isArray(v)) refuse("", "must be an array");
    const list = v as unknown[];
    if (list.length === 0 && !mayBeEmpty) refuse("", "is empty; at least one element is needed");
    for (let i = 0; i < list.length; i++) checkPart(element, list[i], flowId, i);
  };
const shaped =
  (s: Shape): Check =>
  (v, flowId) => {
    const o = asObject(v);
    for (const key of Object.keys(o)) {
      const check = Object.hasOwn(s.fields, key) ? s.fields[key] : undefined;
      if (check !== undefined) checkPart(check, o[key], flowId, key);
      else if (s.anyCase.test(key)) refuse(`.${key}`, "is a field of the contract in another case");
    }
    for (const key of s.required) if (!Object.hasOwn(o, key)) refuse(`.${key}`, "is missing");
  };

const trigger = shape({ flowId: text, when: oneOf(["success", "failure", "always"]) }, ["flowId", "when"]);
const flow = shape(
  {
    id: ownFlow,
    definitionId: text,
    parentFlowId: text,
    triggeredBy: listOf(shaped(trigger), true),
    status: nonEmpty,
    startedAt: instantFrom0,
    endedAt: instant,
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
    startedAt: instant,
    endedAt: instant,
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

/** The fields that each message type uses. All are required, except the lists of a snapshot. */
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
  const m = asObject(value);
  if (deeperThan(m, MAX_DEPTH)) refuse("", `is nested deeper than ${MAX_DEPTH}`);
  for (const key of Object.keys(m)) {
    if (!topLevel.includes(key) && topLevelAnyCase.test(key)) refuse(key, "is a field of the contract in another case");
  }
  const type = Object.hasOwn(m, "type") ? m["type"] : refuse("type", "is missing");
  if (typeof type !== "string" || !Object.hasOwn(variants, type)) {
    refuse("type", `must be one of ${Object.keys(variants).join(", ")}`);
  }
  for (const [key, check] of Object.entries(variants[type] ?? {})) {
    if (Object.hasOwn(m, key)) checkPart(check, m[key], flowId, key);
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
