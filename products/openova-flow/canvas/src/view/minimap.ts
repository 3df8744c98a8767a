import { fitted, toWorld, visible, type Camera, type Rect, type Size } from "../geometry/camera.js";

/** The size of the map, in CSS pixels. */
export const minimapSize: Size = { width: 184, height: 116 };
/** Minimum milliseconds between two pictures of the scene for the map. */
export const mapMs = 250;
const inset = { top: 8, right: 8, bottom: 8, left: 8 };

export function minimapCamera(bounds: Rect): Camera {
  return fitted(bounds, minimapSize, inset, 0.5);
}

/** Converts a point of the map, in CSS pixels, into world coordinates. */
export function fromMinimap(bounds: Rect, x: number, y: number): { x: number; y: number } {
  return toWorld(minimapCamera(bounds), x, y);
}

/** Whether the map is useful: part of the world is out of view, by more than 8 CSS pixels. */
export function worthAMap(bounds: Rect, camera: Camera, size: Size): boolean {
  const v = visible(camera, size);
  const slack = 8 / camera.k;
  return bounds.x < v.x - slack || bounds.y < v.y - slack
    || bounds.x + bounds.w > v.x + v.w + slack || bounds.y + bounds.h > v.y + v.h + slack;
}
