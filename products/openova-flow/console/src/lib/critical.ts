export { criticalPath } from "@openova/flow-core";
