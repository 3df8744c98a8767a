import type { Size } from "../geometry/camera.js";
import { minimapSize } from "../view/minimap.js";
import { canvasPen, type CanvasPen, type CanvasPenOptions } from "./pen.js";

/** The canvases of the element, from bottom to top, and that of the map. */
export interface Layers {
  /** Frames and edges. */
  readonly ground: HTMLCanvasElement;
  /** Nodes, tiles and titles: redrawn in part when a status changes. */
  readonly nodes: HTMLCanvasElement;
  /** Rings and the tooltip. */
  readonly overlay: HTMLCanvasElement;
  readonly map: HTMLCanvasElement;
}

export type Pens = { readonly [layer in keyof Layers]: CanvasPen };

/** Makes the layers as large as the element, of `size` in CSS pixels; the map has a size of its own. */
export function resizeLayers({ map, ...others }: Layers, size: Size, dpr: number): void {
  const fit = (canvas: HTMLCanvasElement, s: Size): void => {
    canvas.width = Math.max(1, Math.round(s.width * dpr));
    canvas.height = Math.max(1, Math.round(s.height * dpr));
    // The CSS size matches the pixels exactly. Text on a scaled canvas would blur.
    canvas.style.width = `${canvas.width / dpr}px`;
    canvas.style.height = `${canvas.height / dpr}px`;
  };
  for (const canvas of Object.values(others)) fit(canvas, size);
  fit(map, minimapSize);
}

/** Pens for all layers; null if the browser supports no 2D canvas. */
export function pensOf(layers: Layers, options: CanvasPenOptions): Pens | null {
  const pens: Partial<Record<keyof Layers, CanvasPen>> = {};
  for (const [name, canvas] of Object.entries(layers) as [keyof Layers, HTMLCanvasElement][]) {
    const c = canvas.getContext("2d");
    if (c === null) return null;
    c.setTransform(options.dpr, 0, 0, options.dpr, 0, 0);
    pens[name] = canvasPen(c, options);
  }
  return pens as Pens;
}
