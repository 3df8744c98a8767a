import type { OpenovaFlowElement } from "@openova/flow-canvas";
import type { HTMLAttributes } from "svelte/elements";

declare module "svelte/elements" {
  interface SvelteHTMLElements {
    "openova-flow": HTMLAttributes<OpenovaFlowElement> & { readonly theme?: "auto" | "light" | "dark"; readonly controls?: boolean; readonly minimap?: "on" | "off" };
  }
}
