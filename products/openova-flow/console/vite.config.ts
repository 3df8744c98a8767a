import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defaultClientConditions, defineConfig, type Plugin, type UserConfig } from "vite";
import { budget, measure, type Output } from "./build/budget.ts";
import { chunksByEntry } from "./build/chunks.ts";
import { publish } from "./build/publish.ts";
import breakpoints from "./src/breakpoints.json" with { type: "json" };

/** Marks Svelte's runtime as free of side effects. Otherwise the first scripts would contain every part of it that the page uses. */
const withoutEffects: Plugin = {
  name: "without-effects",
  apply: "build",
  transform: { filter: { id: /\/svelte\/src\/internal\/client\// }, handler: () => ({ moduleSideEffects: false }) },
};

/** This page has no server-side rendering. Svelte's code for it depends on one flag, which is constant here, so that the bundler drops that code. */
const withoutHydration: Plugin = {
  name: "without-hydration",
  apply: "build",
  load: {
    filter: { id: /\/svelte\/src\/internal\/client\/dom\/hydration\.js$/ },
    handler: () =>
      "export const hydrating = false, hydrate_node = null;" +
      ["set_hydrating", "set_hydrate_node", "hydrate_next", "hydrate_template", "next", "read_hydration_instruction", "reset", "skip_nodes"].map((name) => `/* @__NO_SIDE_EFFECTS__ */ export function ${name}() {}`).join(""),
  },
};

/** Replaces `(--name)` in media queries by the page's breakpoints. */
const customMedia: Plugin = {
  name: "custom-media",
  enforce: "pre",
  transform: { filter: { id: /\.css$/ }, handler: (code) => code.replace(/\(--(\w+)\)/g, (whole, name: string) => (breakpoints as Record<string, string>)[name] ?? whole) },
};

/** Lets index.html preload the scripts that fleet and flow share, so that they load together with the entry. */
const preloadShared: Plugin = {
  name: "preload-shared",
  transformIndexHtml: {
    order: "post",
    handler(_, { bundle }) {
      if (bundle === undefined) return [];
      const { fleet, flow, frame } = measure(Object.values(bundle) as Output[]);
      const isEntry = (file: string): boolean => (bundle[file] as { isEntry?: boolean }).isEntry === true;
      const shared = [...flow, ...frame].filter(({ file }) => !isEntry(file) && fleet.some((f) => f.file === file));
      return shared.map(({ file }) => ({ tag: "link", attrs: { rel: "modulepreload", href: `./${file}` }, injectTo: "head-prepend" as const }));
    },
  },
};

/** Replaces vite's preload helper: scripts that load on demand have nothing to preload. */
const withoutPreloadHelper: Plugin = {
  name: "without-preload-helper",
  enforce: "pre",
  load: { filter: { id: /vite\/preload-helper\.js$/ }, handler: () => "export const __vitePreload = (load) => load();" },
};

/** What all builds of the page share. */
export const page: UserConfig = {
  base: "./", // so that the page works under any prefix
  plugins: [withoutPreloadHelper, svelte(), withoutEffects, withoutHydration, customMedia],
  resolve: { conditions: ["openova-source", ...defaultClientConditions] },
  worker: { format: "es" },
  build: {
    outDir: "../node_modules/.build/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    cssCodeSplit: false, // one style sheet
    modulePreload: false, // left to `preloadShared`
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
  },
};

export default defineConfig({ ...page, plugins: [...(page.plugins ?? []), chunksByEntry({ ...page, root: import.meta.dirname }), preloadShared, budget(), publish("../server/internal/webui/dist", { whole: true })] });
