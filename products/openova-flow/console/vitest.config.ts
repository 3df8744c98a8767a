import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["openova-source"] },
  ssr: { resolve: { conditions: ["openova-source"] } },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/support/scratch.ts",
    environment: "node",
    // Generous, because a loaded machine can pause for seconds.
    testTimeout: 300_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 60_000 } },
    maxWorkers: 2, // much of their time is waiting
  },
});
