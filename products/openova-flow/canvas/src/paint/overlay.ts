import type { Rect } from "../geometry/camera.js";
import { cardRoom, cardText, nodeBox, stateName } from "./nodes.js";
import { font, snap, type Pen } from "./pen.js";
import { screenRect, type View } from "../view/view.js";

export interface Pointed {
  /** Index of a node of the scene, or -1. */
  readonly selected: number;
  readonly hovered: number;
  /** Frame of the selected region or group. */
  readonly selectedFrame: Rect | undefined;
  /** Frame of the hovered tile. */
  readonly hoveredFrame: Rect | undefined;
  /** Whether the element has keyboard focus. */
  readonly focused: boolean;
}

function ring(pen: Pen, r: Rect, color: string, width: number, radius: number): void {
  const { c } = pen;
  const out = width / 2 + 1;
  c.strokeStyle = color;
  c.lineWidth = width;
  c.beginPath();
  c.roundRect(r.x - out, r.y - out, r.w + 2 * out, r.h + 2 * out, radius + out);
  c.stroke();
}

/** Draws rings round the selected and hovered targets, and a tooltip if the hovered node, otherwise the selected one, shows less than its name and caption. */
export function paintOverlay(pen: Pen, view: View, at: Pointed): void {
  const radius = Math.min(7 * view.camera.k, 9);
  if (at.hoveredFrame !== undefined) ring(pen, screenRect(view, at.hoveredFrame), pen.theme.faint, 1.5, 6);
  if (at.selectedFrame !== undefined) ring(pen, screenRect(view, at.selectedFrame), pen.theme.focus, 2, 6);
  if (at.hovered >= 0 && at.hovered !== at.selected) ring(pen, nodeBox(view, pen.dpr, at.hovered), pen.theme.faint, 1.5, radius);
  if (at.selected >= 0) ring(pen, nodeBox(view, pen.dpr, at.selected), pen.theme.focus, at.focused ? 2.5 : 2, radius);
  const described = at.hovered >= 0 ? at.hovered : at.selected;
  if (described >= 0 && needsTooltip(pen, view, described)) paintTooltip(pen, view, described);
}

function needsTooltip(pen: Pen, view: View, i: number): boolean {
  // A dimmed card has no caption.
  if (view.level !== "card" || view.emphasis?.dim[i] === 1) return true;
  const room = cardRoom(pen, view, nodeBox(view, pen.dpr, i).w);
  const [name, caption] = cardText(view.camera.k);
  const label = view.scene.labels[i]!, line = view.scene.caption(i);
  return view.scene.fitLabel(i, pen.text, room, name, 600, false) !== label || pen.text.fit(line, room, caption, 400) !== line;
}

function paintTooltip(pen: Pen, view: View, i: number): void {
  const { c, theme, text } = pen;
  const { size } = view;
  const most = Math.max(60, Math.min(360, size.width - 40));
  const label = view.scene.fitLabel(i, text, most, 12.5, 600, false);
  const line = text.fit(view.scene.caption(i), most, 11.5, 400);
  const box = nodeBox(view, pen.dpr, i);
  const w = Math.ceil(Math.max(text.width(label, 12.5, 600), text.width(line, 11.5, 400))) + 44;
  const h = 44;
  const x = snap(Math.min(Math.max(box.x + box.w / 2 - w / 2, 4), Math.max(4, size.width - w - 4)), pen.dpr);
  const above = box.y - h - 8;
  const y = snap(above >= 4 ? above : box.y + box.h + 8, pen.dpr);
  const name = stateName(view.scene.state[i]!);
  c.fillStyle = theme.surface;
  c.strokeStyle = theme.faint;
  c.lineWidth = 1;
  c.beginPath();
  c.roundRect(x + 0.5, y + 0.5, w - 1, h - 1, 8);
  c.fill();
  c.stroke();
  pen.glyph(name, x + 17, y + h / 2, 16, theme.states[name].color);
  c.textAlign = "left";
  c.textBaseline = "alphabetic";
  c.font = font(pen, 12.5, 600);
  c.fillStyle = theme.text;
  c.fillText(label, x + 32, y + 19);
  c.font = font(pen, 11.5, 400);
  c.fillStyle = theme.muted;
  c.fillText(line, x + 32, y + 34);
}
