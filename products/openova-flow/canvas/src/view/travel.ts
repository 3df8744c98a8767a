import { between, type Camera, type Size } from "../geometry/camera.js";
import { eased } from "./motion.js";

const flightMs = 260;

/** The camera: at rest, or on a short flight to another view. */
export class Travel {
  #camera: Camera = { x: 0, y: 0, k: 1 };
  #flight: { readonly from: Camera; readonly to: Camera; readonly start: number } | null = null;

  get camera(): Camera { return this.#camera; }
  /** The end of the current flight, or the camera if there is none. */
  get goal(): Camera { return this.#flight?.to ?? this.#camera; }
  get isFlying(): boolean { return this.#flight !== null; }

  fly(to: Camera, now: number): void {
    this.#flight = { from: this.#camera, to, start: now };
  }

  /** Moves the camera at once. Returns whether it changed. */
  jump(to: Camera): boolean {
    const { x, y, k } = this.#camera;
    this.#flight = null;
    this.#camera = to;
    return to.x !== x || to.y !== y || to.k !== k;
  }

  /** Ends the current flight at its goal. */
  land(): void {
    this.jump(this.goal);
  }

  /** Continues the flight; false if there is none. */
  advance(now: number, size: Size): boolean {
    const flight = this.#flight;
    if (flight === null) return false;
    const t = (now - flight.start) / flightMs;
    this.#camera = between(flight.from, flight.to, eased(Math.max(0, Math.min(1, t))), size);
    if (t >= 1) this.#flight = null;
    return true;
  }
}
