import { OpenovaFlowElement } from "./element/element.js";
import type { FlowCanvasEvents } from "./element/events.js";
import { adoptPalette } from "./look/palette.js";

export { OpenovaFlowElement } from "./element/element.js";
export type { FlowCanvasEvents, OpenFlowDetail, SelectDetail, SelectKind, ViewDetail } from "./element/events.js";
export type { Camera, Padding, Rect } from "./geometry/camera.js";
export type { Filter, Highlight } from "./view/emphasis.js";
export type { ExportOptions } from "./paint/export.js";
export type { Level } from "./view/lod.js";
export { glyphs, type Glyph, type GlyphName } from "./look/glyphs.js";
export { caption, type CaptionContext } from "./scene/caption.js";

declare global {
  interface HTMLElementTagNameMap {
    "openova-flow": OpenovaFlowElement;
  }
}

export interface OpenovaFlowElementEventMap extends HTMLElementEventMap, Omit<FlowCanvasEvents, keyof HTMLElementEventMap> {}

adoptPalette();
if (customElements.get("openova-flow") === undefined) customElements.define("openova-flow", OpenovaFlowElement);
