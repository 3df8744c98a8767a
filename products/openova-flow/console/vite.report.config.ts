import { defineConfig, type Plugin } from "vite";
import { oneFile } from "./build/one-file.ts";
import { publish } from "./build/publish.ts";
import { page } from "./vite.config.ts";

/** Reads from the recording in place of a server, and runs the layout without a worker, which would be another file. */
const withoutServer: Plugin = {
  name: "without-server",
  enforce: "pre",
  load: {
    filter: { id: /\/(console\/src\/lib\/(feed|guard)|canvas\/src\/element\/worker)\.ts$/ },
    handler: (id) => (id.endsWith("/worker.ts") ? "export const layoutWorker = () => null;" : `export * from "../report/${id.endsWith("/feed.ts") ? "feed" : "guard"}.js";`),
  },
};

/** The report of the gate: one file, embedded in the server. */
export default defineConfig({
  ...page,
  plugins: [withoutServer, ...(page.plugins ?? []), oneFile("report.html", "page.html"), publish("../server/internal/reportpage", { whole: false })],
  publicDir: false,
  build: { ...page.build, outDir: "../node_modules/.build/report", rolldownOptions: { input: "report.html", output: { codeSplitting: false } } },
});
