/**
 * How much of a node is drawn. `card`: glyph, name and a second line. `compact`: glyph and name. `chip`: a coloured
 * chip, with a glyph if there is room. `tile`: chips in large regions; each other region is one tile with its progress.
 */
export type Level = "card" | "compact" | "chip" | "tile";

/** Least scale at which the nodes of all regions are drawn. */
export const nodeScale = 0.15;
/** Least scale at which nodes have names. */
export const compactScale = 0.31;

/** Least scale of each level, largest first. Below the last one the level is `tile`. */
const floors: readonly (readonly [Level, number])[] = [
  ["card", 0.68],
  ["compact", compactScale],
  ["chip", nodeScale],
];

/**
 * The level for a scale. With `previous`, the level changes only 4 % beyond a border, so that a view
 * on a border does not flicker.
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
