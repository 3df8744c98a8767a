import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import { chromium, type Browser } from "playwright-core";
import { build } from "vite";

/** No inline script or style, and nothing from another origin, workers included. */
export const strictPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; worker-src 'self'; connect-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'";

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".json": "application/json",
};

/** The path of a Chromium: CHROME_PATH, else that of the distribution. Throws if there is none. */
export function chromePath(): string {
  const path = process.env["CHROME_PATH"] ?? "/usr/bin/chromium";
  if (!existsSync(path)) {
    throw new Error(`no Chromium at ${path}: install one (Debian: apt-get install chromium) or set CHROME_PATH to one`);
  }
  return path;
}

export function launch(args: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath: chromePath(),
    timeout: 120_000,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", ...args],
  });
}

/** Builds the page in `root` into `outDir` as a shipped page is built: with hashed names and no inlined code. */
export async function buildPage(root: string, outDir: string, conditions: readonly string[] = ["openova-source"]): Promise<void> {
  await build({
    root, base: "./", logLevel: "error", configFile: false,
    resolve: { conditions: [...conditions, "module", "browser", "production"] },
    worker: { format: "es" },
    build: { outDir, emptyOutDir: true, modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  });
}

/** Handles a request and returns true, or returns false to serve it from the folder. */
export type Handler = (req: IncomingMessage, res: ServerResponse) => boolean;

/** Serves a folder on loopback with a content security policy. */
export async function serve(folder: string, policy = strictPolicy, handler: Handler = () => false): Promise<{ url: string; close(): Promise<void> }> {
  const server: Server = createServer((req, res) => {
    if (handler(req, res)) return;
    const path = normalize(decodeURIComponent(new URL(req.url ?? "/", "http://x").pathname)).replace(/\/$/, "/index.html");
    readFile(join(folder, path)).then(
      (body) => res.writeHead(200, { "content-type": types[extname(path)] ?? "application/octet-stream", "content-security-policy": policy }).end(body),
      () => res.writeHead(path === "/favicon.ico" ? 204 : 404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return {
    url: `http://127.0.0.1:${address.port}/`,
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}
