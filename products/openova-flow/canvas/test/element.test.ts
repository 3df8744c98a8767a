import { mkdtemp, rm } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FlowMessage } from "@openova/flow-core";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Bench } from "./page/page.js";
import { palette } from "../src/look/palette.js";
import { fleet, fleetNow } from "./support/fleet.js";
import { buildPage, launch, serve, strictPolicy } from "./support/browser.js";

declare const bench: Bench;

let browser: Browser, folder: string, server: { url: string; close(): Promise<void> };
let context: BrowserContext | undefined;
/** The open streams of the server, by flow. */
const streams = new Map<string, ServerResponse>();

function stream(req: IncomingMessage, res: ServerResponse): boolean {
  const flow = /^\/prefix\/v1\/flows\/(\w+)\/stream$/.exec(new URL(req.url ?? "/", "http://x").pathname)?.[1];
  if (flow === undefined) return false;
  res.writeHead(200, { "content-type": "text/event-stream", "flow-incarnation": "i1" });
  res.write('event: heartbeat\ndata: {"seq":0,"at":1,"incarnation":"i1"}\n\n');
  streams.set(flow, res);
  res.on("close", () => streams.get(flow) === res && streams.delete(flow));
  return true;
}
const push = (flow: string, seq: number, message: FlowMessage): void => void streams.get(flow)!.write(`id: ${seq}\nevent: ${message.type}\ndata: ${JSON.stringify(message)}\n\n`);

