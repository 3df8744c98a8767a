import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Plugin } from "vite";

const files = (dir: string): string[] => readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((file) => statSync(join(dir, file)).isFile());

function isSame(path: string, content: Buffer): boolean {
  try {
    return readFileSync(path).equals(content);
  } catch {
    return false;
  }
}

/**
 * Copies the files of a build that have changed to a folder that Go embeds, each by renaming, and with `whole` removes all other files of the folder. Files
 * that have not changed stay, since Go may compile the folder at the same time.
 */
export function publish(to: string, { whole }: { whole: boolean }): Plugin {
  let from = "";
  return {
    name: "publish",
    apply: "build",
    configResolved: (config) => {
      from = resolve(config.root, config.build.outDir);
      to = resolve(config.root, to);
    },
    closeBundle: () => {
      const built = files(from);
      for (const file of built) {
        const content = readFileSync(join(from, file));
        const path = join(to, file);
        if (isSame(path, content)) continue;
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(`${to}.new`, content);
        renameSync(`${to}.new`, path);
      }
      if (whole) for (const file of files(to)) if (!built.includes(file)) rmSync(join(to, file));
    },
  };
}
