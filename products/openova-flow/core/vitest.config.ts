import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["openova-source"] },
  ssr: { resolve: { conditions: ["openova-source"] } },
  test: { include: ["test/**/*.test.ts"], environment: "node", testTimeout: 120_000, hookTimeout: 120_000 },
});
