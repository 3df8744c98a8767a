// Problems, blockers, progress and filters. Not needed to draw the graph, so it loads beside it.
export { blockingChains, createApi, flowProgress, insightOf, matcher, problems, rolloutProgress, usualDurations } from "@openova/flow-core";