const pushRegions = (flow: string, regions: unknown): void => void streams.get(flow)!.write(`event: regions\ndata: ${JSON.stringify({ at: 1, regions })}\n\n`);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "flow-canvas-"));
  await buildPage(join(import.meta.dirname, "page"), folder);
  [server, browser] = await Promise.all([serve(folder, strictPolicy, stream), launch()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(options: BrowserContextOptions = {}): Promise<Page> {
  context = await browser.newContext({ viewport: { width: 1200, height: 800 }, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  page.on("console", (m) => {
    if ((m.type() === "error" || m.type() === "warning") && !m.text().includes("willReadFrequently")) problems.push(m.text());
  });
  page.on("pageerror", (e) => problems.push(String(e)));
  await page.goto(server.url);
  await page.waitForFunction("globalThis.bench");
  return page;
}
let problems: string[] = [];
/** Console errors that a test causes on purpose. The browser may report them late, so they are filtered at the end. */
let allowed: RegExp | null = null;
afterEach(async () => {
  const page = context?.pages()[0];
  const errors = page === undefined ? [] : await page.evaluate(() => bench.errors);
  await context?.close();
  context = undefined;
  const all = [...problems, ...errors].filter((p) => allowed?.test(p) !== true);
  problems = [];
  allowed = null;
  expect(all).toEqual([]);
  // The next test must not send to a stream of this one.
  await expect.poll(() => streams.size).toBe(0);
});

/** The share of a layer's pixels that are not transparent, and the number of colours. */
const inked = (page: Page, layer: string): Promise<{ share: number; colors: number }> => page.evaluate((name) => {
  const canvas = bench.element!.shadowRoot!.querySelector<HTMLCanvasElement>(`canvas.${name}`)!;
  const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
  const colors = new Set<number>();
  let n = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] === 0) continue;
    n++;
    colors.add((data[i]! << 16) | (data[i + 1]! << 8) | data[i + 2]!);
  }
  return { share: n / (data.length / 4), colors: colors.size };
}, layer);

const middleOf = (page: Page, id: string): Promise<{ x: number; y: number }> => page.evaluate((i) => {
  const b = bench.element!.boxOf(i)!;
  return { x: b.x + b.w / 2, y: b.y + b.h / 2 };
}, id);
const events = (page: Page, type: string): Promise<unknown[]> => page.evaluate((t) => bench.events.filter((e) => e.type === t).map((e) => e.detail), type);

describe("drawing", () => {
  test("under a strict policy a flow is laid out in a worker and the whole flow is in view", async () => {
    const page = await open();
    const workers: string[] = [];
    page.on("worker", (w) => workers.push(w.url()));
    await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 1, perRegion: 40 });
    });
    expect(workers).toHaveLength(1);
    expect(workers[0]).toContain(server.url);
    expect(await events(page, "painted")).toHaveLength(1);
    for (const layer of ["ground", "nodes"]) expect((await inked(page, layer)).share).toBeGreaterThan(0.02);
    const boxes = await page.evaluate(() => [...bench.current().nodes.keys()].filter((id) => id.includes("/")).map((id) => bench.element!.boxOf(id)!));
    expect(boxes).toHaveLength(40);
    for (const b of boxes) {
      expect(b.x).toBeGreaterThanOrEqual(0);
      expect(b.y).toBeGreaterThanOrEqual(0);
      expect(b.x + b.w).toBeLessThanOrEqual(1200);
      expect(b.y + b.h).toBeLessThanOrEqual(800);
    }
  });

  test("if workers are forbidden, layout runs in the page's thread", async () => {
    const page = await open();
    await page.evaluate(async () => {
      globalThis.Worker = class {
        constructor() {
          throw new Error("refused");
        }
      } as unknown as typeof Worker;
      bench.make();
      await bench.fleet({ regions: 1, perRegion: 10 });
    });
    expect((await inked(page, "nodes")).share).toBeGreaterThan(0.01);
  });

  test("if the worker fails to load, layout runs in the page's thread", async () => {
    allowed = /404/;
    const page = await open();
    await page.route(/layout-worker/, (route) => route.fulfill({ status: 404, body: "" }));
    await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 1, perRegion: 10 });
    });
    expect((await inked(page, "nodes")).share).toBeGreaterThan(0.01);
  });

  test("draws all edge types, conditions, a cycle, missing ends, another flow and frames", async () => {
    const page = await open();
    await page.evaluate(async () => {
      bench.make();
      await bench.zoo();
    });
    expect((await inked(page, "ground")).colors).toBeGreaterThan(20);
    for (const id of ["egg", "self", "gone/bp-nobody", "stack"]) expect(await page.evaluate((i) => bench.element!.boxOf(i) !== undefined, id)).toBe(true);
  });

  test("level of detail: text at a large scale, chips at a smaller one, only one tile for each region at the smallest", async () => {
    const page = await open();
    await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 40, perRegion: 30 });
    });
    const levels = await page.evaluate(async () => {
      const seen: string[] = [];
      for (const k of [1, 0.5, 0.25, 0.08]) {
        bench.element!.view = { ...bench.view(), k };
        await bench.drawn();
        seen.push(bench.view().level);
      }
      return seen;
    });
    expect(levels).toEqual(["card", "compact", "chip", "tile"]);
    // At the scale of tiles neither frames nor edges are drawn.
    expect((await inked(page, "ground")).share).toBe(0);
    expect((await inked(page, "nodes")).share).toBeGreaterThan(0.05);
  });

  test("a flow without nodes, and one that loses its last node, leaves the canvas empty", async () => {
    const page = await open();
    await page.evaluate(async () => {
      bench.make();
      await bench.show({ type: "snapshot", flow: { id: "f", status: "pending", startedAt: 0 } });
    });
    expect((await inked(page, "nodes")).share).toBe(0);
    await page.evaluate(async () => {
      await bench.send({ type: "upsert-nodes", nodes: [{ id: "a", flowId: "f", label: "a", status: "running" }] });
    });
    expect((await inked(page, "nodes")).share).toBeGreaterThan(0);
    await page.evaluate(() => bench.send({ type: "delete-nodes", ids: ["a"] }));
    expect((await inked(page, "nodes")).share).toBe(0);
    await page.evaluate(() => {
      bench.element!.fit();
      bench.element!.zoomIn();
      bench.element!.select("a");
    });
    for (const key of ["ArrowRight", "Enter", "0", "-"]) await page.keyboard.press(key);
  });

  test("canvases have as many pixels as the screen at any device pixel ratio", async () => {
    const page = await open({ deviceScaleFactor: 2 });
    await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 1, perRegion: 8 });
    });
    expect(await page.evaluate(() => {
      const c = bench.element!.shadowRoot!.querySelector<HTMLCanvasElement>("canvas.nodes")!;
      return [c.width, c.height];
    })).toEqual([2400, 1600]);
  });

  test("a column is as wide as its names, and a cut name keeps the part that differs from others", async () => {
    const page = await open({ viewport: { width: 1000, height: 600 } });
    const [stack, long] = ["kube-prometheus-stack", "a-name-as-long-as-a-name-of-a-release-may-be-in-kubernetes"];
    const names = ["cilium", stack, "ingress-nginx-internal-controller", "ingress-nginx-external-controller", `${long}-1`, `${long}-2`];
    const { widths, svg } = await page.evaluate(async (all) => {
      bench.make();
      await bench.show({
        type: "snapshot", flow: { id: "names", status: "running", startedAt: 0 },
        nodes: all.map((id) => ({ id, flowId: "names", label: id, status: "succeeded", region: "r" })),
        relationships: all.slice(1).map((id) => ({ fromId: all[0]!, toId: id, type: "finish-to-start" as const })),
      });
      const { k } = bench.element!.view;
      return { widths: all.map((id) => Math.round(bench.element!.boxOf(id)!.w / k)), svg: await bench.element!.exportSVG() };
    }, names);
    expect(widths[0]).toBe(168);
    expect(widths[1]).toBeGreaterThan(200);
    expect(new Set(widths.slice(1)).size).toBe(1);
    const drawn = [...svg.matchAll(/>([^<]+)<\/text>/g)].map((m) => m[1]!);
    expect(drawn).toEqual(expect.arrayContaining(["cilium", stack]));
    const cut = drawn.filter((text) => text.includes("…"));
    expect(cut).toHaveLength(4);
    expect(new Set(cut).size).toBe(4);
    expect(cut.filter((text) => /in.?ternal|external|-1$|-2$/.test(text))).toHaveLength(4);
  });

  test("uses the colours of the page, light and dark, and follows its theme", async () => {
    const page = await open({ colorScheme: "light" });
    const drawn = (): Promise<string> => page.evaluate(async () => {
      await bench.drawn();
      return bench.element!.exportSVG();
    });
    await page.evaluate(async () => {
      document.documentElement.style.setProperty("--flow-broken", "light-dark(rgb(18 52 86), #fedcba)");
      bench.make();
      await bench.zoo();
    });
    expect(await drawn()).toContain('"#123456"');
    await page.evaluate(() => bench.element!.setAttribute("theme", "dark"));
    const dark = await drawn();
    expect(dark).toContain('"#fedcba"');
    expect(dark).not.toContain('"#123456"');
    expect(dark).toContain(`"${palette.text[1]}"`);
  });

  test("light and dark follow the system unless a theme is chosen", async () => {
    const page = await open({ colorScheme: "dark" });
    const background = (): Promise<string> => page.evaluate(() => getComputedStyle(bench.element!.shadowRoot!.querySelector(".stage")!).backgroundColor);
    await page.evaluate(() => bench.make());
    const dark = await background();
    await page.emulateMedia({ colorScheme: "light" });
    await expect.poll(background).not.toBe(dark);
    const light = await background();
    await page.evaluate(() => bench.element!.setAttribute("theme", "dark"));
    expect(await background()).toBe(dark);
    await page.evaluate(() => bench.element!.setAttribute("theme", "auto"));
    expect(await background()).toBe(light);
  });
});

