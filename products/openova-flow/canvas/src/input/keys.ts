import type { Direction } from "./navigate.js";

export interface KeyTarget {
  step(direction: Direction): void;
  panBy(dx: number, dy: number): void;
  zoomIn(): void;
  zoomOut(): void;
  fit(): void;
  open(): void;
  clear(): void;
}

const arrows: Readonly<Record<string, readonly [Direction, number, number]>> = {
  ArrowLeft: ["left", -1, 0],
  ArrowRight: ["right", 1, 0],
  ArrowUp: ["up", 0, -1],
  ArrowDown: ["down", 0, 1],
};

/** Pixels that Shift and an arrow pan by. */
const panStep = 80;

/** Performs the action of a key; false if it has none. Combinations with Ctrl, Alt or Meta are left to the browser. */
export function keyAction(e: Pick<KeyboardEvent, "key" | "shiftKey" | "ctrlKey" | "altKey" | "metaKey">, target: KeyTarget): boolean {
  if (e.ctrlKey || e.altKey || e.metaKey) return false;
  const arrow = arrows[e.key];
  if (arrow !== undefined) {
    if (e.shiftKey) target.panBy(arrow[1] * panStep, arrow[2] * panStep);
    else target.step(arrow[0]);
    return true;
  }
  switch (e.key) {
    case "Enter": target.open(); return true;
    case "Escape": target.clear(); return true;
    case "+": case "=": target.zoomIn(); return true;
    case "-": case "_": target.zoomOut(); return true;
    case "0": target.fit(); return true;
    default: return false;
  }
}
