// Opens a flow's page in Chromium, zooms to a node, and prints a line each time the colour of its card changes: Unix milliseconds, and "failed"
// if there is more red than green, else "well". Prints "ready" first. Ends at the end of its standard input.
//   node pixel.mjs http://127.0.0.1:8080 FLOW NODE
import { join } from "node:path";
import { runnerImport } from "../../products/openova-flow/node_modules/vite/dist/node/index.js";

const { module: { launch } } = await runnerImport(join(import.meta.dirname, "../../products/openova-flow/canvas/test/support/browser.ts"));
const [server, flow, node] = process.argv.slice(2);
const browser = await launch();
process.stdin.resume().on("end", () => void browser.close().then(() => process.exit(0)));
const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, reducedMotion: "reduce" });
page.on("pageerror", (e) => console.error(String(e)));
await page.exposeFunction("turned", (at, state) => console.log(`${at} ${state}`));
await page.goto(`${server}/?flow=${encodeURIComponent(flow)}`);
await page.waitForFunction((id) => {
  const element = document.querySelector("openova-flow");
  return element?.boxOf(id) != null;
}, node);
await page.evaluate(async (id) => {
  const element = document.querySelector("openova-flow");
  await element.settled();
  element.zoomTo(id);
  const canvas = element.shadowRoot.querySelector("canvas.nodes");
  let before;
  const look = () => {
    // The page draws in an animation-frame callback. A timer set in such a callback runs after all callbacks of that frame.
    setTimeout(() => {
      const box = element.boxOf(id);
      const scale = canvas.width / canvas.clientWidth;
      const { data } = canvas.getContext("2d").getImageData(box.x * scale, box.y * scale, Math.max(1, box.w * scale), Math.max(1, box.h * scale));
      let red = 0, green = 0;
      for (let i = 0; i < data.length; i += 4) {
        if (data[i] - data[i + 1] > 60) red++;
        else if (data[i + 1] - data[i] > 30) green++;
      }
      const state = red > green ? "failed" : "well";
      if (state !== before) {
        before = state;
        globalThis.turned(performance.timeOrigin + performance.now(), state);
      }
    });
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}, node);
console.log("ready");
