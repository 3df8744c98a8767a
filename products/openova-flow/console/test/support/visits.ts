import { afterEach, expect } from "vitest";
import type { Browser, Page } from "playwright-core";
import { visit, type Visit, type VisitOptions } from "./browser.ts";

/** Returns a function that opens pages. They are closed after each test, which fails if a page has faults. */
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
