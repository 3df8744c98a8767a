import { visible, type Camera, type Rect, type Size } from "../geometry/camera.js";
import { mapMs, minimapCamera, minimapSize } from "../view/minimap.js";
import { canvasPen, type CanvasPen, type Pen } from "./pen.js";
import { paintBar } from "./regions.js";
import { stateName } from "./nodes.js";
import type { Scene } from "../scene/scene.js";
import type { View } from "../view/view.js";

/** Number of nodes above which the map shows regions, if there are several. */
const maxDots = 1500;

/** Paints all nodes as dots, or all regions as progress bars. */
function paintMap(pen: Pen, scene: Scene): void {
  const { c, theme } = pen;
  const m = minimapCamera(scene.bounds);
  const place = (r: Rect): Rect => ({ x: (r.x - m.x) * m.k, y: (r.y - m.y) * m.k, w: Math.max(r.w * m.k, 1), h: Math.max(r.h * m.k, 1) });
  if (scene.count > maxDots && scene.regions.length > 1) {
    for (const region of scene.regions) {
      const r = place(region);
      paintBar(pen, region, { x: r.x, y: r.y, w: Math.max(1, r.w - 1), h: Math.max(1, r.h - 1) });
    }
    return;
  }
  c.fillStyle = theme.shade;
  for (const region of scene.regions) {
    const r = place(region);
    c.fillRect(r.x, r.y, r.w, r.h);
  }
  const byState = new Map<number, number[]>();
  for (let i = 0; i < scene.count; i++) {
    const s = scene.state[i]!;
    const list = byState.get(s);
    if (list === undefined) byState.set(s, [i]);
    else list.push(i);
  }
  for (const [s, list] of byState) {
    c.fillStyle = theme.states[stateName(s)].color;
    for (const i of list) c.fillRect((scene.x[i]! - m.x) * m.k, (scene.y[i]! - m.y) * m.k, Math.max(scene.w[i]! * m.k, 1.5), Math.max(scene.h[i]! * m.k, 1.5));
  }
}

function paintMapFrame(pen: Pen, scene: Scene, camera: Camera, size: Size): void {
  const { c, theme } = pen;
  const m = minimapCamera(scene.bounds);
  const v = visible(camera, size);
  const clamp = (value: number, most: number): number => Math.min(Math.max(value, 1.5), most - 1.5);
  const x0 = clamp((v.x - m.x) * m.k, minimapSize.width), y0 = clamp((v.y - m.y) * m.k, minimapSize.height);
  const x1 = clamp((v.x + v.w - m.x) * m.k, minimapSize.width), y1 = clamp((v.y + v.h - m.y) * m.k, minimapSize.height);
  c.strokeStyle = theme.focus;
  c.lineWidth = 1.5;
  c.beginPath();
  c.roundRect(x0, y0, Math.max(x1 - x0, 3), Math.max(y1 - y0, 3), 2);
  c.stroke();
}

/** The map in the corner: a picture of the whole scene, and the frame of the view on top of it. Changes make a new picture at most every `mapMs`. */
export class MapLayer {
  #picture: HTMLCanvasElement | null = null;
  #madeAt = -Infinity;

  /**
   * Draws the map. `changed`: the scene has changed since the picture was made. Returns false if the picture was too young to be made again: call it again
   * after `mapMs`.
   */
  draw(pen: CanvasPen, view: View, now: number, changed: boolean): boolean {
    const isOutdated = changed && this.#picture !== null && now - this.#madeAt < mapMs;
    if (this.#picture === null || (changed && !isOutdated)) {
      this.#picture = this.#make(pen, view.scene);
      this.#madeAt = now;
    }
    const { width, height } = minimapSize;
    pen.c.clearRect(0, 0, width, height);
    if (this.#picture !== null) pen.c.drawImage(this.#picture, 0, 0, width, height);
    paintMapFrame(pen, view.scene, view.camera, view.size);
    return !isOutdated;
  }

  /** Drops the picture, for when its resolution or the theme has changed. */
  forget(): void {
    this.#picture = null;
  }

  #make(pen: CanvasPen, scene: Scene): HTMLCanvasElement | null {
    const picture = document.createElement("canvas");
    picture.width = Math.round(minimapSize.width * pen.dpr);
    picture.height = Math.round(minimapSize.height * pen.dpr);
    const c = picture.getContext("2d");
    if (c === null) return null;
    c.setTransform(pen.dpr, 0, 0, pen.dpr, 0, 0);
    paintMap(canvasPen(c, pen), scene);
    return picture;
  }
}
