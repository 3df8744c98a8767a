import { emptyState, fold, type FlowMessage, type FlowState, type SnapshotMessage } from "@openova/flow-core";
import "../../src/index.js";
import type { OpenovaFlowElement, ViewDetail } from "../../src/index.js";
import { fleet, fleetNow, type FleetOptions } from "../support/fleet.js";
import { zoo } from "../support/zoo.js";

/** The interface for the tests. */
const bench = {
  element: null as OpenovaFlowElement | null,
  state: emptyState("fleet"),
  events: [] as { type: string; detail: unknown }[],
  now: fleetNow,
  errors: [] as string[],

  make(attributes: Record<string, string> = {}): void {
    const element = document.createElement("openova-flow");
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.clock = () => bench.now;
    for (const type of ["select", "hover", "open", "open-flow", "viewchange", "painted", "connection"]) {
      element.addEventListener(type, (e) => bench.events.push({ type, detail: (e as CustomEvent<unknown>).detail }));
    }
    document.body.append(element);
    bench.element = element;
  },
  async show(snapshot: SnapshotMessage): Promise<void> {
    bench.state = fold(emptyState(snapshot.flow.id), snapshot);
    bench.element!.setState(bench.state);
    await bench.drawn();
  },
  fleet: (options: FleetOptions) => bench.show(fleet(options)),
  zoo: () => bench.show(zoo()),
  async send(message: FlowMessage): Promise<void> {
    bench.state = fold(bench.state, message);
    bench.element!.setState(bench.state);
    await bench.drawn();
  },
  /** Resolves two frames after the newest state was applied, so that it has been drawn. */
  async drawn(): Promise<void> {
    await bench.element!.settled();
    for (let i = 0; i < 2; i++) await new Promise((resolve) => requestAnimationFrame(resolve));
  },
  view: (): ViewDetail => bench.element!.view,
  current: (): FlowState => bench.state,
};

export type Bench = typeof bench;
(globalThis as unknown as { bench: Bench }).bench = bench;
addEventListener("error", (e) => bench.errors.push(e.message));
addEventListener("unhandledrejection", (e) => bench.errors.push(String(e.reason)));
addEventListener("securitypolicyviolation", (e) => bench.errors.push(`csp: ${e.violatedDirective} ${e.blockedURI}`));
