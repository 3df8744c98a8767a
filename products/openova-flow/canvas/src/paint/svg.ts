import { glyphs, type GlyphName } from "../look/glyphs.js";
import { stripePeriod, type Context, type Pen } from "./pen.js";
import type { TextFitter } from "../look/text.js";
import type { Theme } from "../look/theme.js";

function escape(s: string): string {
  return s.replace(/[&<>"]/g, (c) => (c === "&" ? "&amp;" : c === "<" ? "&lt;" : c === ">" ? "&gt;" : "&quot;"))
    // XML forbids these characters, even escaped.
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd");
}

const num = (v: number): string => String(Math.round(v * 100) / 100);

/** A context that writes SVG. It implements only what the painters use. */
export class SvgContext implements Context {
  fillStyle: string | CanvasGradient | CanvasPattern = "#000";
  strokeStyle: string | CanvasGradient | CanvasPattern = "#000";
  lineWidth = 1;
  lineCap: CanvasLineCap = "butt";
  lineJoin: CanvasLineJoin = "miter";
  globalAlpha = 1;
  font = "10px sans-serif";
  textAlign: CanvasTextAlign = "start";
  textBaseline: CanvasTextBaseline = "alphabetic";
  readonly parts: string[] = [];
  #dash: readonly number[] = [];
  #path = "";

  setLineDash(segments: number[]): void { this.#dash = segments.slice(); }
  beginPath(): void { this.#path = ""; }
  closePath(): void { this.#path += "Z"; }
  moveTo(x: number, y: number): void { this.#path += `M${num(x)} ${num(y)}`; }
  lineTo(x: number, y: number): void { this.#path += `L${num(x)} ${num(y)}`; }
  bezierCurveTo(a: number, b: number, c: number, d: number, x: number, y: number): void {
    this.#path += `C${[a, b, c, d, x, y].map(num).join(" ")}`;
  }
  rect(x: number, y: number, w: number, h: number): void {
    this.#path += `M${num(x)} ${num(y)}h${num(w)}v${num(h)}h${num(-w)}Z`;
  }
  roundRect(x: number, y: number, w: number, h: number, radii: number | DOMPointInit | Iterable<number | DOMPointInit> = 0): void {
    const list = typeof radii === "number" ? [radii, radii, radii, radii] : [...(radii as Iterable<number>)];
    const most = Math.max(0, Math.min(w, h) / 2);
    const [a, b, c, d] = [0, 1, 2, 3].map((i) => Math.min(list[i] ?? 0, most)) as [number, number, number, number];
    const arc = (r: number, dx: number, dy: number): string => (r > 0 ? `a${num(r)} ${num(r)} 0 0 1 ${num(dx)} ${num(dy)}` : "");
    this.#path += `M${num(x + a)} ${num(y)}H${num(x + w - b)}${arc(b, b, b)}V${num(y + h - c)}${arc(c, -c, c)}H${num(x + d)}${arc(d, -d, -d)}V${num(y + a)}${arc(a, a, -a)}Z`;
  }
  arc(x: number, y: number, r: number, _from: number, _to: number): void {
    this.#path += `M${num(x + r)} ${num(y)}a${num(r)} ${num(r)} 0 1 1 ${num(-2 * r)} 0a${num(r)} ${num(r)} 0 1 1 ${num(2 * r)} 0Z`;
  }
  fill(): void { this.parts.push(`<path d="${this.#path}" fill="${String(this.fillStyle)}"${this.#alpha()}/>`); }
  stroke(): void {
    const dash = this.#dash.length > 0 ? ` stroke-dasharray="${this.#dash.map(num).join(" ")}"` : "";
    const cap = this.lineCap === "butt" ? "" : ` stroke-linecap="${this.lineCap}"`;
    this.parts.push(`<path d="${this.#path}" fill="none" stroke="${String(this.strokeStyle)}" stroke-width="${num(this.lineWidth)}"${cap}${dash}${this.#alpha()}/>`);
  }
  fillRect(x: number, y: number, w: number, h: number): void {
    this.parts.push(`<rect x="${num(x)}" y="${num(y)}" width="${num(w)}" height="${num(h)}" fill="${String(this.fillStyle)}"${this.#alpha()}/>`);
  }
  fillText(text: string, x: number, y: number): void {
    const m = /^(\d+) ([\d.]+)px /.exec(this.font);
    const anchor = this.textAlign === "center" ? ' text-anchor="middle"' : this.textAlign === "right" ? ' text-anchor="end"' : "";
    this.parts.push(`<text x="${num(x)}" y="${num(y)}" font-size="${m?.[2] ?? "10"}" font-weight="${m?.[1] ?? "400"}"${anchor} fill="${String(this.fillStyle)}"${this.#alpha()}>${escape(text)}</text>`);
  }
  raw(markup: string): void { this.parts.push(markup); }
  #alpha(): string { return this.globalAlpha === 1 ? "" : ` opacity="${num(this.globalAlpha)}"`; }
}

export interface SvgPen extends Pen {
  readonly c: SvgContext;
}

export function svgPen(theme: Theme, text: TextFitter, family: string): SvgPen {
  const c = new SvgContext();
  return {
    c, theme, text, family, dpr: 1,
    glyph(name: GlyphName, x, y, size, color) {
      const g = glyphs[name];
      const s = size / 16;
      const at = `transform="translate(${num(x - 8 * s)} ${num(y - 8 * s)}) scale(${Math.round(s * 1000) / 1000})"`;
      const alpha = c.globalAlpha === 1 ? "" : ` opacity="${num(c.globalAlpha)}"`;
      c.raw(`<path ${at} d="${g.stroke}" fill="none" stroke="${color}" stroke-width="${g.width}" stroke-linecap="round" stroke-linejoin="round"${alpha}/>`);
      if (g.fill !== undefined) c.raw(`<path ${at} d="${g.fill}" fill="${color}"${alpha}/>`);
    },
    stripes(x, y, w, h) {
      c.fillStyle = "url(#stripes)";
      c.fillRect(x, y, w, h);
    },
  };
}

/** The SVG document of everything that a pen has drawn. */
export function svgDocument(pen: SvgPen, width: number, height: number, title: string): string {
  const n = stripePeriod;
  const w = num(Math.ceil(width)), h = num(Math.ceil(height));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" font-family="${escape(pen.family)}">`,
    `<title>${escape(title)}</title>`,
    `<defs><pattern id="stripes" width="${n}" height="${n}" patternUnits="userSpaceOnUse"><path d="M0 ${n}L${n} 0H${n * 1.5}L${n / 2} ${n}ZM${-n} ${n}L0 0H${n / 2}L${-n / 2} ${n}Z" fill="${escape(pen.theme.stripe)}"/></pattern></defs>`,
    `<rect width="${w}" height="${h}" fill="${pen.theme.background}"/>`,
    ...pen.c.parts,
    "</svg>",
  ].join("\n");
}
