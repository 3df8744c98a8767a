/** Advance width of one character at a font size of one pixel. */
export type MeasureChar = (char: string, weight: number) => number;

const ellipsis = "…";

/**
 * Fits text into widths without asking the browser about every string: widths are summed from cached widths of single
 * characters. Kerning is left out, so results are a little wide, never far off.
 */
export class TextFitter {
  readonly #measure: MeasureChar;
  readonly #chars = new Map<number, Map<string, number>>();
  readonly #fits = new Map<string, string>();
  readonly #limit: number;

  constructor(measure: MeasureChar, limit = 8192) {
    this.#measure = measure;
    this.#limit = limit;
  }

  /** Forgets everything, for when the font has changed. */
  clear(): void {
    this.#chars.clear();
    this.#fits.clear();
  }

  /** Width of the text at a size and weight. */
  width(text: string, size: number, weight = 400): number {
    let sum = 0;
    for (const c of text) sum += this.#char(c, weight);
    return sum * size;
  }

  /** The text if it fits, else as much of its beginning as does with an ellipsis; empty when not even that fits. */
  fit(text: string, room: number, size: number, weight = 400): string {
    if (room <= 0 || text === "") return "";
    // Whole ems of a sixteenth are fine enough, and let a zoom share its results.
    const ems = Math.floor((room / size) * 16) / 16;
    const key = `${weight}|${ems}|${text}`;
    const hit = this.#fits.get(key);
    if (hit !== undefined) return hit;
    const result = this.#cut(text, ems, weight);
    if (this.#fits.size >= this.#limit) this.#fits.clear();
    this.#fits.set(key, result);
    return result;
  }

  #cut(text: string, ems: number, weight: number): string {
    const dots = this.#char(ellipsis, weight);
    let sum = 0;
    let kept = "";
    let whole = "";
    for (const c of text) {
      sum += this.#char(c, weight);
      whole += c;
      if (sum + dots <= ems) kept = whole;
      if (sum > ems) {
        const trimmed = kept.replace(/[\s\-–·,.:/]+$/u, "");
        return trimmed === "" ? "" : trimmed + ellipsis;
      }
    }
    return text;
  }

  #char(c: string, weight: number): number {
    let table = this.#chars.get(weight);
    if (table === undefined) this.#chars.set(weight, (table = new Map<string, number>()));
    let w = table.get(c);
    if (w === undefined) table.set(c, (w = this.#measure(c, weight)));
    return w;
  }
}

/** A duration as people say it: `8s`, `2m 10s`, `3h 05m`, `4d 6h`. Negative counts as none. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${String(s % 60).padStart(2, "0")}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}m`;
  return `${Math.floor(s / 86400)}d ${Math.floor((s % 86400) / 3600)}h`;
}
