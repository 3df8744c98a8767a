import { afterEach, expect } from "vitest";
import type { Browser, Page } from "playwright-core";
import { visit, type Visit, type VisitOptions } from "./browser.ts";

/** Keeps the pages that a test opens, and closes them after it; a fault of one fails the test. */
export function visits(): (browser: Browser, url: string, options?: VisitOptions) => Promise<Page> {
  const opened: Visit[] = [];
  afterEach(async () => {
    const all = opened.splice(0);
    for (const v of all) await v.close();
    for (const v of all) expect(v.faults).toEqual([]);
  });
  return async (browser, url, options = {}) => {
    const v = await visit(browser, url, options);
    opened.push(v);
    return v.page;
  };
}
