import { defineConfig } from "vitest/config";

/** Not a test: makes the screenshots of the documentation. */
export default defineConfig({ test: { include: ["shots/*.ts"], environment: "node", testTimeout: 900_000, hookTimeout: 180_000 } });
