import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";

/** Combines a build with one script and one style sheet into one HTML file. Its policy allows these two by hash, and no other origin. */
export function oneFile(from: string, name: string): Plugin {
  return {
    name: "one-file",
    apply: "build",
    enforce: "post",
    // Runs after vite has replaced its placeholders in the script.
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        let script = "";
        let style = "";
        let page = "";
        for (const [file, output] of Object.entries(bundle)) {
          if (output.type === "chunk") script += output.code;
          else if (file.endsWith(".css")) style += String(output.source);
          else if (file === from) page = String(output.source);
          else this.error(`${file} cannot be put into one file`);
          delete bundle[file];
        }
        // Script and style must not contain the end tag of their element, and after `<!--` and `<script` the end of a script is ignored.
        script = script.trim().replace(/<(?=\/script|script|!--)/gi, "\\x3c");
        if (script.includes("__VITE_")) this.error("the script contains an unreplaced __VITE_ placeholder");
        if (/<\/style/i.test(style)) this.error("the style sheet contains </style");
        const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
        const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; img-src data: blob:; base-uri 'none'; form-action 'none'`;
        const source = page
          .replace(/\s*<script type="module"[^>]*><\/script>/, "")
          .replace(/\s*<link rel="stylesheet"[^>]*>/, "")
          .replace(/(<meta charset[^>]*>)/, (charset) => `${charset}\n    <meta http-equiv="Content-Security-Policy" content="${policy}" />`)
          .replace("</head>", () => `  <style>${style}</style>\n  </head>`)
          .replace("</body>", () => `  <script type="module">${script}</script>\n  </body>`);
        this.emitFile({ type: "asset", fileName: name, source });
        process.stdout.write(`report: ${Math.round(source.length / 1000)} kB, gzipped ${Math.round(gzipSync(source).length / 1000)} kB\n`);
      },
    },
  };
}
