// What is wrong, what blocks what, and what a filter lets through: loaded once the graph is there.
export { blockedBy, blockingChains, criticalPath, Insight, matcher, problems } from "@openova/flow-core";
