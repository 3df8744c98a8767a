// Loaded on demand.
export { criticalPath } from "@openova/flow-core";
