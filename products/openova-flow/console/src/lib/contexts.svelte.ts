import { shellCommand } from "@openova/flow-core";

const KEY = "openova-flow-contexts";

function load(): Readonly<Record<string, unknown>> {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return typeof kept === "object" && kept !== null ? (kept as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/**
 * The context in the user's kubeconfig for the cluster of each region. Kept in this browser, not in the flow: otherwise a writer of one
 * region could point commands at another cluster.
 */
class Contexts {
  #kept = $state.raw(load());

  /** The context that the user set for a region, otherwise the region's key. */
  of(flow: string, region: string): string {
    const kept = this.#kept[`${flow}/${region}`];
    return typeof kept === "string" ? kept : region;
  }

  /** An empty context resets it to the region's key. */
  set(flow: string, region: string, context: string): void {
    const { [`${flow}/${region}`]: _, ...rest } = this.#kept;
    this.#kept = context === "" || context === region ? rest : { ...rest, [`${flow}/${region}`]: context };
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#kept));
    } catch {
      // Without storage it is kept until the page is left.
    }
  }
}

export const contexts = new Contexts();

/** A command of kubectl or flux with `--context`. Other commands are unchanged; so are all if the context is empty or not safe in a shell. */
export function withContext(command: string, context: string): string {
  const [, program = "", rest = ""] = /^(kubectl|flux) (.*)$/s.exec(command) ?? [];
  const start = program === "" || context === "" ? undefined : shellCommand([program, `--context=${context}`]);
  return start === undefined ? command : `${start} ${rest}`;
}
