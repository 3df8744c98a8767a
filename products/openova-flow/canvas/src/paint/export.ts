import { fitted, type Camera, type Size } from "../geometry/camera.js";
import { levelAt } from "../view/lod.js";
import { paintEdges, paintEmphasis } from "./edges.js";
import { paintNodes } from "./nodes.js";
import { paintFrames, paintRegion } from "./regions.js";
import { canvasPen, type Pen } from "./pen.js";
import type { Scene } from "../scene/scene.js";
import { svgDocument, svgPen } from "./svg.js";
import type { TextFitter } from "../look/text.js";
import type { Theme } from "../look/theme.js";
import { visibleNodes, visibleRegions, type Emphasis, type View } from "../view/view.js";

export interface ExportOptions {
  /** The whole flow (the default), or the view. */
  readonly scope?: "all" | "view";
  /** Image pixels per CSS pixel, for PNG; default 2. */
  readonly scale?: number;
}

/** The state of the element at the time of the export. */
export interface ExportSource {
  readonly scene: Scene;
  readonly emphasis: Emphasis | null;
  readonly camera: Camera;
  readonly size: Size;
  readonly theme: Theme;
  readonly text: TextFitter;
  readonly family: string;
  readonly title: string;
}

/** Maximum side of a PNG in image pixels. Browsers cannot create much larger canvases. */
const longest = 8192;
/** Size of an exported view, in CSS pixels, below which a flow is not scaled down: a large `scale` is reduced instead. */
const leastView = 1024;
const margin = 24;

function viewToExport(source: ExportSource, scope: "all" | "view", limit: number): View {
  const { scene, emphasis } = source;
  if (scope === "view") return { scene, emphasis, camera: source.camera, size: source.size, level: levelAt(source.camera.k), moving: false };
  const { bounds } = scene;
  const k = Math.min(1, (limit - 2 * margin) / Math.max(bounds.w, bounds.h, 1));
  const size = { width: Math.ceil(bounds.w * k) + 2 * margin, height: Math.ceil(bounds.h * k) + 2 * margin };
  const pad = { top: margin, right: margin, bottom: margin, left: margin };
  const camera = fitted(bounds, size, pad, k);
  return { scene, emphasis, camera, size, level: levelAt(camera.k), moving: false };
}

function paintAll(pen: Pen, view: View): void {
  paintFrames(pen, view);
  paintEdges(pen, view);
  paintEmphasis(pen, view);
  for (const region of visibleRegions(view)) paintRegion(pen, view, region);
  paintNodes(pen, view, visibleNodes(view));
}

/** The flow at scale 1, or the view, as an SVG document. */
export function toSVG(source: ExportSource, options: ExportOptions = {}): string {
  const view = viewToExport(source, options.scope ?? "all", Infinity);
  const pen = svgPen(source.theme, source.text, source.family);
  paintAll(pen, view);
  return svgDocument(pen, view.size.width, view.size.height, source.title);
}

/** The flow or the view as a PNG, scaled down if a side would be longer than `longest`. */
export function toPNG(source: ExportSource, options: ExportOptions = {}): Promise<Blob> {
  const wanted = Math.max(0.1, options.scale ?? 2);
  const view = viewToExport(source, options.scope ?? "all", Math.max(longest / wanted, leastView));
  const scale = Math.min(wanted, longest / Math.max(view.size.width, view.size.height, 1));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(view.size.width * scale));
  canvas.height = Math.max(1, Math.round(view.size.height * scale));
  const c = canvas.getContext("2d");
  if (c === null) return Promise.reject(new Error("cannot create a 2D canvas for the export"));
  c.setTransform(scale, 0, 0, scale, 0, 0);
  c.fillStyle = source.theme.background;
  c.fillRect(0, 0, view.size.width, view.size.height);
  paintAll(canvasPen(c, { dpr: scale, theme: source.theme, text: source.text, family: source.family }), view);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob === null ? reject(new Error("the browser could not encode the image")) : resolve(blob)), "image/png");
  });
}
