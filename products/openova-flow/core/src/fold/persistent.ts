const GONE = Symbol("gone");
type Entry<V> = V | typeof GONE;

/**
 * An immutable map with cheap changes and cheap old versions: a large shared base and a small overlay of changes. A change copies
 * only the overlay, which is merged into a new base when it has more than 16 + √(2 × size of the base) entries.
 */
export class PersistentMap<V> implements ReadonlyMap<string, V> {
  readonly #base: ReadonlyMap<string, V>;
  readonly #overlay: ReadonlyMap<string, Entry<V>>;
  readonly size: number;

  constructor(base: ReadonlyMap<string, V> = new Map(), overlay: ReadonlyMap<string, Entry<V>> = new Map(), size = base.size) {
    this.#base = base;
    this.#overlay = overlay;
    this.size = size;
  }

  get(key: string): V | undefined {
    const e = this.#overlay.get(key);
    return e === undefined ? this.#base.get(key) : e === GONE ? undefined : e;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  forEach(fn: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this.entries()) fn(value, key, this);
  }

  entries(): MapIterator<[string, V]> {
    return this.#overlay.size === 0 ? this.#base.entries() : (this.#merged() as MapIterator<[string, V]>);
  }

  *keys(): MapIterator<string> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): MapIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }

  draft(): Draft<V> {
    return new Draft(this, this.#base, this.#overlay);
  }

  *#merged(): Generator<[string, V]> {
    for (const entry of this.#base) if (!this.#overlay.has(entry[0])) yield entry;
    for (const [key, e] of this.#overlay) if (e !== GONE) yield [key, e];
  }
}

/** Collects changes to a map. Values are never undefined. */
export class Draft<V> {
  readonly #from: PersistentMap<V>;
  #base: ReadonlyMap<string, V>;
  /** The overlay of the changed map; null while nothing has changed. */
  #overlay: Map<string, Entry<V>> | null = null;
  readonly #old: ReadonlyMap<string, Entry<V>>;
  #size: number;

  constructor(from: PersistentMap<V>, base: ReadonlyMap<string, V>, overlay: ReadonlyMap<string, Entry<V>>) {
    this.#from = from;
    this.#base = base;
    this.#old = overlay;
    this.#size = from.size;
  }

  get(key: string): V | undefined {
    const e = (this.#overlay ?? this.#old).get(key);
    return e === undefined ? this.#base.get(key) : e === GONE ? undefined : e;
  }

  set(key: string, value: V): void {
    if (this.get(key) === undefined) this.#size++;
    this.#own().set(key, value);
  }

  delete(key: string): void {
    if (this.get(key) === undefined) return;
    this.#size--;
    if (this.#base.has(key)) this.#own().set(key, GONE);
    else this.#own().delete(key);
  }

  /** Replaces the whole content by `map`, which must not change afterwards. */
  replace(map: ReadonlyMap<string, V>): void {
    this.#base = map;
    this.#overlay = new Map();
    this.#size = map.size;
  }

  *entries(): Generator<[string, V]> {
    const overlay = this.#overlay ?? this.#old;
    for (const entry of this.#base) if (!overlay.has(entry[0])) yield entry;
    for (const [key, e] of overlay) if (e !== GONE) yield [key, e];
  }

  /** The changed map, or the same object if nothing changed. The draft must not be used afterwards. */
  done(): PersistentMap<V> {
    if (this.#overlay === null) return this.#from;
    if (this.#overlay.size > 16 + Math.sqrt(2 * this.#base.size)) return new PersistentMap(new Map(this.entries()));
    return new PersistentMap(this.#base, this.#overlay, this.#size);
  }

  #own(): Map<string, Entry<V>> {
    return (this.#overlay ??= new Map(this.#old));
  }
}
