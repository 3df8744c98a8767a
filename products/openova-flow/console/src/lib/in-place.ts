/** The items of `now`: known ones in their previous order, each new one before the item that follows it in `now`. */
export function inPlace<T extends { readonly key: string }>(before: readonly T[], now: readonly T[]): readonly T[] {
  const present = new Map(now.map((item) => [item.key, item]));
  const out = before.flatMap((item) => present.get(item.key) ?? []);
  const placed = new Set(out.map((item) => item.key));
  for (let i = now.length - 1; i >= 0; i--) {
    const item = now[i] as T;
    if (placed.has(item.key)) continue;
    const next = now[i + 1];
    const at = next === undefined ? out.length : out.findIndex((o) => o.key === next.key);
    out.splice(at, 0, item);
    placed.add(item.key);
  }
  return out;
}