describe("selection", () => {
  const start = async (options: BrowserContextOptions = {}): Promise<Page> => {
    const page = await open(options);
    await page.evaluate(async () => {
      bench.make();
      await bench.zoo();
      bench.events.length = 0;
    });
    return page;
  };

  test("a press selects the target and fires the event, a press on empty space clears", async () => {
    const page = await start();
    const p = await middleOf(page, "egg");
    await page.mouse.click(p.x, p.y);
    await page.mouse.click(5, 795);
    expect(await events(page, "select")).toEqual([{ id: "egg", kind: "node" }, { id: null, kind: null }]);
    expect(await page.evaluate(() => bench.element!.getAttribute("selected"))).toBeNull();
  });

  test("ghosts and frames of groups can be selected too", async () => {
    const page = await start();
    const missing = await middleOf(page, "gone/bp-nobody");
    await page.mouse.click(missing.x, missing.y);
    const group = await page.evaluate(() => bench.element!.boxOf("stack")!);
    await page.mouse.click(group.x + 10, group.y + 8);
    expect(await events(page, "select")).toEqual([{ id: "gone/bp-nobody", kind: "missing" }, { id: "stack", kind: "group" }]);
  });

  test("Enter and a double press on the end of a cross-flow edge each fire open-flow once", async () => {
    const page = await start();
    // The ghost is left of the node that needs it, in the same row.
    await page.evaluate(() => bench.element!.select("hen"));
    await page.focus("openova-flow");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Enter");
    expect(await events(page, "open-flow")).toEqual([{ flowId: "infrastructure", nodeId: "network/vpc" }]);
    const at = await page.evaluate(() => {
      const b = bench.element!.boxOf(bench.element!.selected!)!;
      return { x: b.x + b.w / 2, y: b.y + b.h / 2 };
    });
    await page.mouse.dblclick(at.x, at.y);
    expect(await events(page, "open-flow")).toHaveLength(2);
  });

  test("a double press on a node fires open", async () => {
    const page = await start();
    const p = await middleOf(page, "egg");
    // With explicit timestamps, because the time between two presses decides whether they are a double press.
    const cdp = await context!.newCDPSession(page);
    const at = Date.now() / 1000;
    for (const [i, type] of (["mousePressed", "mouseReleased", "mousePressed", "mouseReleased"] as const).entries()) {
      await cdp.send("Input.dispatchMouseEvent", { type, ...p, button: "left", clickCount: i < 2 ? 1 : 2, timestamp: at + i * 0.05 });
    }
    expect(await events(page, "open")).toEqual([{ id: "egg", kind: "node" }]);
  });

  test("hover fires once on entering a node and once on leaving it", async () => {
    const page = await start();
    const p = await middleOf(page, "egg");
    await page.mouse.move(p.x, p.y);
    await page.mouse.move(p.x + 3, p.y);
    await page.mouse.move(5, 795);
    expect(await events(page, "hover")).toEqual([{ id: "egg", kind: "node" }, { id: null, kind: null }]);
  });

  test("hover fires on leaving a node after a new scene", async () => {
    const page = await start();
    const p = await middleOf(page, "egg");
    await page.mouse.move(p.x, p.y);
    await page.evaluate(() => bench.send({ type: "upsert-nodes", nodes: [{ id: "late", flowId: "zoo", label: "late", status: "pending", region: "odd" }] }));
    await page.mouse.move(5, 795);
    expect(await events(page, "hover")).toEqual([{ id: "egg", kind: "node" }, { id: null, kind: null }]);
  });

  test("the attribute selected selects without an event and dims the rest; without it all is restored", async () => {
    const page = await start();
    const plain = await inked(page, "nodes");
    await page.evaluate(async () => {
      bench.element!.setAttribute("selected", "tried");
      await bench.drawn();
    });
    expect(await page.evaluate(() => bench.element!.selected)).toBe("tried");
    const dimmed = await inked(page, "nodes");
    expect(dimmed).not.toEqual(plain);
    await page.evaluate(async () => {
      bench.element!.removeAttribute("selected");
      await bench.drawn();
    });
    expect(await inked(page, "nodes")).toEqual(plain);
    expect(await events(page, "select")).toEqual([]);
  });

  test("a press on a tile zooms into its region", async () => {
    const page = await open();
    await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 120, perRegion: 30 });
    });
    expect(await page.evaluate(() => bench.view().level)).toBe("tile");
    const p = await middleOf(page, "oci-fra-3");
    await page.mouse.click(p.x, p.y);
    await page.evaluate(() => bench.drawn());
    expect(await events(page, "select")).toEqual([{ id: "oci-fra-3", kind: "region" }]);
    expect(await page.evaluate(() => bench.view().level)).not.toBe("tile");
  });

  test("a filter is applied again when statuses change", async () => {
    const page = await start();
    await page.evaluate(() => bench.element!.setFilter((n) => n.status === "failed"));
    const bright = (): Promise<boolean> => page.evaluate(async () => /<text[^>]*fill="#[0-9a-f]{6}">egg</.test(await bench.element!.exportSVG()));
    expect(await bright()).toBe(false);
    await page.evaluate(() => bench.send({ type: "upsert-nodes", nodes: [{ ...bench.current().nodes.get("egg")!, status: "failed" }] }));
    await expect.poll(bright).toBe(true);
  });

  test("a filter dims the rest, and null removes it", async () => {
    const page = await start();
    const plain = await inked(page, "nodes");
    const set = (f: "one" | null): Promise<void> => page.evaluate(async (which) => {
      bench.element!.setFilter(which === null ? null : (n) => n.id === "egg");
      await bench.drawn();
    }, f);
    await set("one");
    expect(await inked(page, "nodes")).not.toEqual(plain);
    await set(null);
    expect(await inked(page, "nodes")).toEqual(plain);
  });
});

