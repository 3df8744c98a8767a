import { existsSync } from "node:fs";
import { chromium, type Browser, type BrowserContext, type Locator, type Page } from "playwright-core";

const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Starts Chromium, from CHROME_PATH or where distributions put it. Throws with an installation hint if there is none. */
export async function launch(): Promise<Browser> {
  const named = process.env["CHROME_PATH"];
  const executablePath = named ?? PATHS.find((p) => existsSync(p));
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
  /** Logged errors and warnings, uncaught errors, violations of the content security policy, requests to another origin. */
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

/** Opens a page in a new profile and collects its faults. */
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
  // Every file is its own origin.
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

/** An instant as the page writes it: with the date, unless it is today. */
export const AT = /at (\d+ \w+ (\d+ )?)?\d\d:\d\d:\d\d/;

/** Waits until no part of the page shows that it is loading. */
export async function whole(page: Page): Promise<void> {
  await page.waitForFunction(() => [...document.querySelectorAll("[role=status]")].every((e) => e.textContent !== "Loading"));
}

/**
 * Records announcements for screen readers, and returns a function that reads them. The page must show a flow and have an installed clock,
 * which is moved on by 4 s: after that the page announces changes.
 */
export async function recordAnnouncements(page: Page): Promise<() => Promise<string>> {
  await page.locator("#announcer").evaluate((announcer) => {
    const texts: string[] = [];
    new MutationObserver(() => texts.push(announcer.textContent)).observe(announcer, { childList: true, characterData: true, subtree: true });
    Object.assign(globalThis, { texts });
  });
  await page.clock.fastForward(4000);
  return () => page.evaluate(() => (globalThis as unknown as { texts: string[] }).texts.join("\n"));
}

/** Waits until a locator's text matches, at most a minute. */
export async function says(locator: Locator, text: RegExp): Promise<void> {
  const until = Date.now() + 60_000;
  for (let found = ""; ; ) {
    // During a navigation there is no text.
    const parts = await locator.allInnerTexts().catch((e: unknown) => (/context was destroyed/.test(String(e)) ? [] : Promise.reject(e as Error)));
    found = parts.join(" ").replace(/\s+/g, " ");
    if (text.test(found)) return;
    if (Date.now() > until) throw new Error(`waited for ${text}; the text is: ${found.slice(0, 400)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
