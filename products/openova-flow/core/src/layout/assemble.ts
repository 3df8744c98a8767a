import type { BlockLayout, BlockOptions } from "./layered.js";
import { isFree, place, shelves, type Box, type Spot } from "./pack.js";
import type { Frame } from "./plan.js";

export interface Card extends Spot {
  readonly id: string;
  readonly w: number;
  readonly layer: number;
  /** As in `BlockLayout`. */
  readonly rank: number;
}
export interface InnerFrame extends Spot, Box {
  readonly id: string;
  readonly depth: number;
}
/** A region with positions relative to its corner. */
export interface RegionLayout extends Box {
  readonly cards: readonly Card[];
  readonly groups: readonly InnerFrame[];
}

/** Space inside a frame, and the height of its title. */
const PADDING = 20;
const TITLE = 36;
const GROUP_GAP = 24;
export const REGION_GAP = 48;
const LEAST_WIDTH = 208;

/** Lays out the content of a region's frame. `layouts` yields the layouts of its blocks, in the order of `blocksOf`. */
export function fillRegion(frame: Frame, layouts: Iterator<BlockLayout>, options: BlockOptions): RegionLayout {
  return fill(frame, 0, layouts, options);
}

function fill(frame: Frame, depth: number, layouts: Iterator<BlockLayout>, options: BlockOptions): RegionLayout {
  const own = layouts.next().value as BlockLayout;
  const cards: Card[] = frame.ids.map((id, i) => ({
    id,
    x: PADDING + (own.x[i] as number),
    y: TITLE + (own.y[i] as number),
    w: own.w[i] as number,
    layer: own.layer[i] as number,
    rank: own.rank[i] as number,
  }));
  const groups: InnerFrame[] = [];
  const inner = frame.frames.map((f) => fill(f, depth + 1, layouts, options));
  const packed = shelves(inner, GROUP_GAP, options.aspect);
  const top = TITLE + (own.n === 0 ? 0 : own.height + GROUP_GAP);
  inner.forEach((region, i) => {
    const spot = packed.spots[i] as Spot;
    const [dx, dy] = [PADDING + spot.x, top + spot.y];
    groups.push({ id: (frame.frames[i] as Frame).id, x: dx, y: dy, w: region.w, h: region.h, depth: depth + 1 });
    for (const c of region.cards) cards.push({ ...c, x: c.x + dx, y: c.y + dy });
    for (const g of region.groups) groups.push({ ...g, x: g.x + dx, y: g.y + dy });
  });
  const bottom = inner.length > 0 ? top + packed.h : TITLE + own.height;
  return { cards, groups, w: Math.max(LEAST_WIDTH, Math.max(own.width, packed.w) + 2 * PADDING), h: bottom + PADDING };
}

/**
 * The positions of the regions. `fixed` regions do not move; the others keep their position in `before` if they fit there. Without `fixed`
 * regions, all are arranged anew.
 */
export function arrange(
  sizes: ReadonlyMap<string, Box>,
  fixed: ReadonlyMap<string, Box & Spot>,
  before: ReadonlyMap<string, Spot>,
  aspect: number,
): ReadonlyMap<string, Spot> {
  if (fixed.size === 0) {
    const { spots } = shelves([...sizes.values()], REGION_GAP, aspect);
    return new Map([...sizes.keys()].map((region, i) => [region, spots[i] as Spot]));
  }
  const taken = [...fixed.values()];
  const result = new Map<string, Spot>(fixed);
  for (const [region, size] of sizes) {
    if (fixed.has(region)) continue;
    const old = before.get(region);
    const spot = old !== undefined && isFree(old, size, taken, REGION_GAP) ? old : place(size, taken, REGION_GAP, aspect);
    taken.push({ x: spot.x, y: spot.y, w: size.w, h: size.h });
    result.set(region, { x: spot.x, y: spot.y });
  }
  return result;
}
