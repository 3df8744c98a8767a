import type { ConnectionState } from "@openova/flow-core";
import type { Camera } from "../geometry/camera.js";
import type { Level } from "../view/lod.js";

export type SelectKind = "node" | "region" | "group" | "missing" | "external";

export interface SelectDetail {
  /** Null for no target. */
  readonly id: string | null;
  readonly kind: SelectKind | null;
}
export interface ViewDetail extends Camera {
  readonly level: Level;
}
export interface OpenFlowDetail {
  readonly flowId: string;
  readonly nodeId: string;
}

export interface FlowCanvasEvents {
  select: CustomEvent<SelectDetail>;
  hover: CustomEvent<SelectDetail>;
  open: CustomEvent<SelectDetail>;
  "open-flow": CustomEvent<OpenFlowDetail>;
  viewchange: CustomEvent<ViewDetail>;
  connection: CustomEvent<ConnectionState>;
  painted: CustomEvent<null>;
}

export type Emit = <K extends keyof FlowCanvasEvents>(type: K, detail: FlowCanvasEvents[K]["detail"]) => void;
