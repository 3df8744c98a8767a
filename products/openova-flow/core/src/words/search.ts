import { displayState, metaOf, type DisplayContext, type DisplayState } from "../graph/display.js";
import { compareBytes } from "../fold/state.js";
import type { FlowNode } from "../contract/types.js";

export interface SearchHit {
  readonly node: FlowNode;
  readonly score: number;
}

/** The nodes that match every word of the query, best first. An empty query matches nothing. */
export function search(nodes: Iterable<FlowNode>, query: string): readonly SearchHit[] {
  const words = wordsOf(query);
  if (words.length === 0) return [];
  const hits: SearchHit[] = [];
  for (const node of nodes) {
    const score = scoreAll(node, words);
    if (score > 0) hits.push({ node, score });
  }
  return hits.sort((a, b) => b.score - a.score || a.node.label.length - b.node.label.length || compareBytes(a.node.id, b.node.id));
}

function wordsOf(query: string): readonly string[] {
  return query.toLowerCase().split(/\s+/).filter((w) => w !== "");
}

function scoreAll(node: FlowNode, words: readonly string[]): number {
  let sum = 0;
  for (const word of words) {
    const score = scoreOne(node, word);
    if (score === 0) return 0;
    sum += score;
  }
  return sum;
}

function scoreOne(node: FlowNode, word: string): number {
  const label = node.label.toLowerCase();
  if (label === word || label === `bp-${word}`) return 100;
  if (label.startsWith(word) || label.startsWith(`bp-${word}`)) return 80;
  const at = label.indexOf(word);
  if (at > 0) return /[a-z0-9]/.test(label.charAt(at - 1)) ? 40 : 60;
  if (node.region?.toLowerCase() === word || node.family?.toLowerCase() === word) return 50;
  if (node.id.toLowerCase().includes(word)) return 30;
  const meta = metaOf(node);
  const rest = [node.family, node.region, node.status, meta.kind, meta.namespace, meta.reason, meta.chart?.name, meta.versionApplied, meta.versionWanted, meta.revision, meta.originRevision];
  if (rest.some((s) => s?.toLowerCase().includes(word))) return 20;
  return meta.message?.toLowerCase().includes(word) ? 10 : 0;
}

export interface Filter {
  readonly query?: string;
  readonly displays?: ReadonlySet<DisplayState>;
  readonly regions?: ReadonlySet<string>;
  readonly families?: ReadonlySet<string>;
  readonly namespaces?: ReadonlySet<string>;
}

/** A predicate for a filter: all given parts must match. An empty set matches every node. */
export function matcher(filter: Filter, context: DisplayContext): (node: FlowNode) => boolean {
  const words = wordsOf(filter.query ?? "");
  const { displays, regions, families, namespaces } = filter;
  return (node) =>
    (!regions?.size || regions.has(node.region ?? "")) &&
    (!families?.size || families.has(node.family ?? "")) &&
    (!namespaces?.size || namespaces.has(metaOf(node).namespace ?? "")) &&
    (!displays?.size || displays.has(displayState(node, context))) &&
    (words.length === 0 || scoreAll(node, words) > 0);
}
