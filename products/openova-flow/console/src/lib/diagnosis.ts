// What is wrong, what blocks what, and what a filter lets through: loaded once the graph is there.
export { blockingChains, criticalPath, insightOf, matcher, problems } from "@openova/flow-core";
