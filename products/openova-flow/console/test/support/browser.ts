import { existsSync } from "node:fs";
import { chromium, type Browser, type BrowserContext, type Locator, type Page } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Chromium, from CHROME_PATH or where distributions put it. Without one the tests fail and say what to install. */
export async function launch(): Promise<Browser> {
  const named = process.env["CHROME_PATH"];
  const executablePath = named ?? PLACES.find((p) => existsSync(p));
  if (executablePath === undefined || !existsSync(executablePath)) {
    const what = named === undefined ? "no Chromium was found" : `CHROME_PATH names ${named}, which does not exist`;
    throw new Error(`${what}; install it ("apt-get install -y chromium") or set CHROME_PATH to a Chromium or Chrome`);
  }
  return chromium.launch({
    executablePath,
    timeout: 120_000,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

export interface Visit {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the page must not have done: errors, violations of its policy, requests to another origin. */
  readonly faults: string[];
  close(): Promise<void>;
}
export interface VisitOptions {
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: "light" | "dark";
  readonly deviceScaleFactor?: number;
  readonly reducedMotion?: "reduce" | "no-preference";
  readonly setup?: (page: Page) => Promise<void>;
}

/** Opens a page in a fresh profile and writes down everything that it must not do. */
export async function visit(browser: Browser, url: string, options: VisitOptions = {}): Promise<Visit> {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1440, height: options.height ?? 900 },
    colorScheme: options.scheme ?? "dark",
    deviceScaleFactor: options.deviceScaleFactor ?? 1,
    reducedMotion: options.reducedMotion ?? "reduce",
    locale: "en-GB",
  });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const faults: string[] = [];
  // A file is an origin of its own.
  const origin = url.startsWith("file:") ? url : new URL(url).origin;
  page.on("console", (m) => {
    if (m.type() === "error" || m.type() === "warning") faults.push(`console ${m.type()}: ${m.text()} ${m.location().url}`);
  });
  page.on("pageerror", (e) => faults.push(`error: ${e.message} ${e.stack ?? ""}`));
  context.on("request", (r) => {
    if (!r.url().startsWith(origin) && !/^(data|blob):/.test(r.url())) faults.push(`another origin: ${r.url()}`);
  });
  await page.exposeFunction("violated", (what: string) => faults.push(`policy: ${what}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (e) => {
      (globalThis as unknown as { violated(what: string): void }).violated(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`);
    });
  });
  await options.setup?.(page);
  await page.goto(url);
  return { page, context, faults, close: () => context.close() };
}

/** An instant as the page writes it: with its day, where midnight lies between. */
export const AT = /at (\d+ \w+ (\d+ )?)?\d\d:\d\d:\d\d/;

/** Waits until every part of a page that is loaded by itself is there. */
export async function whole(page: Page): Promise<void> {
  await page.waitForFunction(() => [...document.querySelectorAll("[role=status]")].every((e) => e.textContent !== "Loading"));
}

/** Lets the page have its first look at a flow, which is what changes are told from. Answers everything that it tells from then on. */
export async function listenTo(page: Page): Promise<() => Promise<string>> {
  await page.locator("#announcer").evaluate((announcer) => {
    const heard: string[] = [];
    new MutationObserver(() => heard.push(announcer.textContent)).observe(announcer, { childList: true, characterData: true, subtree: true });
    Object.assign(globalThis, { heard });
  });
  await page.clock.fastForward(4000);
  return () => page.evaluate(() => (globalThis as unknown as { heard: string[] }).heard.join("\n"));
}

/** Waits until a locator's text matches. */
export async function says(locator: Locator, text: RegExp): Promise<void> {
  const until = Date.now() + 60_000;
  for (let said = ""; ; ) {
    // A page that goes elsewhere meanwhile says nothing for a moment.
    const texts = await locator.allInnerTexts().catch((e: unknown) => (/context was destroyed/.test(String(e)) ? [] : Promise.reject(e as Error)));
    said = texts.join(" ").replace(/\s+/g, " ");
    if (text.test(said)) return;
    if (Date.now() > until) throw new Error(`waited for ${text}; it says: ${said.slice(0, 400)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
