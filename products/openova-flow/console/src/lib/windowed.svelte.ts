import { paper } from "./media.svelte.js";

/** The visible rows of a long list; in print all of them. All rows have one height (or width, along `x`), in CSS pixels. */
export class Windowed {
  readonly #size: number;
  readonly #count: () => number;
  readonly #along: "x" | "y";
  #at = $state(0);
  #room = $state(600);
  /** Rows drawn beyond each end of the visible part. */
  static readonly SPARE = 4;

  readonly first: number = $derived.by(() => paper.matches ? 0 : Math.max(0, Math.min(this.#count(), Math.floor(this.#at / this.#size) - Windowed.SPARE)));
  /** The index after the last row drawn. */
  readonly end: number = $derived.by(() => paper.matches ? this.#count() : Math.min(this.#count(), Math.ceil((this.#at + this.#room) / this.#size) + Windowed.SPARE));

  constructor(size: number, count: () => number, along: "x" | "y" = "y") {
    this.#size = size;
    this.#count = count;
    this.#along = along;
  }

  /** The number of rows that a page key moves by: one less than fit into view, at least one. */
  get page(): number {
    return Math.max(1, Math.floor(this.#room / this.#size) - 1);
  }
  /** The pixels of the rows before the first and after the last row drawn. */
  get before(): number {
    return this.first * this.#size;
  }
  get after(): number {
    return (this.#count() - this.end) * this.#size;
  }
  get whole(): number {
    return this.#count() * this.#size;
  }

  /** Attachment for the scrolling element. */
  attach = (scroller: HTMLElement): (() => void) => {
    const measure = (): void => {
      const isHorizontal = this.#along === "x";
      this.#at = isHorizontal ? scroller.scrollLeft : scroller.scrollTop;
      this.#room = isHorizontal ? scroller.clientWidth : scroller.clientHeight;
    };
    const sizes = new ResizeObserver(measure);
    sizes.observe(scroller);
    scroller.addEventListener("scroll", measure, { passive: true });
    return () => {
      sizes.disconnect();
      scroller.removeEventListener("scroll", measure);
    };
  };
}
