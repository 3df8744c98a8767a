import { OpenovaFlowElement } from "./element.js";
import type { FlowCanvasEvents } from "./events.js";

export { OpenovaFlowElement } from "./element.js";
export type { FlowCanvasEvents, OpenFlowDetail, SelectDetail, SelectKind, ViewDetail } from "./events.js";
export type { Camera, Padding, Rect } from "./camera.js";
export type { Filter, Highlight } from "./emphasis.js";
export type { ExportOptions } from "./export.js";
export type { Level } from "./lod.js";
export { glyphs, type Glyph, type GlyphName } from "./glyphs.js";
export { dark, light, type StateStyle, type Theme } from "./theme.js";
export { caption, type CaptionContext } from "./caption.js";
export { duration } from "./text.js";

declare global {
  interface HTMLElementTagNameMap {
    "openova-flow": OpenovaFlowElement;
  }
}

export interface OpenovaFlowElementEventMap extends HTMLElementEventMap, Omit<FlowCanvasEvents, keyof HTMLElementEventMap> {}

if (customElements.get("openova-flow") === undefined) customElements.define("openova-flow", OpenovaFlowElement);
