/**
 * Runs `fn` soon after the first call of `ask`, at most once each `pause()` milliseconds, and never again after `stop`. A timer and no
 * animation frame, so that a hidden tab's title stays true.
 */
export function throttled(fn: () => void, pause: () => number): { readonly ask: () => void; readonly stop: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ranAt = -Infinity;
  let stopped = false;
  return {
    ask() {
      if (stopped || timer !== undefined) return;
      const wait = Math.max(0, ranAt + pause() - performance.now());
      timer = setTimeout(() => {
        timer = undefined;
        ranAt = performance.now();
        fn();
      }, wait);
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