describe("keyboard", () => {
  test("moves along the graph, opens, zooms, fits and clears", async () => {
    const page = await open();
    await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 1, perRegion: 30 });
    });
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement === bench.element)).toBe(true);
    await page.keyboard.press("ArrowRight");
    const first = await page.evaluate(() => bench.element!.selected);
    await page.keyboard.press("ArrowRight");
    const second = await page.evaluate(() => bench.element!.selected);
    expect(first).not.toBeNull();
    expect(await page.evaluate(([a, b]) => [...bench.current().rels.values()].some((r) => r.fromId === a && r.toId === b), [first, second])).toBe(true);
    expect(await page.evaluate(() => bench.element!.shadowRoot!.querySelector("[aria-live]")!.textContent)).toContain("bp-");
    await page.keyboard.press("Enter");
    expect(await events(page, "open")).toEqual([{ id: second, kind: "node" }]);
    const k = await page.evaluate(() => bench.view().k);
    await page.keyboard.press("+");
    expect(await page.evaluate(() => bench.view().k)).toBeGreaterThan(k);
    await page.keyboard.press("-");
    await page.keyboard.press("-");
    expect(await page.evaluate(() => bench.view().k)).toBeLessThan(k);
    await page.keyboard.press("0");
    expect(await page.evaluate(() => bench.view().k)).toBeCloseTo(k, 6);
    await page.keyboard.press("Escape");
    expect(await page.evaluate(() => bench.element!.selected)).toBeNull();
  });

  test("at the scale of tiles it moves over the regions, and Enter zooms into one", async () => {
    const page = await open();
    await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 120, perRegion: 30 });
      bench.element!.focus();
    });
    await page.keyboard.press("ArrowRight");
    const first = await page.evaluate(() => bench.element!.selected);
    await page.keyboard.press("ArrowRight");
    const second = await page.evaluate(() => bench.element!.selected);
    const boxes = await page.evaluate((ids) => ids.map((id) => bench.element!.boxOf(id!)!), [first, second]);
    expect(boxes[1]!.x).toBeGreaterThan(boxes[0]!.x);
    expect(await page.evaluate(() => bench.element!.shadowRoot!.querySelector("[aria-live]")!.textContent)).toMatch(/of 30 ready/);
    await page.keyboard.press("Enter");
    await page.evaluate(() => bench.drawn());
    expect(await page.evaluate(() => bench.view().level)).not.toBe("tile");
  });

  test("a node selected by keyboard is brought into view", async () => {
    const page = await open();
    const inside = await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 1, perRegion: 60 });
      bench.element!.zoomTo("hz-fsn-1/bp-cilium");
      bench.element!.view = { ...bench.view(), k: 2 };
      bench.element!.select("hz-fsn-1/bp-cilium");
      bench.element!.focus();
      const out: boolean[] = [];
      for (let i = 0; i < 6; i++) {
        bench.element!.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", composed: true }));
        await bench.drawn();
        const b = bench.element!.boxOf(bench.element!.selected!)!;
        out.push(b.x >= 0 && b.y >= 0 && b.x + b.w <= 1200 && b.y + b.h <= 800);
      }
      return out;
    });
    expect(inside).toEqual([true, true, true, true, true, true]);
  });
});

