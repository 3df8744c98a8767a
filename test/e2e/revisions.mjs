// Opens the revisions of a flow in Chromium. Prints "ready", then the rows of the table as JSON, again after each change. A row is the list of its cells' texts. The
// text of the first cell is that of its links: to the revision, and to the one that superseded it. Ends at the end of standard input, with status 1 if the page had faults.
//   node revisions.mjs http://127.0.0.1:8080 FLOW
import { join } from "node:path";
import { runnerImport } from "../../products/openova-flow/node_modules/vite/dist/node/index.js";

const { module: { launch, visit } } = await runnerImport(join(import.meta.dirname, "../../products/openova-flow/console/test/support/browser.ts"));
const [server, flow] = process.argv.slice(2);
const browser = await launch();
const { page, faults } = await visit(browser, `${server}/?flow=${encodeURIComponent(flow)}&view=revisions`);
process.stdin.resume().on("end", () => void browser.close().then(() => {
  for (const fault of faults) console.error(fault);
  process.exit(faults.length > 0 ? 1 : 0);
}));
await page.exposeFunction("changed", (rows) => console.log(rows));
console.log("ready");
await page.evaluate(() => {
  let before;
  const links = (cell) => [...cell.querySelectorAll("a")].map((a) => a.innerText).filter((text) => text !== "").join(" → ");
  const look = () => {
    const rows = [...document.querySelectorAll("[aria-label='Revisions by region'] tr")];
    const texts = JSON.stringify(rows.map((row) => [...row.cells].map((cell) => (cell.scope === "row" ? links(cell) : cell.innerText.trim()))));
    if (texts !== before) globalThis.changed((before = texts));
  };
  new MutationObserver(look).observe(document.body, { childList: true, characterData: true, subtree: true });
  look();
});
