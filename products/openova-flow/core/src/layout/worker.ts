import type { LayoutRequest } from "./client.js";
import { layoutBlock } from "./layered.js";

// The script of a layout worker. It answers each LayoutRequest with the layouts of its blocks, in order.

interface WorkerScope {
  postMessage(message: unknown, transfer: ArrayBufferLike[]): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
}
const scope = globalThis as unknown as WorkerScope;

scope.addEventListener("message", ({ data }) => {
  const { blocks, options } = data as LayoutRequest;
  const layouts = blocks.map((b) => layoutBlock(b, options));
  scope.postMessage(
    layouts,
    layouts.flatMap((l) => [l.x.buffer, l.y.buffer, l.w.buffer, l.layer.buffer, l.rank.buffer]),
  );
});