describe("the view", () => {
  const start = async (): Promise<Page> => {
    const page = await open();
    await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 2, perRegion: 30 });
    });
    return page;
  };

  test("the wheel zooms at the pointer, a drag pans and selects nothing", async () => {
    const page = await start();
    const p = await page.evaluate(() => {
      const b = bench.element!.boxOf("hz-fsn-1/bp-cilium")!;
      // Wheel events have whole pixels, so the node must be at one.
      const x = Math.round(b.x + b.w / 2), y = Math.round(b.y + b.h / 2);
      bench.element!.panBy(b.x + b.w / 2 - x, b.y + b.h / 2 - y);
      return { x, y };
    });
    await page.mouse.move(p.x, p.y);
    const k = await page.evaluate(() => bench.view().k);
    await page.mouse.wheel(0, -240);
    await expect.poll(() => page.evaluate(() => bench.view().k)).toBeGreaterThan(k);
    const after = await middleOf(page, "hz-fsn-1/bp-cilium");
    expect(after.x).toBeCloseTo(p.x, 3);
    expect(after.y).toBeCloseTo(p.y, 3);
    await page.mouse.down();
    await page.mouse.move(p.x + 60, p.y + 25, { steps: 4 });
    await page.mouse.up();
    await page.evaluate(() => bench.drawn());
    const moved = await middleOf(page, "hz-fsn-1/bp-cilium");
    expect(moved.x).toBeCloseTo(p.x + 60, 3);
    expect(moved.y).toBeCloseTo(p.y + 25, 3);
    expect(await events(page, "select")).toEqual([]);
    expect((await events(page, "viewchange")).length).toBeGreaterThan(0);
  });

  test("a pinch zooms and selects nothing", async () => {
    const page = await start();
    const grown = await page.evaluate(async () => {
      const stage = bench.element!.shadowRoot!.querySelector<HTMLElement>(".stage")!;
      stage.setPointerCapture = () => undefined;
      const k = bench.view().k;
      const send = (type: string, id: number, x: number, y: number): void => void stage.dispatchEvent(new PointerEvent(type, { pointerId: id, pointerType: "touch", clientX: x, clientY: y, button: 0, isPrimary: id === 1 }));
      send("pointerdown", 1, 500, 400);
      send("pointerdown", 2, 700, 400);
      send("pointermove", 1, 400, 400);
      send("pointermove", 2, 800, 400);
      send("pointerup", 1, 400, 400);
      send("pointerup", 2, 800, 400);
      await bench.drawn();
      return { ratio: bench.view().k / k, selected: bench.events.filter((e) => e.type === "select").length };
    });
    expect(grown.ratio).toBeCloseTo(2, 1);
    expect(grown.selected).toBe(0);
  });

  test("fit leaves the padding free on each side", async () => {
    const page = await start();
    const lanes = await page.evaluate(async () => {
      bench.element!.fit({ top: 70, right: 340, bottom: 90, left: 20 });
      await bench.drawn();
      return ["hz-fsn-1", "hz-hel-1"].map((r) => bench.element!.boxOf(r)!);
    });
    for (const b of lanes) {
      expect(b.x).toBeGreaterThanOrEqual(20);
      expect(b.y).toBeGreaterThanOrEqual(70);
      expect(b.x + b.w).toBeLessThanOrEqual(860);
      expect(b.y + b.h).toBeLessThanOrEqual(710);
    }
  });

  test("zoomTo shows a node or region, also one that appears later", async () => {
    const page = await open();
    const boxes = await page.evaluate(async () => {
      bench.make({ region: "hz-hel-1" });
      await bench.fleet({ regions: 3, perRegion: 30 });
      const region = bench.element!.boxOf("hz-hel-1")!;
      bench.element!.zoomTo("oci-fra-1/bp-flux");
      await bench.drawn();
      return { region, node: bench.element!.boxOf("oci-fra-1/bp-flux")! };
    });
    expect(boxes.region.x + boxes.region.w / 2).toBeCloseTo(600, 0);
    expect(boxes.region.y + boxes.region.h / 2).toBeCloseTo(400, 0);
    expect(boxes.node.x + boxes.node.w / 2).toBeCloseTo(600, 0);
    expect(boxes.node.w).toBeGreaterThan(120);
  });

  test("a view that is set before the first state is kept", async () => {
    const page = await open();
    const view = await page.evaluate(async () => {
      bench.make();
      bench.element!.view = { x: 120, y: 40, k: 0.9 };
      await bench.fleet({ regions: 2, perRegion: 30 });
      return bench.view();
    });
    expect(view).toEqual({ x: 120, y: 40, k: 0.9, level: "card" });
  });

  test("the map is visible if part of the flow is out of view, and a press on it moves the view", async () => {
    const page = await start();
    const hidden = (): Promise<boolean> => page.evaluate(() => bench.element!.shadowRoot!.querySelector(".map")!.hasAttribute("hidden"));
    expect(await hidden()).toBe(true);
    await page.evaluate(async () => {
      bench.element!.zoomTo("hz-fsn-1/bp-cilium");
      await bench.drawn();
    });
    await expect.poll(hidden).toBe(false);
    expect((await inked(page, "map")).colors).toBeGreaterThan(2);
    const before = await page.evaluate(() => bench.view());
    const map = await page.evaluate(() => {
      const r = bench.element!.shadowRoot!.querySelector(".map")!.getBoundingClientRect();
      return { x: r.x, y: r.y, w: r.width, h: r.height };
    });
    await page.mouse.click(map.x + map.w * 0.7, map.y + map.h * 0.6);
    await page.evaluate(() => bench.drawn());
    const after = await page.evaluate(() => bench.view());
    expect(after.k).toBe(before.k);
    expect(after.x).not.toBe(before.x);
    await page.evaluate(async () => {
      bench.element!.setAttribute("minimap", "off");
      await bench.drawn();
    });
    expect(await hidden()).toBe(true);
  });

  test("the map shows a change that came right after another and before a pan", async () => {
    const page = await start();
    const shot = (): Promise<string> => page.evaluate(() => bench.element!.shadowRoot!.querySelector<HTMLCanvasElement>(".map")!.toDataURL());
    await page.evaluate(() => bench.element!.zoomTo("hz-fsn-1/bp-cilium"));
    await expect.poll(() => page.evaluate(() => bench.element!.shadowRoot!.querySelector(".map")!.hasAttribute("hidden"))).toBe(false);
    const before = await page.evaluate(async () => {
      const map = bench.element!.shadowRoot!.querySelector<HTMLCanvasElement>(".map")!;
      const ids = [...bench.current().nodes.keys()].filter((id) => id.startsWith("hz-hel-1/"));
      const fail = (id: string): Promise<void> => bench.send({ type: "upsert-nodes", nodes: [{ ...bench.current().nodes.get(id)!, status: "failed", meta: { reason: "X" } }] });
      await fail(ids[0]!);
      const then = map.toDataURL();
      await fail(ids[1]!);
      for (const dx of [20, -20]) {
        bench.element!.panBy(dx, 0);
        await bench.drawn();
      }
      return then;
    });
    await expect.poll(shot).not.toBe(before);
  });

  test("the map shows the new positions after nodes have moved", async () => {
    const page = await open({ reducedMotion: "no-preference" });
    await page.evaluate(async () => {
      bench.make({ theme: "light" });
      await bench.fleet({ regions: 2, perRegion: 30 });
      bench.element!.view = { x: 0, y: 0, k: 1 };
    });
    await expect.poll(() => page.evaluate(() => bench.element!.shadowRoot!.querySelector(".map")!.hasAttribute("hidden"))).toBe(false);
    const same = await page.evaluate(async () => {
      const map = bench.element!.shadowRoot!.querySelector<HTMLCanvasElement>(".map")!;
      // Time jumps twice. Before the change: the picture of the map is then old enough, so the change makes a new one. After it: to the end of the move.
      let ahead = 0;
      const now = performance.now.bind(performance), request = requestAnimationFrame;
      performance.now = () => now() + ahead;
      globalThis.requestAnimationFrame = (fn) => request((t) => fn(t + ahead));
      ahead += 1000;
      await bench.send({ type: "upsert-nodes", nodes: [0, 1, 2, 3].map((i) => ({ id: `hz-fsn-1/new-${i}`, flowId: "fleet", label: `new-${i}`, status: "pending", region: "hz-fsn-1" })) });
      ahead += 1000;
      await bench.drawn();
      const moved = map.toDataURL();
      for (const theme of ["dark", "light"]) bench.element!.setAttribute("theme", theme);
      await bench.drawn();
      return map.toDataURL() === moved;
    });
    expect(same).toBe(true);
  });

  test("a strip of the flow stays in view however far one pans", async () => {
    const page = await start();
    const lane = await page.evaluate(async () => {
      bench.element!.panBy(1e7, 1e7);
      await bench.drawn();
      return bench.element!.boxOf("hz-hel-1") ?? null;
    });
    expect(lane).not.toBeNull();
    expect((await inked(page, "ground")).share).toBeGreaterThan(0);
  });
});

