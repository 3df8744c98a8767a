/**
 * Runs `fn` after a call of `schedule`, at most once every `pause()` milliseconds, and never after `stop`. It uses timers, not animation frames,
 * so that the title of a hidden tab stays current.
 */
export function throttled(fn: () => void, pause: () => number): { readonly schedule: () => void; readonly stop: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ranAt = -Infinity;
  let stopped = false;
  return {
    schedule() {
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
