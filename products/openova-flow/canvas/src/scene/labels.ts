/** The longest common prefix of the labels that ends with a hyphen or slash and is shorter than each label. Empty for fewer than three labels. */
export function commonPrefix(labels: readonly string[]): string {
  let prefix = labels[0]?.slice(0, -1) ?? "";
  for (const label of labels) {
    while (prefix !== "" && (!label.startsWith(prefix) || label.length === prefix.length)) prefix = prefix.slice(0, -1);
  }
  return labels.length < 3 ? "" : prefix.slice(0, Math.max(prefix.lastIndexOf("-"), prefix.lastIndexOf("/")) + 1);
}

/** For each label, the length of the longest prefix that it shares with a different label. */
export function sharedPrefixes(labels: Iterable<string>): ReadonlyMap<string, number> {
  const sorted = [...new Set(labels)].sort();
  const lengths = new Map(sorted.map((label) => [label, 0]));
  sorted.slice(1).forEach((label, i) => {
    const before = sorted[i]!;
    let shared = 0;
    while (shared < before.length && label[shared] === before[shared]) shared++;
    for (const one of [before, label]) lengths.set(one, Math.max(shared, lengths.get(one)!));
  });
  return lengths;
}
