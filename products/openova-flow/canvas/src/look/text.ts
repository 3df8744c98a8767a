/** Advance width of one character at a font size of one pixel. */
export type MeasureChar = (char: string, weight: number) => number;

const ellipsis = "…";

/**
 * Fits text of one font into widths without having the browser measure every string: it adds up cached widths of single characters. Kerning is ignored,
 * so widths are approximate.
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

  /** The width of the text in pixels, at a font size in pixels and a weight. */
  width(text: string, size: number, weight = 400): number {
    let sum = 0;
    for (const c of text) sum += this.#char(c, weight);
    return sum * size;
  }

  /**
   * The text if it fits into `room` pixels, else as much of its beginning as fits together with an ellipsis; empty if nothing fits. With `part`,
   * the index of a character, it is cut in the middle, or elsewhere if that keeps this character visible.
   */
  fit(text: string, room: number, size: number, weight = 400, part?: number): string {
    if (room <= 0 || text === "") return "";
    // The width is rounded down to sixteenths of an em, so that zoom steps share cached results.
    const ems = Math.floor((room / size) * 16) / 16;
    const key = `${weight}|${ems}|${part}|${text}`;
    const hit = this.#fits.get(key);
    if (hit !== undefined) return hit;
    const result = this.#cut([...text], ems, weight, part);
    if (this.#fits.size >= this.#limit) this.#fits.clear();
    this.#fits.set(key, result);
    return result;
  }

  #cut(chars: readonly string[], ems: number, weight: number, part?: number): string {
    const dots = this.#char(ellipsis, weight);
    /** The number of characters at the beginning of `list` that fit into `room` ems. */
    const count = (list: readonly string[], room: number): number => {
      let k = 0;
      for (let left = room; k < list.length && (left -= this.#char(list[k]!, weight)) >= 0; k++);
      return k;
    };
    if (count(chars, ems) === chars.length) return chars.join("");
    const room = ems - dots;
    const middle = chars.length - count(chars.toReversed(), room / 2);
    // One character rarely identifies a name, so three must be visible if the whole text from `part` on would fit.
    const wanted = part === undefined || count(chars.slice(part), room) < chars.length - part ? 1 : 3;
    const begin = part === undefined ? 0 : part + wanted;
    // If the text from `part` on leaves no room for a character before it, the cut is after `part`: other names may differ only in their beginning.
    const isTight = part !== undefined && count([...chars.slice(0, 1), ...chars.slice(part)], room) <= chars.length - part;
    const from = part === undefined ? chars.length
      : begin <= count(chars, room / 2) ? middle
      : isTight && begin <= count(chars, room - dots) ? chars.length - count(chars.toReversed(), room - this.width(chars.slice(0, begin).join(""), 1, weight))
      : Math.min(part, middle);
    const tail = chars.slice(from), last = count(tail, room);
    const end = last < tail.length ? tail.slice(0, count(tail, room - dots)).join("") + ellipsis : tail.join("");
    const head = last < tail.length ? "" : chars.slice(0, count(chars, room - this.width(end, 1, weight))).join("").replace(/[\s\-–·,.:/(]+$/u, "");
    return head === "" && end.length < 2 ? "" : head + ellipsis + end;
  }

  #char(c: string, weight: number): number {
    let table = this.#chars.get(weight);
    if (table === undefined) this.#chars.set(weight, (table = new Map<string, number>()));
    let w = table.get(c);
    if (w === undefined) table.set(c, (w = this.#measure(c, weight)));
    return w;
  }
}
