/** `n` nodes to lay out in columns, and edges as pairs of indices. */
export interface Block {
  readonly n: number;
  readonly edges: Int32Array;
  /** The minimum width of each node. A column is as wide as its widest node. */
  readonly widths: Float64Array;
  /** The rank of each node in the previous layout; NaN if it had none. */
  readonly ranks: Float64Array;
}
/** Positions relative to the block's corner, by index. */
export interface BlockLayout {
  readonly n: number;
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly w: Float64Array;
  readonly layer: Int32Array;
  /** The position of each node in its layer, from 0 at the top to 1; NaN for a node without edges. */
  readonly rank: Float64Array;
  readonly width: number;
  readonly height: number;
}
export interface BlockOptions {
  readonly nodeHeight: number;
  readonly aspect: number;
}

export const GAP_LAYER = 56;
export const GAP_COLUMN = 20;
export const GAP_ROW = 14;
const SWEEPS = 4;

/**
 * Layers by longest path, from left to right, each ordered by barycentres. A layer that is too tall for the block's aspect is split into
 * several columns. Nodes without edges form a grid below. Every edge that is not part of a cycle leads to a higher layer. If most nodes with
 * edges have a previous rank, these keep their order.
 */
export function layoutBlock(block: Block, options: BlockOptions): BlockLayout {
  const dag = withoutBackEdges(block);
  const { layer, layers, single } = assignLayers(block.n, dag);
  const rank = new Float64Array(block.n).fill(NaN);
  const known = layers.reduce((sum, nodes) => sum + nodes.reduce((count, i) => count + (isRanked(block.ranks, i) ? 1 : 0), 0), 0);
  if (2 * known > block.n - single.length) keepOrder(block.ranks, dag, layers, rank);
  else orderLayers(dag, layers, rank);
  const result: BlockLayout = { n: block.n, x: new Float64Array(block.n), y: new Float64Array(block.n), w: block.widths.slice(), layer, rank, width: 0, height: 0 };
  const body = placeLayers(layers, result, options);
  return placeSingles(single, body, result, options);
}

/** Edges in compressed rows: the neighbours of i are `to[start[i]]` up to, but not including, `to[start[i + 1]]`. */
interface Rows {
  readonly start: Int32Array;
  readonly to: Int32Array;
}
interface Dag {
  readonly out: Rows;
  readonly into: Rows;
}

function rows(n: number, from: ArrayLike<number>, to: ArrayLike<number>, count: number): Rows {
  const start = new Int32Array(n + 1);
  for (let e = 0; e < count; e++) start[at(from, e) + 1]!++;
  for (let i = 0; i < n; i++) start[i + 1]! += at(start, i);
  const next = start.slice();
  const ends = new Int32Array(count);
  for (let e = 0; e < count; e++) ends[next[at(from, e)]!++] = at(to, e);
  return { start, to: ends };
}

function at(list: ArrayLike<number>, i: number): number {
  return list[i] as number;
}

/** Removes the edges that close a cycle in a depth-first search in index order. */
function withoutBackEdges({ n, edges }: Block): Dag {
  const m = edges.length / 2;
  const from = new Int32Array(m);
  const to = new Int32Array(m);
  for (let e = 0; e < m; e++) {
    from[e] = at(edges, 2 * e);
    to[e] = at(edges, 2 * e + 1);
  }
  const all = rows(n, from, to, m);
  const state = new Uint8Array(n); // 0 not visited, 1 on the current path, 2 done
  const next = all.start.slice();
  const keptFrom: number[] = [];
  const keptTo: number[] = [];
  const path: number[] = [];
  for (let root = 0; root < n; root++) {
    if (state[root] !== 0) continue;
    path.push(root);
    state[root] = 1;
    for (let i = path.at(-1); i !== undefined; i = path.at(-1)) {
      if (at(next, i) === at(all.start, i + 1)) {
        state[i] = 2;
        path.pop();
        continue;
      }
      const j = at(all.to, next[i]!++);
      if (state[j] === 1) continue;
      keptFrom.push(i);
      keptTo.push(j);
      if (state[j] === 0) {
        state[j] = 1;
        path.push(j);
      }
    }
  }
  return { out: rows(n, keptFrom, keptTo, keptFrom.length), into: rows(n, keptTo, keptFrom, keptFrom.length) };
}

function degree(r: Rows, i: number): number {
  return at(r.start, i + 1) - at(r.start, i);
}

/** The layer of a node is the length of the longest path to it. `single` has the nodes without edges. */
function assignLayers(n: number, { out, into }: Dag): { layer: Int32Array; layers: number[][]; single: number[] } {
  const layer = new Int32Array(n);
  /** The number of edges into each node from nodes whose layer is not final yet. */
  const missing = new Int32Array(n);
  const order: number[] = [];
  const single: number[] = [];
  for (let i = 0; i < n; i++) {
    missing[i] = degree(into, i);
    if (degree(into, i) + degree(out, i) === 0) single.push(i);
    else if (missing[i] === 0) order.push(i);
  }
  for (let k = 0; k < order.length; k++) {
    const i = at(order, k);
    for (let e = at(out.start, i); e < at(out.start, i + 1); e++) {
      const j = at(out.to, e);
      layer[j] = Math.max(at(layer, j), at(layer, i) + 1);
      if (--missing[j]! === 0) order.push(j);
    }
  }
  const layers: number[][] = [];
  for (const i of order.sort((a, b) => a - b)) (layers[at(layer, i)] ??= []).push(i);
  return { layer, layers, single };
}

function isRanked(ranks: Float64Array, i: number): boolean {
  return !Number.isNaN(at(ranks, i));
}

