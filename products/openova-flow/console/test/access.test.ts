import { createHash } from "node:crypto";
import { mkdtempSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { violations } from "./support/axe.ts";
import { launch, says, visit, type Visit, type VisitOptions } from "./support/browser.ts";
import { replay } from "./support/replay.ts";
import { Server } from "./support/server.ts";

interface Caller {
  readonly name: string;
  readonly token: string;
  readonly scopes: readonly string[];
  readonly flows: readonly string[];
}
const caller = (name: string, scopes: readonly string[], flows: readonly string[]): Caller => ({ name, token: `${name}-${"0123456789abcdef".repeat(3)}`, scopes, flows });
const root = caller("root", ["admin"], ["*"]);
const alice = caller("alice", ["read"], ["bootstrap"]);
const alice2 = { ...alice, token: `new-${alice.token}` };

const file = join(mkdtempSync(join(tmpdir(), "openova-flow-access-")), "tokens.json");
function allow(...callers: readonly Caller[]): void {
  const tokens = callers.map(({ token, ...rest }) => ({ ...rest, sha256: createHash("sha256").update(token).digest("hex") }));
  writeFileSync(`${file}.new`, JSON.stringify({ tokens }), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

let browser: Browser;
/** A server with a path prefix, as behind a gateway. */
let server: Server;
let visits: Visit[] = [];

beforeAll(async () => {
  browser = await launch();
  allow(root, alice);
  server = await Server.start("/sovereign/", { FLOW_SERVER_TOKENS_FILE: file });
  server.token = root.token;
  await replay(server, ["kit-fsn1"]);
  await replay(server, ["scenarios"], { flow: "scenarios" });
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});
/** Pages get 401 and 403 here, which the browser logs. */
afterEach(async () => {
  for (const v of visits) await v.close();
  for (const v of visits) expect(v.faults.filter((f) => !/status of 40[13]/.test(f))).toEqual([]);
  visits = [];
  allow(root, alice);
  await expect.poll(() => known(alice)).toBe(true);
});

async function open(query: string, options: VisitOptions & { readonly at?: Server } = {}): Promise<Page> {
  const v = await visit(browser, `${(options.at ?? server).url}${query}`, options);
  visits.push(v);
  return v.page;
}
async function known({ token }: Caller): Promise<boolean> {
  return (await fetch(`${server.url}v1/me`, { headers: { authorization: `Bearer ${token}` } })).ok;
}
async function signIn(page: Page, as: Caller): Promise<void> {
  await page.getByLabel("Token").fill(as.token);
  await page.getByRole("button", { name: "Sign in" }).click();
}
const where = (page: Page): string => new URL(page.url()).pathname + new URL(page.url()).search;

describe("a browser without a sign-in", () => {
  it("signs in, returns to its link, shows the user's name, and signs out", async () => {
    const page = await open("?flow=bootstrap&view=table");
    expect(where(page)).toMatch(/^\/sovereign\/sign-in\?next=/);
    await signIn(page, alice);
    await says(page.locator("tbody"), /bp-cilium/);
    expect(where(page)).toBe("/sovereign/?flow=bootstrap&view=table");
    const who = page.getByRole("button", { name: "Signed in as alice" });
    await who.click();
    await says(page.locator("header [popover]"), /Signed in as alice/);
    await page.keyboard.press("Escape");
    expect(await page.getByRole("button", { name: "Sign out" }).isVisible()).toBe(false);
    await who.click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await says(page.locator("form"), /Token/);
    expect(new URL(page.url()).searchParams.get("next")).toBe("./?flow=bootstrap&view=table");
    await page.goto(`${server.url}?flow=bootstrap`);
    expect(where(page)).toMatch(/sign-in/);
  });

  it.each([["a flow", "?flow=bootstrap&view=table", /bp-cilium/], ["the fleet", "?q=boot", /24 ready/]] as const)(
    "goes to the sign-in page and back if its credential ends while it shows %s",
    async (_, query, shows) => {
      const page = await open(query);
      await signIn(page, alice);
      await says(page.locator("main"), shows);
      allow(root, alice2);
      await says(page.locator("form"), /Token/);
      expect(new URL(page.url()).searchParams.get("next")).toBe(`./${query}`);
      await expect.poll(() => known(alice2)).toBe(true);
      await signIn(page, alice2);
      await says(page.locator("main"), shows);
      expect(where(page)).toBe(`/sovereign/${query}`);
    },
  );

  it("does not loop if a gateway rejects what the server allows", async () => {
    const withoutTokens = await Server.start();
    try {
      let loads = 0;
      const page = await open("?flow=bootstrap", {
        at: withoutTokens,
        setup: async (page) => {
          page.on("framenavigated", () => loads++);
          await page.addInitScript(() => Reflect.deleteProperty(globalThis, "SharedWorker"));
          await page.route("**/v1/**", (route) => route.fulfill({ status: 401, contentType: "application/problem+json", body: '{"title":"No"}' }));
        },
      });
      await says(page.locator("main"), /Sign in to see bootstrap .* does not know who you are/);
      expect(await page.getByRole("link", { name: "Sign in" }).getAttribute("href")).toMatch(/\/sign-in\?next=/);
      expect(loads).toBeLessThan(6);
    } finally {
      for (const v of visits) await v.context.close();
      await withoutTokens.kill();
    }
  });
});

describe("a user without access to a flow", () => {
  it("sees which user is signed in, and can sign in as another", async () => {
    const page = await open("?flow=scenarios");
    await signIn(page, alice);
    await says(page.locator("main"), /You may not see scenarios You are signed in as alice, who may not see it\./);
    await page.getByRole("button", { name: "Sign in as another user" }).click();
    await signIn(page, root);
    await says(page.locator("main"), /deadrepo|PNG/);
    expect(where(page)).toBe("/sovereign/?flow=scenarios");
  });

  it("sees the other flows in the fleet", async () => {
    const page = await open("");
    await signIn(page, alice);
    await says(page.locator("h1"), /^1 flow/);
    await says(page.getByRole("article"), /bootstrap/);
  });
});

describe("a server without access control", () => {
  it("shows no user", async () => {
    const own = await Server.start();
    try {
      const page = await open("", { at: own });
      await says(page.locator("main"), /No flow yet/);
      expect(await page.locator("header [popover]").count()).toBe(0);
    } finally {
      for (const v of visits) await v.context.close();
      await own.kill();
    }
  });
});

describe("accessibility", () => {
  it.each(["light", "dark"] as const)("has no violation in the menu and in the page of a denial, also on a phone, in %s", async (scheme) => {
    const page = await open("?flow=scenarios", { scheme, width: 390, height: 780 });
    await signIn(page, alice);
    await says(page.locator("main"), /signed in as alice/);
    await page.getByRole("button", { name: "Signed in as alice" }).click();
    await says(page.locator("header [popover]"), /Sign out/);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    expect(await violations(page)).toEqual([]);
  });
});
