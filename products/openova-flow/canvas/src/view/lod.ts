/**
 * How much of a node is drawn. `card`: glyph, name and a second line. `compact`: glyph and name. `chip`: a coloured
 * chip, with a glyph when there is room. `tile`: no nodes at all, each region is one tile with its progress.
 */
export type Level = "card" | "compact" | "chip" | "tile";

/** Least scale at which single nodes are drawn. */
export const nodeScale = 0.15;
/** Least scale at which nodes have names. */
export const compactScale = 0.31;

/** Least scale of each level, largest first. Below the last one regions are tiles. */
const floors: readonly (readonly [Level, number])[] = [
  ["card", 0.68],
  ["compact", compactScale],
  ["chip", nodeScale],
];

/**
 * The level for a scale. With the previous level given, a border is crossed only once it is 4 % behind, so that a view
 * that rests on a border does not flicker.
 */
export function levelAt(k: number, previous?: Level): Level {
  const plain = pick(k);
  if (previous === undefined || previous === plain) return plain;
  return pick(k * 1.04) === previous || pick(k / 1.04) === previous ? previous : plain;
}

function pick(k: number): Level {
  for (const [level, floor] of floors) if (k >= floor) return level;
  return "tile";
}
