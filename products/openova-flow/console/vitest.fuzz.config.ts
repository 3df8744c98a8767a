import { defineConfig } from "vitest/config";

/** Not part of `npm test`: random flows in a real browser for FUZZ_PAGE_TIME seconds, and the cost of large ones. */
export default defineConfig({ resolve: { conditions: ["openova-source"] }, ssr: { resolve: { conditions: ["openova-source"] } }, test: { include: ["fuzz/*.ts"], environment: "node", testTimeout: 24 * 3_600_000, hookTimeout: 600_000, fileParallelism: false } });
