import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { buildPage, launch, serve } from "./support/browser.js";

const cleanup: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const undo of cleanup.reverse()) await undo();
});

test("the example of the README runs as it stands", async () => {
  const readme = await readFile(join(import.meta.dirname, "../README.md"), "utf8");
  const example = /```js\n([\s\S]*?)```/.exec(readme)![1]!;
  // Inside the workspace, so that the packages are resolved by name.
  const cache = join(import.meta.dirname, "../../node_modules/.cache");
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, "canvas-readme-"));
  cleanup.push(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "example.js"), example);
  await writeFile(join(folder, "index.html"), '<!doctype html><html lang="en"><title>x</title><body><script type="module" src="./example.js"></script></body></html>');
  await buildPage(folder, join(folder, "out"));
  const server = await serve(join(folder, "out"));
  cleanup.push(() => server.close());
  const browser = await launch();
  cleanup.push(() => browser.close());
  const page = await browser.newPage();
  const problems: string[] = [];
  page.on("pageerror", (e) => problems.push(String(e)));
  page.on("console", (m) => m.type() === "error" && problems.push(m.text()));
  // The timeout of the example runs only once the first state has been seen.
  await page.addInitScript(() => {
    const { setTimeout: after } = globalThis;
    const later = (fn: () => void, ms?: number): unknown => (ms === 2000 ? Object.assign(globalThis, { later: fn }) : after(fn, ms));
    Object.assign(globalThis, { setTimeout: later });
  });
  await page.goto(server.url);
  const drawn = (): Promise<string> => page.evaluate(() => {
    const el = document.querySelector("openova-flow")!;
    return el.boxOf("fsn1/keycloak") === undefined ? "" : el.exportSVG();
  });
  // How much of the text fits into the card depends on the installed fonts.
  await expect.poll(drawn).toMatch(/waiting for cert-mana(ger<|…)/);
  await page.evaluate("later()");
  await expect.poll(drawn).toMatch(/>ready<|>\d+s</);
  expect(problems).toEqual([]);
});
