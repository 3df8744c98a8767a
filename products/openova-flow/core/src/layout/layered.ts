/** Nodes to lay out in columns: `n` of them, and edges as pairs of their indices. */
export interface Block {
  readonly n: number;
  readonly edges: Int32Array;
}
/** Positions relative to the block's corner, by index. */
export interface BlockLayout {
  readonly n: number;
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly layer: Int32Array;
  readonly width: number;
  readonly height: number;
}
export interface BlockOptions {
  readonly nodeWidth: number;
  readonly nodeHeight: number;
  readonly aspect: number;
}

export const GAP_LAYER = 56;
export const GAP_COLUMN = 20;
export const GAP_ROW = 14;
const SWEEPS = 4;

/**
 * Longest-path layers from left to right, ordered by barycentres; a layer too tall for the block's shape wraps into several columns.
 * Nodes without edges stand in a grid below. Every edge that is not part of a cycle goes from a lower layer to a higher one.
 */
export function layoutBlock(block: Block, options: BlockOptions): BlockLayout {
  const dag = withoutBackEdges(block);
  const { layer, layers, single } = assignLayers(block.n, dag);
  orderLayers(block.n, dag, layers);
  const at: BlockLayout = { n: block.n, x: new Float64Array(block.n), y: new Float64Array(block.n), layer, width: 0, height: 0 };
  const body = placeLayers(layers, at, options);
  return placeSingles(single, body, at, options);
}

/** Edges by their ends in compressed rows: the neighbours of i are `to[start[i]]` up to `to[start[i + 1]]`. */
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

/** Leaves out every edge that closes a cycle, as a walk in the order of the indices meets them. */
function withoutBackEdges({ n, edges }: Block): Dag {
  const m = edges.length / 2;
  const from = new Int32Array(m);
  const to = new Int32Array(m);
  for (let e = 0; e < m; e++) {
    from[e] = at(edges, 2 * e);
    to[e] = at(edges, 2 * e + 1);
  }
  const all = rows(n, from, to, m);
  const state = new Uint8Array(n); // 0 not met, 1 on the way here, 2 done
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

/** The longest path from a source gives the layer. `single` are the nodes without edges. */
function assignLayers(n: number, { out, into }: Dag): { layer: Int32Array; layers: number[][]; single: number[] } {
  const layer = new Int32Array(n);
  const open = new Int32Array(n);
  const order: number[] = [];
  const single: number[] = [];
  for (let i = 0; i < n; i++) {
    open[i] = degree(into, i);
    if (degree(into, i) + degree(out, i) === 0) single.push(i);
    else if (open[i] === 0) order.push(i);
  }
  for (let k = 0; k < order.length; k++) {
    const i = at(order, k);
    for (let e = at(out.start, i); e < at(out.start, i + 1); e++) {
      const j = at(out.to, e);
      layer[j] = Math.max(at(layer, j), at(layer, i) + 1);
      if (--open[j]! === 0) order.push(j);
    }
  }
  const layers: number[][] = [];
  for (const i of order.sort((a, b) => a - b)) (layers[at(layer, i)] ??= []).push(i);
  return { layer, layers, single };
}

/** Sorts each layer by the mean position of its neighbours, forwards and backwards in turn. */
function orderLayers(n: number, { out, into }: Dag, layers: number[][]): void {
  const position = new Float64Array(n);
  const settle = (nodes: readonly number[]): void => nodes.forEach((i, rank) => void (position[i] = (rank + 0.5) / nodes.length));
  const sortBy = (nodes: number[], side: Rows): void => {
    const key = new Map<number, number>();
    for (const i of nodes) {
      const d = degree(side, i);
      let sum = 0;
      for (let e = at(side.start, i); e < at(side.start, i + 1); e++) sum += at(position, at(side.to, e));
      key.set(i, d === 0 ? at(position, i) : sum / d);
    }
    nodes.sort((a, b) => (key.get(a) as number) - (key.get(b) as number) || at(position, a) - at(position, b));
    settle(nodes);
  };
  layers.forEach(settle);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    if (sweep % 2 === 0) for (let l = 1; l < layers.length; l++) sortBy(layers[l] as number[], into);
    else for (let l = layers.length - 2; l >= 0; l--) sortBy(layers[l] as number[], out);
  }
}

interface Size {
  readonly width: number;
  readonly height: number;
}

function placeLayers(layers: readonly number[][], { x, y }: BlockLayout, o: BlockOptions): Size {
  if (layers.length === 0) return { width: 0, height: 0 };
  const rowCount = rowsFor(layers, o);
  const rowHeight = o.nodeHeight + GAP_ROW;
  const tallest = Math.min(rowCount, tallestOf(layers));
  let left = 0;
  for (const nodes of layers) {
    const columns = Math.ceil(nodes.length / rowCount);
    const perColumn = Math.ceil(nodes.length / columns);
    for (let c = 0; c < columns; c++) {
      const column = nodes.slice(c * perColumn, (c + 1) * perColumn);
      const top = ((tallest - column.length) * rowHeight) / 2;
      column.forEach((i, row) => {
        x[i] = left;
        y[i] = top + row * rowHeight;
      });
      left += o.nodeWidth + GAP_COLUMN;
    }
    left += GAP_LAYER - GAP_COLUMN;
  }
  return { width: left - GAP_LAYER, height: tallest * rowHeight - GAP_ROW };
}

function tallestOf(layers: readonly number[][]): number {
  return layers.reduce((most, l) => Math.max(most, l.length), 0);
}

/** The least number of rows with which the block is no wider than its aspect allows. */
function rowsFor(layers: readonly number[][], o: BlockOptions): number {
  const tallest = tallestOf(layers);
  const fits = (r: number): boolean => {
    const columns = layers.reduce((sum, l) => sum + Math.ceil(l.length / r), 0);
    return columns * (o.nodeWidth + GAP_COLUMN) + layers.length * (GAP_LAYER - GAP_COLUMN) <= o.aspect * r * (o.nodeHeight + GAP_ROW);
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

function placeSingles(single: readonly number[], body: Size, at: BlockLayout, o: BlockOptions): BlockLayout {
  if (single.length === 0) return { ...at, ...body };
  const cellWidth = o.nodeWidth + GAP_COLUMN;
  const cellHeight = o.nodeHeight + GAP_ROW;
  const square = Math.ceil(Math.sqrt((single.length * o.aspect * cellHeight) / cellWidth));
  const columns = Math.max(1, Math.min(single.length, Math.max(square, Math.floor((body.width + GAP_COLUMN) / cellWidth))));
  const top = body.height === 0 ? 0 : body.height + 2 * GAP_ROW;
  single.forEach((i, k) => {
    at.x[i] = (k % columns) * cellWidth;
    at.y[i] = top + Math.floor(k / columns) * cellHeight;
  });
  return {
    ...at,
    width: Math.max(body.width, columns * cellWidth - GAP_COLUMN),
    height: top + Math.ceil(single.length / columns) * cellHeight - GAP_ROW,
  };
}
