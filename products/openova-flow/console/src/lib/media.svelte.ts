import breakpoints from "../breakpoints.json";

/** A reactive media query. */
class Media {
  #matches = $state(false);

  constructor(query: string) {
    const list = matchMedia(query);
    this.#matches = list.matches;
    list.addEventListener("change", () => (this.#matches = list.matches));
  }
  get matches(): boolean {
    return this.#matches;
  }
}

/** One column. In style sheets: `@media (--phone)`. */
export const phone = new Media(breakpoints.phone);
export const paper = new Media("print");
