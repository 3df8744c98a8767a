import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defaultClientConditions, defineConfig, type Plugin } from "vite";
import { budget } from "./build/budget.ts";

/**
 * Modules that do something when they are loaded, which this page does not need: Svelte's base class for custom elements, and the
 * canvas package's definition of its element, which the graph makes itself.
 */
const withoutEffects: Plugin = {
  name: "without-effects",
  transform: {
    filter: { id: [/svelte\/src\/internal\/client\/dom\/elements\/custom-element\.js$/, /canvas\/src\/index\.ts$/] },
    handler: () => ({ moduleSideEffects: false }),
  },
};

/** Relative URLs throughout, so that the page works under any prefix. */
export default defineConfig({
  base: "./",
  plugins: [svelte(), withoutEffects, budget()],
  resolve: { conditions: ["openova-source", ...defaultClientConditions] },
  worker: { format: "es" },
  build: {
    outDir: "../server/internal/webui/dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    // One style sheet, and scripts that are few: then there is nothing to preload and no helper for it.
    cssCodeSplit: false,
    modulePreload: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
  },
});
