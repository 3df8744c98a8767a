import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defaultClientConditions, defineConfig, type Plugin, type UserConfig } from "vite";
import { budget, measure, type Output } from "./build/budget.ts";
import { chunksByEntry } from "./build/chunks.ts";
import breakpoints from "./src/breakpoints.json" with { type: "json" };

/** Svelte does not say that its runtime does nothing by being loaded: without this, all of it that any part of the page needs would be loaded at first. */
const withoutEffects: Plugin = {
  name: "without-effects",
  apply: "build",
  transform: { filter: { id: /\/svelte\/src\/internal\/client\// }, handler: () => ({ moduleSideEffects: false }) },
};

/** No server renders a part of this page. Svelte hides what is for such pages behind one flag; here the flag is constant, so that the bundler drops all of it. */
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

/** Puts the page's breakpoints in place of `(--name)` in media queries of style sheets. */
const customMedia: Plugin = {
  name: "custom-media",
  enforce: "pre",
  transform: { filter: { id: /\.css$/ }, handler: (code) => code.replace(/\(--(\w+)\)/g, (whole, name: string) => (breakpoints as Record<string, string>)[name] ?? whole) },
};

/** Names in index.html the scripts that both pages need, so that they come in the first round trip. */
const preloadShared: Plugin = {
  name: "preload-shared",
  transformIndexHtml: {
    order: "post",
    handler(_, { bundle }) {
      if (bundle === undefined) return [];
      const { fleet, flow, frame } = measure(Object.values(bundle) as Output[]);
      const isAsked = (file: string): boolean => (bundle[file] as { isEntry?: boolean }).isEntry === true;
      const shared = [...flow, ...frame].filter(({ file }) => !isAsked(file) && fleet.some((f) => f.file === file));
      return shared.map(({ file }) => ({ tag: "link", attrs: { rel: "modulepreload", href: `./${file}` }, injectTo: "head-prepend" as const }));
    },
  },
};

/** A script that is imported later needs nothing preloaded: vite's helper for that would only make the first ones longer. */
const withoutPreloadHelper: Plugin = {
  name: "without-preload-helper",
  enforce: "pre",
  load: { filter: { id: /vite\/preload-helper\.js$/ }, handler: () => "export const __vitePreload = (load) => load();" },
};

/** Relative URLs throughout, so that the page works under any prefix. */
export const page: UserConfig = {
  base: "./",
  plugins: [withoutPreloadHelper, svelte(), withoutEffects, withoutHydration, customMedia],
  resolve: { conditions: ["openova-source", ...defaultClientConditions] },
  worker: { format: "es" },
  build: {
    outDir: "../server/internal/webui/dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    // One style sheet, and scripts that are few: then there is nothing to preload.
    cssCodeSplit: false,
    modulePreload: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
  },
};

export default defineConfig({ ...page, plugins: [...(page.plugins ?? []), chunksByEntry({ ...page, root: import.meta.dirname }), preloadShared, budget()] });
