import { TextFitter } from "@openova/flow-canvas/text";

const context = document.createElement("canvas").getContext("2d");
const SIZE = 100;
const text = new TextFitter((char, weight) => {
  if (context === null) return 0;
  context.font = `${weight} ${SIZE}px ${getComputedStyle(document.body).fontFamily}`;
  return context.measureText(char).width / SIZE;
});
/** An element's width is rounded to whole pixels. */
const ROUNDED = 1;

/** The name as it fits into an element of this width: whole, or with an ellipsis in its middle. `part` is where it differs from other names. */
export function fitted(name: string, part: number, element: HTMLElement, width: number): string {
  const { fontSize, fontWeight } = getComputedStyle(element);
  return text.fit(name, width - ROUNDED, parseFloat(fontSize), Number(fontWeight), part);
}
