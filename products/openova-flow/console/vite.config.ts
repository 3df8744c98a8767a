import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defaultClientConditions, defineConfig } from "vite";
import { budget } from "./build/budget.ts";

/** Relative URLs throughout, so that the page works under any prefix. */
export default defineConfig({
  base: "./",
  plugins: [svelte(), budget({ limit: 60_000 })],
  resolve: { conditions: ["openova-source", ...defaultClientConditions] },
  worker: { format: "es" },
  build: {
    outDir: "../server/internal/webui/dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
  },
});
