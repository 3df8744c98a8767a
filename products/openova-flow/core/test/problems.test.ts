import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { blockedBy, commandsFor, criticalPath, explain, metaOf, problems, type FlowGraph, type FlowNode, type Problem } from "../src/index.js";
import { cpuMs, golden, pathOf } from "./files.js";
import { edge, graphOf, node, recordedAt } from "./flow.js";

const now = 1_000_000_000;
const short = (p: Problem): unknown => [p.ids.join("+"), p.reason, p.blocks];

describe("problems", () => {
  it("is empty when all is well or on its way", () => {
    expect(problems(graphOf([node("a"), node("b", "running", { reason: "Progressing" }), node("c", "pending"), node("d", "succeeded", { suspended: true })]), now)).toEqual([]);
    const end = recordedAt("kit-fsn1");
    expect(problems(end.graph, end.now)).toEqual([]);
  });

  it("lists root causes only, the one that holds most first", () => {
    const waits = (id: string): FlowNode => node(id, "running", { reason: "DependencyNotReady" });
    const g = graphOf(
      [node("small", "failed", {}, { endedAt: 1 }), node("big", "failed", { reason: "InstallFailed" }), waits("x"), waits("y"), node("done")],
      [edge("big", "x"), edge("x", "y"), edge("big", "done")],
    );
    expect(problems(g, now).map(short)).toEqual([
      ["big", "InstallFailed", ["x", "y"]],
      ["small", "failed", []],
    ]);
  });

  it("makes one problem of one dead source, in each region, and of one missing dependency", () => {
    const dead = (id: string, region: string): FlowNode =>
      node(id, "running", { reason: "SourceNotReady", reasonSince: 0, source: { kind: "HelmRepository", name: "dead", ready: "False", message: "lookup x: no such host" } }, { region });
    const astray = (id: string): FlowNode => node(id, "running", { waitingFor: ["gone"], waitingSince: 5 });
    const failed = { ...dead("f", "r1"), status: "failed" };
    const found = problems(graphOf([dead("a", "r1"), dead("b", "r1"), dead("c", "r2"), astray("d"), astray("e"), failed]), now);
    expect(found.map((p) => p.ids.join("+")).sort()).toEqual(["a+b", "c", "d+e", "f"]);
    expect(found.find((p) => p.id === "a")?.sentence).toBe("a waits for a source that is not ready: the host name of its source does not resolve.");
    expect(found.find((p) => p.id === "d")).toMatchObject({ since: 5, sentence: "d waits for gone, which does not exist." });
  });

  it("keeps what waits for one missing dependency apart by region", () => {
    const astray = (id: string, region: string): FlowNode => node(id, "running", { waitingFor: ["hel1/gone"], waitingSince: 5 }, { region });
    const found = problems(graphOf([astray("fsn1/a", "fsn1"), astray("hel1/b", "hel1"), astray("hel1/c", "hel1")]), now);
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
      cycles: hel1.map((n) => g.cycleOf(n.id)),
      own: g.edges.filter((e) => e.from.startsWith("hel1") && e.to.startsWith("hel1")).map((e) => e.cyclic),
      path: criticalPath(g, now, hel1.map((n) => n.id)),
    });

    it("is nothing that a region can make of another's releases by declaring an edge", () => {
      for (const shared of [of("fsn1/shared"), of("fsn1/shared", "running", false), of("fsn1/shared", "succeeded", false)]) {
        const before = graphOf([shared, ...hel1], declared);
        const after = graphOf([shared, ...hel1], [...declared, closing]);
        expect(shown(after)).toEqual(shown(before));
        expect(blockedBy(after, "hel1/app", now).map((b) => b.id)).toEqual(blockedBy(before, "hel1/app", now).map((b) => b.id));
      }
    });

    it("is one problem of no region once both say that they wait, and names who declares what", () => {
      const found = problems(graphOf([of("fsn1/shared"), ...hel1], [...declared, closing]), now);
      expect(found.map((p) => [p.region, p.label, p.reason, p.display, p.ids, p.blocks, p.since])).toEqual([
        ["", "fsn1 and hel1", "DependencyCycle", "waiting", ["fsn1/shared", "hel1/app", "hel1/web"], ["hel1/last"], 5],
      ]);
      expect(found[0]?.sentence).toContain("fsn1 declares that fsn1/shared waits for hel1/web, hel1 declares that hel1/app waits for fsn1/shared");
    });

    it("is none while a region says that its part works", () => {
      expect(problems(graphOf([of("fsn1/shared", "running", false), ...hel1], [...declared, closing]), now)).toEqual([]);
    });

    it("is none of its own where a region waits in a cycle by itself", () => {
      const found = problems(graphOf([of("fsn1/shared"), of("fsn1/b"), ...hel1], [...declared, closing, edge("fsn1/shared", "fsn1/b"), edge("fsn1/b", "fsn1/shared")]), now);
      expect(found.map((p) => [p.region, p.ids])).toEqual([
        ["fsn1", ["fsn1/b", "fsn1/shared"]],
        ["", ["fsn1/b", "fsn1/shared", "hel1/app", "hel1/web"]],
      ]);
      expect(new Set(found.map((p) => p.id)).size).toBe(2);
    });
  });

  it("tells what hangs in deletion, what holds others suspended, and what waits for itself", () => {
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
      ["c1+c2", "DependencyCycle"],
      ["held", "Suspended"],
      ["dying", "Terminating"],
    ]);
    expect(problems(g, now)[2]?.sentence).toContain("finalizers.fluxcd.io");
    expect(problems(g, now)[1]?.command).toBe("flux resume helmrelease held -n flux-system");
  });

  it("shows seaweedfs and what it blocks in the middle of kit-fsn1", () => {
    const { graph, now } = recordedAt("kit-fsn1", 130);
    expect(problems(graph, now)).toEqual([
      expect.objectContaining({
        id: "fsn1/bp-seaweedfs",
        display: "broken",
        sentence: "bp-seaweedfs could not be installed: Deployment seaweedfs/seaweedfs did not become ready in time (it is InProgress).",
        command: "kubectl -n seaweedfs describe deployment seaweedfs",
      }),
    ]);
    expect(problems(graph, now)[0]?.blocks).toHaveLength(5);
  });

  it("lists at the end of the scenarios what never got anywhere, each with what to do", () => {
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

describe("explain", () => {
  it("gives every known reason of Flux a sentence", () => {
    const actions = ["Install", "Upgrade", "Test", "Rollback", "Uninstall"].flatMap((a) => [`${a}Succeeded`, `${a}Failed`]);
    const others =
      "RetriesExceeded RetriesExhausted ArtifactFailed DependencyNotReady DriftDetected NoDriftDetected SourceNotReady ValuesError ChartMutateError RESTClientError FactoryError StateError ReconcileError MissingRollbackTarget PendingRelease AwaitingTests AccessDenied HealthCheckCanceled InvalidCELExpression InitFailed GetLastReleaseFailed ReconciliationSucceeded ReconciliationFailed Progressing ProgressingWithRetry ChartPullSucceeded NewChart InvalidChartReference NoSourceArtifact";
    for (const reason of [...actions, ...others.split(" ")]) {
      const told = explain(reason, "", { namespace: "n" }, "x");
      expect(told.known, reason).toBe(true);
      expect(told.sentence, reason).toMatch(/^x [a-z].*\.$/);
    }
  });

  it("shows an unknown one as it came", () => {
    expect(explain("Odd", "no one knows", {}, "x")).toMatchObject({ sentence: "Odd: no one knows", known: false });
    expect(explain("toString", "", {}, "x").known).toBe(false);
  });

  it("knows every Ready reason and every failure's message in the recordings", () => {
    let failures = 0;
    for (const name of ["kit-fsn1", "kit-hel1", "scenarios"]) {
      for (const { message } of golden(name)) {
        for (const n of message.type === "upsert-nodes" ? message.nodes : []) {
          const meta = metaOf(n);
          if (meta.reason === undefined) continue;
          const told = explain(meta.reason, meta.message ?? "", meta, n.label);
          expect(told.known, meta.reason).toBe(true);
          if (!/Failed|Error|NotReady/.test(meta.reason)) continue;
          failures++;
          expect(told.sentence, meta.message).toContain(": ");
        }
      }
    }
    expect(failures).toBeGreaterThan(50);
  });

  it.each([
    ["InstallFailed", `failed calling webhook "x.y": EOF`, "the admission webhook x.y does not answer"],
    ["UpgradeFailed", `admission webhook "pol" denied the request: no latest tags`, "the admission webhook pol refused it: no latest tags"],
    ["InstallFailed", `no matches for kind "Certificate" in version "cert-manager.io/v1"`, "its CRD is not installed"],
    ["InstallFailed", `configmaps is forbidden: User "system:serviceaccount:a:b" cannot create resource "configmaps" in API group ""`, "system:serviceaccount:a:b may not create configmaps"],
    ["UpgradeFailed", `another operation (install/upgrade/rollback) is in progress`, "another Helm operation holds the release"],
    ["UpgradeFailed", `"x" has no deployed releases`, "nothing to upgrade"],
    ["UpgradeFailed", `Deployment.apps "a" is invalid: spec.selector: Invalid value: {}: field is immutable`, "spec.selector"],
    ["InstallFailed", `pods "a" is forbidden: exceeded quota: small, requested: 1`, "the quota small is used up"],
    ["InstallFailed", `namespaces "a" not found`, "the namespace a does not exist"],
    ["InstallFailed", `values don't meet the specifications of the schema(s) in the following chart(s):\nx:\n- replicas: Invalid type`, "break the chart's schema: x: - replicas: Invalid type"],
    ["SourceNotReady", `HelmRepository 'a/b' is not ready: failed to fetch: 401 Unauthorized`, "credentials"],
    ["InstallFailed", `template: a/templates/b.yaml:3:4: executing "x" at <.Values.y>: nil pointer`, "a/templates/b.yaml:3:4"],
  ])("explains %s: %s", (reason, message, part) => {
    expect(explain(reason, message, {}, "x").sentence).toContain(part);
  });

  it("cuts a long message between words and ends the sentence once", () => {
    const words = Array.from({ length: 60 }, (_, i) => `word${i}`);
    const { sentence } = explain("InstallFailed", `admission webhook "w.example" denied the request: ${words.join(" ")}`, { kind: "HelmRelease" }, "a");
    expect(sentence).toMatch(/ …$/);
    expect(words).toContain(sentence.split(" ").at(-2));
    expect(explain("InstallFailed", 'admission webhook "w.example" denied the request: no.', { kind: "HelmRelease" }, "a").sentence).toMatch(/no\.$/);
  });

  it("says when Flux has given up, and then the command tries again", () => {
    const meta = { namespace: "n", stalled: true, stalledReason: "RetriesExceeded", stalledMessage: "Failed to install after 4 attempt(s)" };
    expect(explain("InstallFailed", "", meta, "x")).toEqual({
      sentence: "x could not be installed. Flux has given up on it after 4 attempts.",
      command: "flux reconcile helmrelease x -n n --reset",
      known: true,
    });
  });

  it("names no command for what has no name", () => {
    expect(explain("InstallFailed", "").command).toBeUndefined();
  });

  it("is not slowed down by a message made for it", () => {
    const nasty = ["Kind \"", "timeout waiting for: [", "execution error at (", "template: ", "User \"", "dependency '", "could not resolve Secret chart values reference '", "failed to create typed patch object ("];
    for (const start of nasty) {
      for (const filler of ["a", "a/", "x: ", "a.a\" ", ";", "' "]) {
        expect(cpuMs(() => explain("InstallFailed", (start + filler.repeat(4096 / filler.length)).repeat(2), {}, "x")), start + filler).toBeLessThan(500);
      }
    }
  });
});

describe("commandsFor", () => {
  it("are for Flux objects, with resume for a suspended one", () => {
    expect(commandsFor(node("r", "running", { kind: "Region" }))).toEqual([]);
    const titles = (n: FlowNode): string[] => commandsFor(n).map((c) => c.title);
    expect(titles(node("a", "running", { suspended: true }))).toContain("Resume it");
    expect(titles(node("a"))).toContain("Try again now");
    for (const c of commandsFor(node("apps", "running", { kind: "Kustomization", namespace: "x" }))) expect(c.command).toMatch(/apps/);
  });
});

it("needs nothing but itself: no framework, no DOM, no other package", () => {
  const manifest = JSON.parse(readFileSync(pathOf("core/package.json"), "utf8")) as Record<string, unknown>;
  expect(manifest["dependencies"]).toBeUndefined();
  expect(manifest["peerDependencies"]).toBeUndefined();
});
