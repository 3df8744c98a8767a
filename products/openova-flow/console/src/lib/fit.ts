import { TextFitter } from "@openova/flow-canvas/text";

const context = document.createElement("canvas").getContext("2d");
const SIZE = 100;
const text = new TextFitter((char, weight) => {
  if (context === null) return 0;
  context.font = `${weight} ${SIZE}px ${getComputedStyle(document.body).fontFamily}`;
  return context.measureText(char).width / SIZE;
});
/** The sum of the widths of characters differs from the width of their text by about this much, in CSS pixels. */
const SLACK = 1;

/** The name as it fits into an element of this exact width: whole, or with an ellipsis in its middle. `part` is where it differs from other names. */
export function fitted(name: string, part: number, element: HTMLElement, width: number): string {
  const { fontFamily, fontSize, fontWeight } = getComputedStyle(element);
  if (context !== null) {
    context.font = `${fontWeight} ${fontSize} ${fontFamily}`;
    if (context.measureText(name).width <= width + 0.1) return name; // layout counts in 64ths of a pixel
  }
  return text.fit(name, width - SLACK, parseFloat(fontSize), Number(fontWeight), part);
}
