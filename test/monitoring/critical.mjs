// Prints the critical path of the newest rollout of a flow. It is computed by the page's code from what a server serves.
// Run it in the folder of the page, for its dependencies: node --input-type=module - URL FLOW < critical.mjs
import { resolve } from "node:path";
import { runnerImport } from "vite";

const [url, flow] = process.argv.slice(2);
const index = resolve("../core/src/index.ts");
const load = async (path) => (await runnerImport(path, { resolve: { alias: { "@openova/flow-core": index } } })).module;
const get = async (what) => (await fetch(`${url}/v1/flows/${flow}/${what}`)).json();

const core = await load(index);
const { criticalPath } = await load(resolve("src/lib/critical.ts"));
const read = core.validate(flow, await get("snapshot"));
if (!read.ok) throw new Error(`${read.error.field}: ${read.error.message}`);
const [rollout] = core.parseRollouts(await get("rollouts"));
const graph = core.buildGraph(core.fold(core.emptyState(flow), read.message));
console.log(JSON.stringify(criticalPath(graph, rollout.endedAt, rollout.members.map((m) => m.id))));
