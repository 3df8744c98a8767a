import { expect, it } from "vitest";
import { emptyState, foldAll, toSnapshot } from "../src/index.js";
import { pathOf } from "./files.js";
import { Random, randomMessages } from "./random.js";

// testdata/sequences is for other implementations: messages and the snapshot that they fold into. `npx vitest
// run -u test/sequences.test.ts` generates them again.
it.each(Array.from({ length: 40 }, (_, i) => i + 1))("testdata/sequences/%d equals the result of generator and fold", async (seed) => {
  const messages = randomMessages(new Random(1000 + seed), "F", 5 + seed * 2);
  // A FlowInstance that a server derives is not part of the fold, so each sequence contains an upsert-flow.
  messages.unshift({ type: "upsert-flow", flow: { id: "F", status: "running", startedAt: seed } });
  const snapshot = toSnapshot(foldAll(emptyState("F"), messages));
  const text = `${JSON.stringify({ flowId: "F", messages, snapshot })}\n`;
  await expect(text).toMatchFileSnapshot(pathOf(`core/testdata/sequences/${String(seed).padStart(2, "0")}.json`));
});
