/** A delay of this length would have closed the connection, so a frame that seems older shows that the local clock was changed. */
const LATE_MS = 60_000;

/** The server's clock, estimated from the times in its frames. It equals the local clock until the first frame. */
export class ServerClock {
  readonly #local: () => number;
  #offset = 0;
  #isKnown = false;

  constructor(local: () => number) {
    this.#local = local;
  }

  now(): number {
    return this.#local() + this.#offset;
  }

  /**
   * `at` is when the server sent a frame that has just arrived. Frames arrive with a delay, so the largest offset is the best estimate.
   */
  set(at: number): void {
    const offset = at - this.#local();
    if (this.#isKnown && offset <= this.#offset && this.#offset - offset < LATE_MS) return;
    this.#offset = offset;
    this.#isKnown = true;
  }

  /** The next frame may come from another server, so its offset replaces the estimate. */
  doubt(): void {
    this.#isKnown = false;
  }
}
