// Not needed to draw the graph, so it is a script of its own.
export { blockingChains, createApi, flowProgress, insightOf, matcher, problems, rolloutProgress, usualDurations } from "@openova/flow-core";
