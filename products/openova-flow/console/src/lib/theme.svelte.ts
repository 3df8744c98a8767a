export type ThemeChoice = "auto" | "light" | "dark";

const KEY = "openova-flow-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

function stored(): ThemeChoice {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "auto";
  } catch {
    return "auto";
  }
}

/** Light or dark: the system's setting, or the user's choice, which the browser keeps. */
class ThemeStore {
  choice = $state<ThemeChoice>(stored());
  #systemDark = $state(dark.matches);
  readonly name = $derived<"light" | "dark">(this.choice === "auto" ? (this.#systemDark ? "dark" : "light") : this.choice);

  constructor() {
    dark.addEventListener("change", () => (this.#systemDark = dark.matches));
    this.#apply();
  }

  choose(choice: ThemeChoice): void {
    this.choice = choice;
    try {
      if (choice === "auto") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, choice);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
    this.#apply();
  }

  #apply(): void {
    if (this.choice === "auto") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = this.choice;
  }
}

export const theme = new ThemeStore();
