import { describe, expect, it } from "vitest";
import { duration, fullNameOf, isWatched, keyOf, nameOf, type FlowNode, type FluxMeta } from "../src/index.js";
import { graphOf, node } from "./flow.js";

const release = (id: string, namespace: string, kind = "HelmRelease"): FlowNode => {
  const parts = id.split("/");
  return node(id, "succeeded", { kind, namespace }, { label: parts.at(-1) as string, region: parts[0] as string });
};

describe("nameOf", () => {
  const graph = graphOf([
    release("eu/a/redis", "a"), release("eu/b/redis", "b"), release("us/a/redis", "a"), release("eu/a/api", "a"), release("us/a/api", "a"),
    release("eu/web", "flux-system"), release("eu/Kustomization/flux-system/web", "flux-system", "Kustomization"),
    { ...release("eu/HelmRepository/a/api", "a", "HelmRepository"), meta: { kind: "HelmRepository", namespace: "a", auxiliary: true } },
    node("one", "succeeded", {}, { label: "twin" }), node("two", "succeeded", {}, { label: "twin" }),
  ]);

  it.each([
    ["eu/a/api", "api"],
    ["us/a/api", "api"],
    ["eu/a/redis", "a/redis"],
    ["us/a/redis", "a/redis"],
    ["eu/b/redis", "b/redis"],
    ["eu/web", "HelmRelease flux-system/web"],
    ["eu/Kustomization/flux-system/web", "Kustomization flux-system/web"],
    ["eu/HelmRepository/a/api", "HelmRepository a/api"],
    ["one", "one"],
    ["two", "two"],
    ["eu/database/postgres", "postgres"],
    ["eu/c/api", "c/api"],
  ])("%s is %s", (id, name) => {
    expect(nameOf(graph, id)).toBe(name);
  });

  it("is unique within a region", () => {
    const names = [...graph.nodes.values()].map((n) => `${n.region ?? ""} ${nameOf(graph, n.id)}`);
    expect(new Set(names).size).toBe(graph.nodes.size);
  });

  it("starts with the region only if there are several regions", () => {
    expect(fullNameOf(graph, "us/a/redis")).toBe("us/a/redis");
    expect(fullNameOf(graphOf([release("eu/a/api", "a")]), "eu/a/api")).toBe("api");
    expect(fullNameOf(graph, "one")).toBe("one");
  });

  it("does not repeat the region of an id", () => {
    const twin = (id: string): FlowNode => node(id, "succeeded", {}, { label: "twin", region: "eu" });
    const twins = graphOf([twin("eu/one"), twin("eu/two"), release("us/a/api", "a")]);
    expect([fullNameOf(twins, "eu/one"), fullNameOf(twins, "us/a/api")]).toEqual(["eu/one", "us/api"]);
  });

  it("keyOf is the same in every region", () => {
    expect(keyOf(release("us/a/redis", "a"))).toBe("a/redis");
    expect(keyOf({ id: "x", label: "redis", region: "eu" })).toBe("redis");
  });
});

describe("isWatched", () => {
  const region = (meta: FluxMeta): FlowNode => node("eu", "running", { kind: "Region", ...meta }, { region: "eu" });
  it.each([
    ["is true if others of its kind are watched", "eu/a/redis", {}, true],
    ["is false if its kind is not watched", "eu/Kustomization/flux-system/apps", { notWatched: [{ kind: "Kustomization", why: "no rights" }] }, false],
    ["is false if its namespace is not watched", "eu/b/redis", { namespaces: ["a"] }, false],
    ["is false if nothing of its kind is known", "eu/Kustomization/flux-system/apps", {}, false],
  ] as const)("%s", (_, id, meta, watched) => {
    expect(isWatched(graphOf([region(meta), release("eu/a/api", "a")]), id)).toBe(watched);
  });
});

it.each([
  [-5, "0s"], [0, "0s"], [59_999, "59s"], [60_000, "1m 00s"], [130_000, "2m 10s"], [3_600_000, "1h 00m"], [11_100_000, "3h 05m"], [367_200_000, "4d 6h"],
])("%i ms read as %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});
