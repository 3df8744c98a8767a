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
      // An underscore says that a variable is unused on purpose.
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_", ignoreRestSiblings: true }],
      // A map or set that is reactive state is replaced, never changed.
      "svelte/prefer-svelte-reactivity": "off",
    },
  },
);
