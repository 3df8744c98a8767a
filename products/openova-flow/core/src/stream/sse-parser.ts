import { web } from "./web.js";

/** One frame of a text/event-stream. */
export interface SseFrame {
  readonly id: string | undefined;
  readonly event: string;
  readonly data: string;
}

/** A parser for text/event-stream. It accepts bytes in chunks of any size, and omits frames without data. */
export class SseParser {
  readonly #onFrame: (frame: SseFrame) => void;
  readonly #decoder = new web.TextDecoder("utf-8");
  /** The beginning of an incomplete line. */
  #partial = "";
  #afterCr = false;
  #id: string | undefined;
  #event = "";
  #data: string | undefined;

  constructor(onFrame: (frame: SseFrame) => void) {
    this.#onFrame = onFrame;
  }

  push(chunk: Uint8Array): void {
    const text = this.#decoder.decode(chunk, { stream: true });
    if (text === "") return;
    let pos = this.#afterCr && text.startsWith("\n") ? 1 : 0;
    this.#afterCr = false;
    let cr = text.indexOf("\r", pos);
    for (;;) {
      if (cr !== -1 && cr < pos) cr = text.indexOf("\r", pos);
      const lf = text.indexOf("\n", pos);
      const end = cr === -1 || (lf !== -1 && lf < cr) ? lf : cr;
      if (end === -1) break;
      const line = this.#partial + text.slice(pos, end);
      this.#partial = "";
      pos = end + 1;
      if (end === cr) {
        if (pos === text.length) this.#afterCr = true;
        else if (text[pos] === "\n") pos++;
      }
      this.#line(line);
    }
    this.#partial += text.slice(pos);
  }

  #line(line: string): void {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
  }

  #dispatch(): void {
    const data = this.#data;
    const frame = { id: this.#id, event: this.#event === "" ? "message" : this.#event };
    this.#id = undefined;
    this.#event = "";
    this.#data = undefined;
    if (data !== undefined) this.#onFrame({ ...frame, data });
  }
}
