// What is wrong, loaded once the graph is there.
export { problems } from "@openova/flow-core";
