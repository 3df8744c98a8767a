import "@openova/flow-core/layout-worker";
