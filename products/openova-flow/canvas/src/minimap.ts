import { fitted, toWorld, visible, type Camera, type Rect, type Size } from "./camera.js";
import type { Pen } from "./pen.js";
import { paintBar } from "./paint-regions.js";
import { stateName } from "./paint-nodes.js";
import type { Scene } from "./scene.js";

export const minimapSize: Size = { width: 184, height: 116 };
const inset = { top: 8, right: 8, bottom: 8, left: 8 };

/** Number of nodes up to which the map shows each of them. */
const single = 1500;

export function minimapCamera(bounds: Rect): Camera {
  return fitted(bounds, minimapSize, inset, 0.5);
}

/** The world point under a point of the map. */
export function fromMinimap(bounds: Rect, x: number, y: number): { x: number; y: number } {
  return toWorld(minimapCamera(bounds), x, y);
}

/** True when the map tells something: part of the world is out of view. */
export function worthAMap(bounds: Rect, camera: Camera, size: Size): boolean {
  const v = visible(camera, size);
  const slack = 8 / camera.k;
  return bounds.x < v.x - slack || bounds.y < v.y - slack
    || bounds.x + bounds.w > v.x + v.w + slack || bounds.y + bounds.h > v.y + v.h + slack;
}

/** All nodes as dots, or for many all regions as bars. */
export function paintMap(pen: Pen, scene: Scene): void {
  const { c, theme } = pen;
  const m = minimapCamera(scene.bounds);
  const place = (r: Rect): Rect => ({ x: (r.x - m.x) * m.k, y: (r.y - m.y) * m.k, w: Math.max(r.w * m.k, 1), h: Math.max(r.h * m.k, 1) });
  if (scene.count > single && scene.regions.length > 1) {
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
  const last = new Map<number, number[]>();
  for (let i = 0; i < scene.count; i++) {
    const s = scene.state[i]!;
    const list = last.get(s);
    if (list === undefined) last.set(s, [i]);
    else list.push(i);
  }
  for (const [s, list] of last) {
    c.fillStyle = theme.states[stateName(s)].color;
    for (const i of list) c.fillRect((scene.x[i]! - m.x) * m.k, (scene.y[i]! - m.y) * m.k, Math.max(scene.w[i]! * m.k, 1.5), Math.max(scene.h[i]! * m.k, 1.5));
  }
}

export function paintMapFrame(pen: Pen, scene: Scene, camera: Camera, size: Size): void {
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