describe("own connection", () => {
  test("follows the flow of src and flow, changes to another, and ends with the element", async () => {
    const page = await open();
    await page.evaluate(() => bench.make({ src: "prefix", flow: "fleet" }));
    await expect.poll(() => streams.has("fleet")).toBe(true);
    push("fleet", 5, fleet({ regions: 1, perRegion: 8 }));
    await expect.poll(() => page.evaluate(() => bench.element!.boxOf("hz-fsn-1/bp-cilium") !== undefined)).toBe(true);
    push("fleet", 6, { type: "upsert-nodes", nodes: [{ id: "hz-fsn-1/new", flowId: "fleet", label: "new", status: "failed", region: "hz-fsn-1" }] });
    await expect.poll(() => page.evaluate(() => bench.element!.boxOf("hz-fsn-1/new") !== undefined)).toBe(true);
    await page.evaluate(() => bench.element!.setAttribute("flow", "other"));
    await expect.poll(() => [...streams.keys()]).toEqual(["other"]);
    push("other", 7, { type: "snapshot", flow: { id: "other", status: "running", startedAt: 0 }, nodes: [{ id: "x", flowId: "other", label: "x", status: "running" }] });
    await expect.poll(() => page.evaluate(() => [bench.element!.boxOf("x") !== undefined, bench.element!.boxOf("hz-fsn-1/new") !== undefined])).toEqual([true, false]);
    expect(await events(page, "connection")).toContainEqual(expect.objectContaining({ kind: "live" }));
    await page.evaluate(() => bench.element!.remove());
    await expect.poll(() => streams.size).toBe(0);
  });

  test.each(["light", "dark"] as const)("a stale region shows when it was last seen, in %s, updates without a layout, and recovers", async (scheme) => {
    const page = await open({ colorScheme: scheme });
    await page.evaluate(() => bench.make({ src: "prefix", flow: "fleet" }));
    await expect.poll(() => streams.has("fleet")).toBe(true);
    const now = fleetNow + 1_000_000;
    await page.evaluate((t) => (bench.element!.clock = () => (globalThis as unknown as { t?: number }).t ?? t), now);
    push("fleet", 5, fleet({ regions: 2, perRegion: 12 }));
    await expect.poll(() => page.evaluate(() => bench.element!.boxOf("hz-fsn-1/bp-cilium") !== undefined)).toBe(true);
    const drawnText = (): Promise<string> => page.evaluate(async () => {
      await bench.drawn();
      const texts = new DOMParser().parseFromString(await bench.element!.exportSVG({ scope: "view" }), "image/svg+xml").querySelectorAll("text");
      return [...texts].map((t) => t.textContent).join("\n");
    });
    /** The number of texts that are dimmed because the region of their node is stale. */
    const dimmed = (): Promise<number> => page.evaluate(async () => {
      const svg = new DOMParser().parseFromString(await bench.element!.exportSVG({ scope: "view" }), "image/svg+xml");
      return [...svg.querySelectorAll("text")].filter((t) => t.getAttribute("opacity") === "0.62" || t.getAttribute("fill-opacity") === "0.62").length;
    });
    const box = (): Promise<unknown> => page.evaluate(() => bench.element!.boxOf("hz-fsn-1/bp-cilium"));
    /** The number of pixels of the ground in the warning colour: the frame of a stale region. */
    const warned = (): Promise<number> => page.evaluate(async (color) => {
      await bench.drawn();
      const canvas = bench.element!.shadowRoot!.querySelector<HTMLCanvasElement>("canvas.ground")!;
      const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
      let n = 0;
      for (let i = 0; i < data.length; i += 4) if (((data[i]! << 16) | (data[i + 1]! << 8) | data[i + 2]!) === color) n++;
      return n;
    }, parseInt(palette.critical[scheme === "light" ? 0 : 1].slice(1), 16));
    const before = await box();
    expect(await drawnText()).not.toMatch(/last seen/);
    expect(await warned()).toBe(0);
    const lease = { state: "stale", since: now - 210_000, heard: now - 240_000, cluster: "uid-1" };
    pushRegions("fleet", { "hz-fsn-1": lease });
    await expect.poll(drawnText).toMatch(/last seen 4 min ago/);
    expect(await dimmed()).toBeGreaterThan(5);
    expect(await warned()).toBeGreaterThan(200);
    await page.evaluate((t) => ((globalThis as unknown as { t?: number }).t = t), now + 60_000);
    await expect.poll(drawnText).toMatch(/last seen 5 min ago/);
    pushRegions("fleet", { "hz-fsn-1": { ...lease, state: "fresh", refused: { cluster: "uid-2", at: now } } });
    await expect.poll(drawnText).toMatch(/a second cluster is refused/);
    expect(await drawnText()).not.toMatch(/last seen/);
    expect(await dimmed()).toBe(0);
    pushRegions("fleet", { "hz-fsn-1": { ...lease, state: "fresh" } });
    await expect.poll(drawnText).not.toMatch(/second cluster/);
    expect(await warned()).toBe(0);
    expect(await box()).toEqual(before);
  });

  test("ends when setState is called", async () => {
    const page = await open();
    await page.evaluate(() => bench.make({ src: "prefix", flow: "fleet" }));
    await expect.poll(() => streams.has("fleet")).toBe(true);
    await page.evaluate(() => bench.fleet({ regions: 1, perRegion: 8 }));
    await expect.poll(() => streams.size).toBe(0);
  });
});

describe("export", () => {
  test("a PNG shows the whole flow at the given scale, also if it is much larger than the view", async () => {
    const page = await open();
    const image = await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 8, perRegion: 40 });
      const blob = await bench.element!.exportPNG({ scale: 1 });
      const bitmap = await createImageBitmap(blob);
      const svg = await bench.element!.exportSVG();
      const parsed = new DOMParser().parseFromString(svg, "image/svg+xml");
      return { type: blob.type, w: bitmap.width, h: bitmap.height, svgError: parsed.querySelector("parsererror")?.textContent ?? null, texts: parsed.querySelectorAll("text").length };
    });
    expect(image.type).toBe("image/png");
    expect(image.w).toBeGreaterThan(1200);
    expect(image.w).toBeLessThanOrEqual(8192);
    expect(image.svgError).toBeNull();
    expect(image.texts).toBeGreaterThan(600);
  });

  test("a scale that would make a PNG too large is reduced", async () => {
    const page = await open();
    const [usual, reduced] = await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 1, perRegion: 2 });
      const sizes: { w: number; h: number }[] = [];
      for (const scale of [1, 1000]) {
        const { width, height } = await createImageBitmap(await bench.element!.exportPNG({ scale }));
        sizes.push({ w: width, h: height });
      }
      return sizes;
    });
    expect(Math.max(reduced!.w, reduced!.h)).toBe(8192);
    expect(reduced!.w / reduced!.h).toBeCloseTo(usual!.w / usual!.h, 2);
  });

  test("rejects before the first flow", async () => {
    const page = await open();
    await page.evaluate(() => bench.make());
    await expect(page.evaluate(() => bench.element!.exportPNG())).rejects.toThrow("no flow to export");
  });
});

