import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["openova-source"] },
  ssr: { resolve: { conditions: ["openova-source"] } },
  test: { include: ["test/**/*.test.ts"], environment: "node", testTimeout: 60_000, hookTimeout: 180_000, fileParallelism: false },
});
