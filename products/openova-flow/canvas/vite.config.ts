import { defineConfig } from "vite";

/** Builds one file and its worker, for pages without a bundler. */
export default defineConfig({
  resolve: { conditions: ["openova-source"] },
  base: "./",
  worker: { format: "es" },
  build: {
    outDir: "dist/standalone",
    lib: { entry: "src/index.ts", formats: ["es"], fileName: () => "openova-flow.js" },
    rolldownOptions: { output: { codeSplitting: false } },
  },
});
