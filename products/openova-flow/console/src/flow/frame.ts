// The parts of the page around a flow's views, in one script.
export { default as Announcer } from "./Announcer.svelte";
export { default as Banner } from "./Banner.svelte";
export { default as Header } from "./Header.svelte";
export { default as Keys } from "./Keys.svelte";
export { default as Side } from "./Side.svelte";
export { default as TimeBar } from "./TimeBar.svelte";
export { default as Toolbar } from "./Toolbar.svelte";
