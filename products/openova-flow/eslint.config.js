import svelte from "eslint-plugin-svelte";
import { defineConfig } from "eslint/config";
import ts from "typescript-eslint";
import svelteConfig from "./console/svelte.config.js";

export default defineConfig(
  { ignores: ["**/dist/", "**/*.d.ts"] },
  ts.configs.recommended,
  svelte.configs.recommended,
  { files: ["**/*.svelte", "**/*.svelte.ts"], languageOptions: { parserOptions: { parser: ts.parser, svelteConfig } } },
  {
    rules: {
      // An underscore says that a value is left out on purpose.
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_", ignoreRestSiblings: true }],
      // Maps and sets in the page are caches or made anew with each state; none is state itself.
      "svelte/prefer-svelte-reactivity": "off",
    },
  },
);
