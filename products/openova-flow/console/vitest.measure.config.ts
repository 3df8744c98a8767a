import { defineConfig } from "vitest/config";

/** Not part of `npm test`: the page's heap over HEAP_MINUTES of updates. */
export default defineConfig({ test: { include: ["measure/*.ts"], environment: "node", testTimeout: 24 * 3_600_000, hookTimeout: 600_000 } });
