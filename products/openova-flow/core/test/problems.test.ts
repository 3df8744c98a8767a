import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { blockedBy, commandsFor, criticalPath, problems, type FlowGraph, type FlowNode, type FluxMeta, type Problem } from "../src/index.js";
import { pathOf } from "./files.js";
import { edge, graphOf, node, recordedAt } from "./flow.js";

const now = 1_000_000_000;
const short = (p: Problem): unknown => [p.ids.join("+"), p.reason, p.blocks];

describe("problems", () => {
  it("is empty if everything is ready or in progress", () => {
    expect(problems(graphOf([node("a"), node("b", "running", { reason: "Progressing" }), node("c", "pending"), node("d", "succeeded", { suspended: true })]), now)).toEqual([]);
    const end = recordedAt("kit-fsn1");
    expect(problems(end.graph, end.now)).toEqual([]);
  });

  it("lists only root causes, first the one that blocks most", () => {
    const waits = (id: string): FlowNode => node(id, "running", { reason: "DependencyNotReady" });
    const g = graphOf(
      [node("small", "failed", {}, { endedAt: 1 }), node("big", "failed", { reason: "InstallFailed" }), waits("x"), waits("y"), node("done")],
      [edge("big", "x"), edge("x", "y"), edge("big", "done")],
    );
    expect(problems(g, now).map(short)).toEqual([
      ["big", "failed", ["x", "y"]],
      ["small", "failed", []],
    ]);
  });

  it("reports a failed source with its users as one problem, and a missing dependency with its dependents", () => {
    const withBrokenSource = (id: string, region: string): FlowNode =>
      node(id, "running", { judgement: { state: "broken", since: 0, problem: true, cause: { class: "source-not-ready" }, source: `${region}/dead`, blamesSource: true } }, { region });
    const source = (region: string): FlowNode =>
      node(`${region}/dead`, "failed", { auxiliary: true, judgement: { state: "broken", since: 0, problem: true, cause: { sentence: "dead cannot be fetched." } } }, { region });
    const withoutDependency = (id: string): FlowNode => node(id, "running", { waitingFor: ["gone"], waitingSince: 5 });
    const found = problems(graphOf([withBrokenSource("a", "r1"), withBrokenSource("b", "r1"), withBrokenSource("c", "r2"), source("r1"), source("r2"), withoutDependency("d"), withoutDependency("e"), node("f", "failed")]), now);
    expect(found.map((p) => p.ids.join("+")).sort()).toEqual(["d+e", "f", "r1/dead+a+b", "r2/dead+c"]);
    expect(found.find((p) => p.id === "r1/dead")?.sentence).toBe("dead cannot be fetched.");
    expect(found.find((p) => p.id === "d")).toMatchObject({ since: 5, reason: "dependency-missing", sentence: "d waits for gone, which does not exist." });
  });

  it("says where in Git to fix it, and offers no retry", () => {
    const judgement = { state: "broken", since: 0, problem: true, final: true, cause: { class: "install-failed", inGit: true }, command: ["kubectl", "-n", "shop", "describe", "helmrelease", "api"] };
    const api = (meta: FluxMeta): FlowNode => node("eu/shop/api", "failed", { namespace: "shop", judgement, ...meta }, { label: "api", region: "eu" });
    const apps = node("eu/Kustomization/flux-system/apps", "succeeded", { kind: "Kustomization", path: "./apps", source: { kind: "GitRepository", namespace: "flux-system", name: "fleet" } }, { label: "apps", region: "eu" });
    const of = (n: FlowNode): Problem | undefined => problems(graphOf([n, apps]), now)[0];
    expect(of(api({ appliedBy: apps.id }))).toMatchObject({ inGit: "./apps of GitRepository flux-system/fleet", command: "kubectl -n shop describe helmrelease api" });
    expect(of(api({}))).toMatchObject({ inGit: "" });
    const broken = { ...apps, status: "failed", meta: { ...apps.meta, judgement } };
    expect(problems(graphOf([broken]), now)[0]).toMatchObject({ inGit: "./apps of GitRepository flux-system/fleet" });
    expect(of(node("x", "failed"))?.inGit).toBeUndefined();
    expect(commandsFor(api({}), true).map((c) => c.title)).not.toContain("Try again now");
    expect(commandsFor(api({})).map((c) => c.title)).toContain("Try again now");
  });

  it("has unique keys, whatever is in ids and classes", () => {
    const broken = (id: string, cause: string): FlowNode => node(id, "failed", { judgement: { state: "broken", problem: true, cause: { class: cause } } });
    const found = problems(graphOf([broken("b c", "a"), broken("c", "a b")]), now);
    expect(found.map((p) => [p.reason, p.id])).toEqual([["a", "b c"], ["a b", "c"]]);
    expect(new Set(found.map((p) => p.key)).size).toBe(2);
  });

  it("reports a missing dependency separately for each region", () => {
    const withoutDependency = (id: string, region: string): FlowNode => node(id, "running", { waitingFor: ["hel1/gone"], waitingSince: 5 }, { region });
    const found = problems(graphOf([withoutDependency("fsn1/a", "fsn1"), withoutDependency("hel1/b", "hel1"), withoutDependency("hel1/c", "hel1")]), now);
    expect(found.map((p) => [p.region, p.ids])).toEqual([
      ["fsn1", ["fsn1/a"]],
      ["hel1", ["hel1/b", "hel1/c"]],
    ]);
  });

  describe("a cycle over regions", () => {
    const of = (id: string, status = "running", waits = true): FlowNode =>
      node(id, status, waits ? { reason: "DependencyNotReady", waitingSince: 5 } : {}, { region: id.split("/")[0] as string });
    const hel1 = [of("hel1/app"), of("hel1/web"), of("hel1/last")];
    const declared = [edge("fsn1/shared", "hel1/app"), edge("hel1/app", "hel1/web"), edge("hel1/web", "hel1/last")];
    const closing = edge("hel1/web", "fsn1/shared");
    const shown = (g: FlowGraph): unknown => ({
      problems: problems(g, now).filter((p) => p.region === "hel1"),
      own: g.edges.filter((e) => e.from.startsWith("hel1") && e.to.startsWith("hel1")).map((e) => e.cyclic),
      path: criticalPath(g, now, hel1.map((n) => n.id)),
    });

    it("is not caused by one region that declares an edge of another region's release", () => {
      for (const shared of [of("fsn1/shared"), of("fsn1/shared", "running", false), of("fsn1/shared", "succeeded", false)]) {
        const before = graphOf([shared, ...hel1], declared);
        const after = graphOf([shared, ...hel1], [...declared, closing]);
        expect(shown(after)).toEqual(shown(before));
        expect(blockedBy(after, "hel1/app", now).map((b) => b.id)).toEqual(blockedBy(before, "hel1/app", now).map((b) => b.id));
      }
    });

    it("is one problem without a region if both wait, and names the declarations", () => {
      const found = problems(graphOf([of("fsn1/shared"), ...hel1], [...declared, closing]), now);
      expect(found.map((p) => [p.region, p.label, p.reason, p.display, p.ids, p.blocks, p.since])).toEqual([
        ["", "fsn1 and hel1", "dependency-cycle", "waiting", ["fsn1/shared", "hel1/app", "hel1/web"], ["hel1/last"], 5],
      ]);
      expect(found[0]?.sentence).toContain("fsn1 declares that fsn1/shared waits for hel1/web, hel1 declares that hel1/app waits for fsn1/shared");
    });

    it("is named by its regions even if its root has none", () => {
      const waits = (id: string, region: string | undefined, need: string): FlowNode =>
        node(id, "running", { judgement: { state: "waiting", since: 5, needs: [need] } }, region === undefined ? {} : { region });
      const [found] = problems(graphOf([waits("a", undefined, "hel1/b"), waits("hel1/b", "hel1", "a")]), now);
      expect([found?.id, found?.label, found?.name]).toEqual(["a", "hel1 and no region", "hel1 and no region"]);
    });

    it("does not exist while one region's part is not waiting", () => {
      expect(problems(graphOf([of("fsn1/shared", "running", false), ...hel1], [...declared, closing]), now)).toEqual([]);
    });

    it("is not reported for a region that has its own cycle", () => {
      const found = problems(graphOf([of("fsn1/shared"), of("fsn1/b"), ...hel1], [...declared, closing, edge("fsn1/shared", "fsn1/b"), edge("fsn1/b", "fsn1/shared")]), now);
      expect(found.map((p) => [p.region, p.ids])).toEqual([
        ["fsn1", ["fsn1/b", "fsn1/shared"]],
        ["", ["hel1/app", "fsn1/b", "fsn1/shared", "hel1/web"]],
      ]);
      expect(new Set(found.map((p) => p.id)).size).toBe(2);
    });
  });

  it("reports stuck deletions, suspended dependencies and cycles", () => {
    const g = graphOf(
      [
        node("dying", "succeeded", { deletingSince: now - 600_000, finalizers: ["finalizers.fluxcd.io"] }),
        node("leaving", "succeeded", { deletingSince: now - 1000 }),
        node("held", "running", { suspended: true }),
        node("waits", "running", { reason: "DependencyNotReady" }),
        node("c1", "running", { reason: "DependencyNotReady" }),
        node("c2", "running", { reason: "DependencyNotReady" }),
      ],
      [edge("held", "waits"), edge("c1", "c2"), edge("c2", "c1")],
    );
    expect(problems(g, now).map((p) => [p.ids.join("+"), p.reason])).toEqual([
      ["c1+c2", "dependency-cycle"],
      ["held", "suspended"],
      ["dying", "terminating"],
    ]);
    expect(problems(g, now)[2]?.sentence).toBe("dying is still being deleted after five minutes.");
  });

  it("shows seaweedfs and what it blocks in the middle of kit-fsn1", () => {
    const { graph, now } = recordedAt("kit-fsn1", 130);
    expect(problems(graph, now)).toEqual([
      expect.objectContaining({
        id: "fsn1/bp-seaweedfs",
        display: "broken",
        sentence: expect.stringContaining("Deployment seaweedfs/seaweedfs did not become ready in time (it is InProgress).") as string,
        command: "kubectl -n seaweedfs describe deployment seaweedfs",
      }),
    ]);
    expect(problems(graph, now)[0]?.blocks).toHaveLength(5);
  });

  it("lists all failures at the end of the scenarios, each with a command", () => {
    const { graph, now } = recordedAt("scenarios");
    const found = new Map(problems(graph, now).flatMap((p) => p.ids.map((id) => [id.split("/").at(-1), p])));
    for (const [name, part] of [
      ["nochart", "has no chart of that name"],
      ["deadrepo", "HelmRepository dead has never been fetched"],
      ["badvalues", "ConfigMap demo2/missing-values"],
      ["chartref-missing", "HelmChart nope"],
      ["dep-missing", "does not exist"],
    ] as const) {
      expect(found.get(name)?.sentence, name).toContain(part);
      expect(found.get(name)?.command, name).toBeDefined();
      expect(found.get(name)?.display, name).toBe("broken");
    }
  });
});

describe("commandsFor", () => {
  it("returns commands for Flux objects, with resume for a suspended one", () => {
    expect(commandsFor(node("r", "running", { kind: "Region" }))).toEqual([]);
    const titles = (n: FlowNode): string[] => commandsFor(n).map((c) => c.title);
    expect(titles(node("a", "running", { suspended: true }))).toContain("Resume it");
    expect(titles(node("a"))).toContain("Try again now");
    for (const c of commandsFor(node("apps", "running", { kind: "Kustomization", namespace: "x" }))) expect(c.command).toMatch(/apps/);
  });
});

it("the package has no dependencies", () => {
  const manifest = JSON.parse(readFileSync(pathOf("core/package.json"), "utf8")) as Record<string, unknown>;
  expect(manifest["dependencies"]).toBeUndefined();
  expect(manifest["peerDependencies"]).toBeUndefined();
});
