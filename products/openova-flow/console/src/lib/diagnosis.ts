// What is wrong and what a filter lets through, loaded once the graph is there.
export { matcher, problems } from "@openova/flow-core";
