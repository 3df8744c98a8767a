import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["openova-source"] },
  ssr: { resolve: { conditions: ["openova-source"] } },
  // Generous, because a loaded machine can pause for seconds.
  test: { include: ["test/**/*.test.ts"], environment: "node", testTimeout: 240_000, hookTimeout: 240_000, expect: { poll: { timeout: 60_000 } } },
});
