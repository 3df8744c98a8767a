import "@openova/flow-core/shared-worker";
