import { defineConfig } from "vitest/config";

/** No part of the gate: random flows in a real browser for as long as FUZZ_PAGE_TIME says, and what large ones take. */
export default defineConfig({ resolve: { conditions: ["openova-source"] }, ssr: { resolve: { conditions: ["openova-source"] } }, test: { include: ["fuzz/*.ts"], environment: "node", testTimeout: 24 * 3_600_000, hookTimeout: 600_000, fileParallelism: false } });
