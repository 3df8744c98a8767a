import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { launch, visit, type VisitOptions } from "../test/support/browser.ts";
import { postEnvironment } from "../test/support/fleet.ts";
import { push } from "../test/support/gitops.ts";
import { Relay } from "../test/support/relay.ts";
import { replay } from "../test/support/replay.ts";
import { Server } from "../test/support/server.ts";

const out = process.env["SHOTS"] ?? fileURLToPath(new URL("../../../../docs/screenshots", import.meta.url));

interface Shot extends VisitOptions {
  readonly name: string;
  readonly query: string;
  /** Keys pressed before the picture is taken. */
  readonly keys?: readonly string[];
}

/** Small enough that few pictures are over 150 kB. */
const DESK = { width: 1100, height: 660 } as const;
const PHONE = { width: 390, height: 780, deviceScaleFactor: 1.5 } as const;
/** The instant of the recordings at which the flow production is shown, in milliseconds from their start. */
const BUSY = Number(process.env["BUSY"] ?? 70_000);
const both = (name: string, query: string): readonly Shot[] => (["dark", "light"] as const).map((scheme) => ({ name: `${name}-${scheme}`, query, scheme }));

const SHOTS: readonly Shot[] = [
  ...both("fleet", ""),
  ...both("graph-60", "?flow=omantel-prod"),
  ...both("graph-300", "?flow=three-hundred"),
  ...both("graph-10000", "?flow=ten-thousand").map((s) => ({ ...s, width: 1440, height: 900 })),
  { name: "flow-graph-dark", query: "?flow=production", scheme: "dark", width: 1440, height: 900 },
  ...both("details", "?flow=omantel-prod&node=hz-fsn-1/bp-catalyst-ui"),
  ...both("wrong", "?flow=scenarios&node=scenarios/demo2/slow-timeout"),
  ...both("timeline", "?flow=bootstrap&view=timeline"),
  ...both("table", "?flow=three-hundred&view=table"),
  ...both("matrix", "?flow=three-hundred&view=matrix"),
  ...both("rollouts", "?flow=bootstrap&view=rollouts"),
  ...both("stale-region", "?flow=production&node=hel1"),
  { name: "revisions-light", query: "?flow=shop&view=revisions&region=hel1&region=nbg1&region=sin&region=waw1", scheme: "light", width: 1440, height: 440 },
  { name: "phone-stale-region-light", query: "?flow=production", scheme: "light", ...PHONE },
  { name: "timeline-10000-dark", query: "?flow=ten-thousand&view=timeline", scheme: "dark" },
  { name: "critical-path-dark", query: "?flow=bootstrap&trace=critical", scheme: "dark" },
  { name: "time-travel-dark", query: "?flow=bootstrap&at=AT", scheme: "dark" },
  { name: "help-light", query: "?flow=bootstrap", scheme: "light", keys: ["?"] },
  { name: "empty-light", query: "?flow=nowhere", scheme: "light" },
  { name: "phone-fleet-dark", query: "", scheme: "dark", ...PHONE },
  { name: "phone-graph-light", query: "?flow=omantel-prod", scheme: "light", ...PHONE },
  { name: "phone-details-dark", query: "?flow=scenarios&node=scenarios/demo2/deadrepo", scheme: "dark", ...PHONE },
  { name: "phone-timeline-light", query: "?flow=bootstrap&view=timeline", scheme: "light", ...PHONE },
];

it("makes the screenshots", async () => {
  mkdirSync(out, { recursive: true });
  const only = process.env["ONLY"]?.split(",");
  const browser = await launch();
  const server = await Server.start();
  const relay = await Relay.before(server);
  try {
    await postEnvironment(server, "omantel-prod", 60);
    await postEnvironment(server, "three-hundred", 300);
    await postEnvironment(server, "ten-thousand", 10_000);
    await replay(server, ["scenarios"], { flow: "scenarios" });
    await push(server, "shop", "main@sha1:8b4964259f579b795a5157cb86565624a1fd1b82", "main@sha1:e08691a709cd2a66cc1bcffc616bea0b0360ca84", "main@sha1:0eb8e9e4fb03dac2c8ce400c98ccb8cc1a8850a5");
    // Two regions at an instant with one failure that blocks others, working nodes and waiting nodes.
    await replay(server, ["kit-fsn1", "kit-hel1"], { flow: "production", until: BUSY, endsAt: Date.now() });
    // Posted in steps, so that there is a history for time travel.
    let middle = 0;
    for (let until = 2000; until <= 172_000; until += 17_000) {
      await replay(server, ["kit-fsn1", "kit-hel1"], { until, after: until === 2000 ? -1 : until - 17_000, endsAt: Date.now() + (until - 172_000) });
      if (until === 104_000) middle = Date.now();
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
    const lastSeen = Date.now() - 250_000;
    relay.setRegions("production", { hel1: { state: "stale", since: lastSeen + 30_000, heard: lastSeen, cluster: "6f1c2a1e-4b7d-4e11-9d55-0b6f0f6f7a10" } });
    for (const shot of SHOTS) {
      if (only !== undefined && !only.some((o) => shot.name.startsWith(o))) continue;
      const v = await visit(browser, `${(shot.name.includes("stale") ? relay : server).url}${shot.query.replace("AT", String(middle))}`, { ...DESK, ...shot });
      await v.page.waitForTimeout(shot.query.includes("ten-thousand") ? 6000 : 2500);
      for (const key of shot.keys ?? []) {
        await v.page.keyboard.press(key);
        await v.page.waitForTimeout(500);
      }
      await v.page.screenshot({ path: `${out}/${shot.name}.png` });
      await v.close();
      expect(v.faults).toEqual([]);
    }
  } finally {
    await browser.close();
    relay.close();
    await server.kill();
  }
});
