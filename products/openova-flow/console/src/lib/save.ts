import type { OpenovaFlowElement } from "@openova/flow-canvas";

export async function save(graph: OpenovaFlowElement, name: string, kind: "png" | "svg"): Promise<void> {
  download(kind === "png" ? await graph.exportPNG() : new Blob([await graph.exportSVG()], { type: "image/svg+xml" }), `${name}.${kind}`);
}

function download(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