function setRanks(nodes: readonly number[], rank: Float64Array): void {
  nodes.forEach((i, k) => void (rank[i] = (k + 0.5) / nodes.length));
}

/** The mean rank of a node's neighbours on one side; NaN if none has a rank. */
function barycentre(i: number, side: Rows, rank: Float64Array): number {
  let [sum, count] = [0, 0];
  for (let e = at(side.start, i); e < at(side.start, i + 1); e++) {
    const j = at(side.to, e);
    if (!isRanked(rank, j)) continue;
    sum += at(rank, j);
    count++;
  }
  return sum / count;
}

/** Sorts each layer by the previous ranks. A node without one goes beside its neighbours, or to the bottom if they have none either. */
function keepOrder(before: Float64Array, { out, into }: Dag, layers: number[][], rank: Float64Array): void {
  for (const nodes of layers) setRanks(nodes.filter((i) => isRanked(before, i)).sort((a, b) => at(before, a) - at(before, b) || a - b), rank);
  for (const nodes of layers) {
    for (const i of nodes) if (!isRanked(rank, i)) rank[i] = [into, out].map((side) => barycentre(i, side, rank)).find((r) => !Number.isNaN(r)) ?? 1;
    setRanks(nodes.sort((a, b) => at(rank, a) - at(rank, b)), rank);
  }
}

/** Sorts each layer by the mean rank of its neighbours, alternating between forwards and backwards. */
function orderLayers({ out, into }: Dag, layers: number[][], rank: Float64Array): void {
  const key = new Float64Array(rank.length);
  const sortBy = (nodes: number[], side: Rows): void => {
    for (const i of nodes) key[i] = degree(side, i) === 0 ? at(rank, i) : barycentre(i, side, rank);
    nodes.sort((a, b) => at(key, a) - at(key, b) || at(rank, a) - at(rank, b));
    setRanks(nodes, rank);
  };
  for (const nodes of layers) setRanks(nodes, rank);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    if (sweep % 2 === 0) for (let l = 1; l < layers.length; l++) sortBy(layers[l] as number[], into);
    else for (let l = layers.length - 2; l >= 0; l--) sortBy(layers[l] as number[], out);
  }
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** The maximum number of nodes in a column, if the layer is split evenly into columns of at most `rowCount`. */
function perColumn(nodes: readonly number[], rowCount: number): number {
  return Math.ceil(nodes.length / Math.ceil(nodes.length / rowCount));
}

function widest(nodes: readonly number[], w: Float64Array, from = 0, to = nodes.length): number {
  let most = 0;
  for (let k = from; k < to && k < nodes.length; k++) most = Math.max(most, at(w, at(nodes, k)));
  return most;
}

function placeLayers(layers: readonly number[][], { x, y, w }: BlockLayout, o: BlockOptions): Size {
  if (layers.length === 0) return { width: 0, height: 0 };
  const rowCount = rowsFor(layers, w, o);
  const rowHeight = o.nodeHeight + GAP_ROW;
  const tallest = Math.min(rowCount, tallestOf(layers));
  let left = 0;
  for (const nodes of layers) {
    const size = perColumn(nodes, rowCount);
    for (let from = 0; from < nodes.length; from += size) {
      const column = nodes.slice(from, from + size);
      const top = ((tallest - column.length) * rowHeight) / 2;
      const width = widest(column, w);
      column.forEach((i, row) => {
        x[i] = left;
        y[i] = top + row * rowHeight;
        w[i] = width;
      });
      left += width + GAP_COLUMN;
    }
    left += GAP_LAYER - GAP_COLUMN;
  }
  return { width: left - GAP_LAYER, height: tallest * rowHeight - GAP_ROW };
}

function tallestOf(layers: readonly number[][]): number {
  return layers.reduce((most, l) => Math.max(most, l.length), 0);
}

/** A number of rows, small if not the smallest, with which the block is not wider than its aspect allows; that of the tallest layer if there is none. */
function rowsFor(layers: readonly number[][], w: Float64Array, o: BlockOptions): number {
  const tallest = tallestOf(layers);
  const fits = (r: number): boolean => {
    let width = layers.length * (GAP_LAYER - GAP_COLUMN);
    for (const nodes of layers) {
      const size = perColumn(nodes, r);
      for (let from = 0; from < nodes.length; from += size) width += widest(nodes, w, from, from + size) + GAP_COLUMN;
    }
    return width <= o.aspect * r * (o.nodeHeight + GAP_ROW);
  };
  let low = 1;
  let high = tallest;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (fits(mid)) high = mid;
    else low = mid + 1;
  }
  return low;
}

function placeSingles(single: readonly number[], body: Size, result: BlockLayout, o: BlockOptions): BlockLayout {
  if (single.length === 0) return { ...result, ...body };
  const width = widest(single, result.w);
  const cellWidth = width + GAP_COLUMN;
  const cellHeight = o.nodeHeight + GAP_ROW;
  const square = Math.ceil(Math.sqrt((single.length * o.aspect * cellHeight) / cellWidth));
  const columns = Math.max(1, Math.min(single.length, Math.max(square, Math.floor((body.width + GAP_COLUMN) / cellWidth))));
  const top = body.height === 0 ? 0 : body.height + 2 * GAP_ROW;
  single.forEach((i, k) => {
    result.x[i] = (k % columns) * cellWidth;
    result.y[i] = top + Math.floor(k / columns) * cellHeight;
    result.w[i] = width;
  });
  return {
    ...result,
    width: Math.max(body.width, columns * cellWidth - GAP_COLUMN),
    height: top + Math.ceil(single.length / columns) * cellHeight - GAP_ROW,
  };
}