describe("changes", () => {
  test("a change of status redraws only the node and the title of its region", async () => {
    const page = await open();
    await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 2, perRegion: 12 });
    });
    const outside = await page.evaluate(async () => {
      const el = bench.element!;
      const canvas = el.shadowRoot!.querySelector<HTMLCanvasElement>("canvas.nodes")!;
      const shot = (): Uint8ClampedArray => canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height).data;
      const id = [...bench.current().nodes.values()].find((n) => n.status === "succeeded")!.id;
      const region = bench.current().nodes.get(id)!.region!;
      const view = el.view, before = shot(), box = el.boxOf(id)!, lane = el.boxOf(region)!;
      await bench.send({ type: "upsert-nodes", nodes: [{ ...bench.current().nodes.get(id)!, status: "failed", meta: { reason: "UpgradeFailed" } }] });
      const after = shot(), now = el.boxOf(id)!;
      let stray = 0, changed = 0;
      for (let p = 0; p < before.length; p += 4) {
        if (before[p] === after[p] && before[p + 1] === after[p + 1] && before[p + 2] === after[p + 2] && before[p + 3] === after[p + 3]) continue;
        const x = (p / 4) % canvas.width, y = Math.floor(p / 4 / canvas.width);
        const within = (r: typeof box, h: number): boolean => x >= r.x - 1 && x <= r.x + r.w + 1 && y >= r.y - 1 && y <= r.y + h + 1;
        if (within(box, box.h)) changed++;
        else if (!within(lane, 40 * view.k)) stray++;
      }
      return { stray, changed, moved: JSON.stringify([view, box]) !== JSON.stringify([el.view, now]) };
    });
    expect(outside.stray).toBe(0);
    expect(outside.changed).toBeGreaterThan(100);
    expect(outside.moved).toBe(false);
  });

  test("a partial redraw has the same result as a full one", async () => {
    const page = await open();
    const different = await page.evaluate(async () => {
      bench.make({ minimap: "off" });
      await bench.fleet({ regions: 3, perRegion: 20 });
      const canvas = bench.element!.shadowRoot!.querySelector<HTMLCanvasElement>("canvas.nodes")!;
      const shot = (): Uint8ClampedArray => canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height).data;
      for (const [k, node] of [...bench.current().nodes.values()].filter((n) => n.id.includes("/")).entries()) {
        if (k % 3 === 0) await bench.send({ type: "upsert-nodes", nodes: [{ ...node, status: k % 2 === 0 ? "failed" : "succeeded", meta: { reason: "X" } }] });
      }
      const partial = shot();
      const { x, y, k } = bench.element!.view;
      bench.element!.view = { x: x + 5, y, k };
      await bench.drawn();
      bench.element!.view = { x, y, k };
      await bench.drawn();
      // Anti-aliased corners may differ slightly.
      return shot().filter((v, i) => Math.abs(v - partial[i]!) > 12).length;
    });
    expect(different).toBe(0);
  });

  test("a new release moves only its region, and a view that the user moved stays", async () => {
    const page = await open({ reducedMotion: "no-preference" });
    const result = await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 4, perRegion: 15 });
      bench.element!.panBy(30, 10);
      await bench.drawn();
      const view = bench.element!.view;
      const others = [...bench.current().nodes.keys()].filter((id) => id.startsWith("oci-fra-1/"));
      const boxes = (): string => JSON.stringify(others.map((id) => bench.element!.boxOf(id)));
      const before = boxes();
      await bench.send({ type: "upsert-nodes", nodes: [{ id: "hz-fsn-1/new", flowId: "fleet", label: "new", status: "pending", region: "hz-fsn-1" }] });
      const during = boxes();
      return { stayed: before === during, view: JSON.stringify(view) === JSON.stringify(bench.element!.view), there: bench.element!.boxOf("hz-fsn-1/new") !== undefined };
    });
    expect(result).toEqual({ stayed: true, view: true, there: true });
  });

  test("settled resolves after a layout that the clock started", async () => {
    const page = await open();
    const boxes = await page.evaluate(async () => {
      bench.make();
      const ready = { at: bench.now + 1000, state: "ready" };
      await bench.show({
        type: "snapshot", flow: { id: "f", status: "running", startedAt: 0 }, relationships: [{ fromId: "source", toId: "a", type: "finish-to-start" }],
        nodes: [
          { id: "a", flowId: "f", label: "a", status: "succeeded", region: "r" },
          { id: "source", flowId: "f", label: "source", status: "running", region: "r", meta: { auxiliary: true, judgement: { state: "working", then: [ready] } } },
        ],
      });
      const box = (): unknown => bench.element!.boxOf("source") ?? null;
      const before = box();
      bench.now += 5000;
      bench.element!.clock = () => bench.now;
      await bench.element!.settled();
      return [before !== null, box()];
    });
    expect(boxes).toEqual([true, null]);
  });

  test("of many states in one frame only the newest is drawn", async () => {
    const page = await open();
    const svg = await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 1, perRegion: 5 });
      for (let i = 0; i < 200; i++) {
        await Promise.resolve();
        void bench.send({ type: "upsert-nodes", nodes: [{ id: "hz-fsn-1/bp-cilium", flowId: "fleet", label: "bp-cilium", region: "hz-fsn-1", status: "failed", meta: { reason: `R${i}` } }] });
      }
      await bench.drawn();
      return bench.element!.exportSVG();
    });
    expect(svg).toContain(">R199<");
  });
});

