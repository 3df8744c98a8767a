import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defaultClientConditions, defineConfig, type Plugin } from "vite";
import { budget } from "./build/budget.ts";

/**
 * Modules of which only what is imported matters here. Svelte's do not say so themselves, and lists would be needed at first; the canvas
 * package defines its element, which the graph does itself.
 */
const withoutEffects: Plugin = {
  name: "without-effects",
  transform: {
    filter: { id: [/svelte\/src\/internal\/client\/dom\/(blocks\/each|elements\/custom-element|elements\/bindings\/input)\.js$/, /canvas\/src\/index\.ts$/] },
    handler: () => ({ moduleSideEffects: false }),
  },
};

const BASE =
  /svelte\/src\/|clsx|vite\/preload-helper|console\/src\/(App|parts\/(Face|Guarded)|lib\/(guard|nav|route|theme|format|schedule))|canvas\/src\/glyphs|core\/src\/(display|judgement|flow-id|state|persistent|progress|regions|adjacency|graph|api|rollouts|web|types)\.ts$/;

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
    rolldownOptions: {
      output: {
        // What both pages need at first is one script, and what they do not need then is kept out of it.
        codeSplitting: {
          includeDependenciesRecursively: false,
          groups: [
            { name: "stream", test: /core\/src\/(sse|sse-parser|parse-regions|validate)\.ts$/, priority: 2 },
            { name: "lists", test: /svelte\/src\/internal\/client\/dom\/(blocks\/each|elements\/bindings\/input)\.js$/, priority: 2 },
            { name: "base", test: BASE, priority: 1 },
          ],
        },
      },
    },
  },
});
