import AxeBuilder from "@axe-core/playwright";
import type { Page } from "playwright-core";
import { whole } from "./browser.ts";

/** The accessibility violations of a page or, with a selector, of a part of it. The legacy mode checks no frames, and the page has none. */
export async function violations(page: Page, within?: string): Promise<readonly string[]> {
  await whole(page);
  const axe = new AxeBuilder({ page }).setLegacyMode();
  const { violations } = await (within === undefined ? axe : axe.include(within)).analyze();
  return violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target.join(" ")} ${n.any.map((a) => a.message).join(" ")}`).join(" | ")}`);
}