describe("lifecycle", () => {
  test("properties set before the upgrade are applied", async () => {
    const page = await open();
    const applied = await page.evaluate(async () => {
      // An element that another document created is upgraded when it is inserted.
      const el = document.implementation.createHTMLDocument().createElement("openova-flow");
      Object.assign(el, { padding: { left: 600 }, clock: () => 5 });
      document.body.append(el);
      bench.element = el;
      await bench.fleet({ regions: 1, perRegion: 12 });
      return [el.padding.left, el.clock(), el.boxOf("hz-fsn-1")!.x];
    });
    expect(applied.slice(0, 2)).toEqual([600, 5]);
    expect(applied[2]).toBeGreaterThanOrEqual(600);
  });

  test("without a size it draws nothing and raises no error; given one it shows the whole flow", async () => {
    const page = await open();
    await page.evaluate(async () => {
      bench.make();
      bench.element!.style.display = "none";
      await bench.fleet({ regions: 1, perRegion: 12 });
      bench.element!.zoomIn();
      bench.element!.fit();
      bench.element!.zoomTo("hz-fsn-1/bp-flux");
      bench.element!.style.display = "";
    });
    await expect.poll(() => inked(page, "nodes").then((i) => i.share)).toBeGreaterThan(0.01);
  });

  test("removed and inserted again, it shows a state that was set meanwhile", async () => {
    const page = await open();
    await page.evaluate(async () => {
      bench.make();
      await bench.fleet({ regions: 1, perRegion: 12 });
      const el = bench.element!;
      el.remove();
      const node = bench.current().nodes.get("hz-fsn-1/bp-cilium")!;
      void bench.send({ type: "upsert-nodes", nodes: [{ ...node, status: "failed", meta: { reason: "UpgradeFailed" } }, { ...node, id: "hz-fsn-1/late", label: "late" }] });
      document.body.append(el);
      await bench.drawn();
    });
    const svg = await page.evaluate(() => bench.element!.exportSVG());
    expect(svg).toContain(">UpgradeFailed<");
    expect(svg).toContain(">late<");
    expect((await inked(page, "nodes")).share).toBeGreaterThan(0.01);
  });

  test("removed during a layout it stops, and lays out again when inserted again", async () => {
    const page = await open();
    await page.evaluate(async () => {
      bench.make();
      void bench.fleet({ regions: 20, perRegion: 60 });
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const el = bench.element!;
      el.remove();
      await new Promise((resolve) => requestAnimationFrame(resolve));
      document.body.append(el);
      await bench.drawn();
    });
    expect((await inked(page, "nodes")).share).toBeGreaterThan(0.01);
  });

  test("a removed element leaves no interval, worker, listener or observer", async () => {
    const page = await open({ reducedMotion: "no-preference" });
    const left = await page.evaluate(async () => {
      const inUse = { listeners: 0, intervals: 0, workers: 0, observers: 0 };
      for (const target of [Document.prototype, MediaQueryList.prototype, EventTarget.prototype]) {
        if (!Object.hasOwn(target, "addEventListener")) continue;
        const add = target.addEventListener;
        target.addEventListener = function (this: EventTarget, type: string, fn: EventListenerOrEventListenerObject | null, o?: boolean | AddEventListenerOptions) {
          const signal = typeof o === "object" ? o.signal : undefined;
          if ((this === document || this instanceof MediaQueryList) && !(signal?.aborted ?? false)) {
            inUse.listeners++;
            signal?.addEventListener("abort", () => inUse.listeners--, { once: true });
          }
          add.call(this, type, fn, o);
        };
      }
      const { setInterval: si, clearInterval: ci } = globalThis;
      globalThis.setInterval = ((...a: Parameters<typeof si>) => (inUse.intervals++, si(...a))) as typeof si;
      globalThis.clearInterval = ((id?: number) => (inUse.intervals--, ci(id))) as typeof ci;
      const W = globalThis.Worker;
      globalThis.Worker = class extends W {
        constructor(...a: ConstructorParameters<typeof W>) {
          super(...a);
          inUse.workers++;
        }
        override terminate(): void {
          inUse.workers--;
          super.terminate();
        }
      };
      const R = globalThis.ResizeObserver;
      globalThis.ResizeObserver = class extends R {
        constructor(fn: ResizeObserverCallback) {
          super(fn);
          inUse.observers++;
        }
        override disconnect(): void {
          inUse.observers--;
          super.disconnect();
        }
      };
      for (let k = 0; k < 5; k++) {
        bench.make();
        await bench.fleet({ regions: 2, perRegion: 20 });
        const during = { ...inUse };
        if (during.intervals !== 1 || during.workers !== 1 || during.observers !== 1 || during.listeners < 3) return { during };
        bench.element!.remove();
      }
      return inUse;
    });
    expect(left).toEqual({ listeners: 0, intervals: 0, workers: 0, observers: 0 });
  });

  test("a removed element can be garbage-collected", async () => {
    const page = await open({ reducedMotion: "no-preference" });
    const cdp = await context!.newCDPSession(page);
    await page.evaluate(async () => {
      (globalThis as unknown as { refs: WeakRef<Element>[] }).refs = [];
      for (let k = 0; k < 3; k++) {
        bench.make();
        await bench.fleet({ regions: 2, perRegion: 20 });
        (globalThis as unknown as { refs: WeakRef<Element>[] }).refs.push(new WeakRef(bench.element!));
        bench.element!.remove();
        bench.element = null;
      }
    });
    await expect.poll(async () => {
      await cdp.send("HeapProfiler.collectGarbage");
      return page.evaluate(() => (globalThis as unknown as { refs: WeakRef<Element>[] }).refs.filter((r) => r.deref() !== undefined).length);
    }).toBe(0);
  });

  test("stripes move only while a working node is visible, and not with reduced motion", async () => {
    /** How often nodes are drawn in 40 frames; waits longer until there are `least` drawings. */
    const drawings = async (reducedMotion: "reduce" | "no-preference", status: string, least: number): Promise<number> => {
      const page = await open({ reducedMotion });
      const n = await page.evaluate(async ([s, enough]) => {
        bench.make();
        await bench.show({ type: "snapshot", flow: { id: "f", status: s, startedAt: 0 }, nodes: [{ id: "a", flowId: "f", label: "a", status: s, region: "r" }] });
        const canvas = bench.element!.shadowRoot!.querySelector<HTMLCanvasElement>("canvas.nodes")!;
        const c = canvas.getContext("2d")!;
        let drawn = 0;
        const clear = c.clearRect.bind(c);
        c.clearRect = (...a) => (drawn++, clear(...a));
        for (let i = 0; i < 40 || drawn < enough; i++) await new Promise((resolve) => requestAnimationFrame(resolve));
        return drawn;
      }, [status, least] as const);
      await context!.close();
      context = undefined;
      return n;
    };
    expect(await drawings("no-preference", "running", 4)).toBeGreaterThan(3);
    expect(await drawings("no-preference", "succeeded", 0)).toBe(0);
    expect(await drawings("reduce", "running", 0)).toBe(0);
  });
});
