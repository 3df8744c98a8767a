import { mount } from "svelte";
import "../app.css";
import "../lib/theme.svelte.js";
import { nav } from "../lib/nav.svelte.js";
import { content } from "./content.js";
import Report from "./Report.svelte";

const target = document.getElementById("app");
if (target !== null && content !== null) {
  document.title = `${content.flow} · OpenovaFlow`;
  nav.go({ flow: content.flow }, true);
  mount(Report, { target, props: { content } });
}
