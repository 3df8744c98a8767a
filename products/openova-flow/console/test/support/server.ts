import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../../../server", import.meta.url));
let binary: string | undefined;

/** Builds the real server with the built page, once in each test file. Returns the path of the program. */
export function program(): string {
  if (binary !== undefined) return binary;
  const out = join(mkdtempSync(join(tmpdir(), "openova-flow-")), "openova-flow-server");
  execFileSync("go", ["build", "-o", out, "./cmd/openova-flow-server"], { cwd: source, stdio: "inherit" });
  return (binary = out);
}

/** A port below the ephemeral range, so that it is still free when a server is restarted. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(12_000, 20_000);
    const probe = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => probe.close(resolve));
    return port;
  }
}

/** The real server as a process. */
export class Server {
  readonly url: string;
  readonly #port: number;
  readonly #basePath: string;
  readonly #env: Readonly<Record<string, string>>;
  /** The bearer token of the requests, for a server with a tokens file. */
  token = "";
  #process: ChildProcess | null = null;

  private constructor(port: number, basePath: string, env: Readonly<Record<string, string>>) {
    this.#port = port;
    this.#basePath = basePath;
    this.#env = env;
    this.url = `http://127.0.0.1:${port}${basePath}`;
  }

  static async start(basePath = "/", env: Readonly<Record<string, string>> = {}): Promise<Server> {
    const server = new Server(await freePort(), basePath, env);
    await server.start();
    return server;
  }

  /** Starts the server, again on the same port. */
  async start(): Promise<void> {
    const child = spawn(program(), [], {
      env: { ...process.env, ...this.#env, FLOW_SERVER_LISTEN_ADDR: `127.0.0.1:${this.#port}`, FLOW_SERVER_BASE_PATH: this.#basePath },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process = child;
    await new Promise<void>((resolve, reject) => {
      let log = "";
      child.stderr.on("data", (chunk: Buffer) => {
        log += chunk.toString();
        if (log.includes("started")) resolve();
      });
      child.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${log}`)));
    });
  }

  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  async post(flow: string, lines: readonly string[]): Promise<void> {
    const response = await fetch(`${this.url}v1/flows/${flow}/events`, {
      method: "POST",
      headers: { "content-type": "application/x-ndjson", ...this.#authorization() },
      body: lines.join("\n"),
    });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  }

  /** Claims a region for a cluster. Returns the status: 409 if another cluster holds it. */
  async claim(flow: string, region: string, cluster: string, ttlSeconds: number): Promise<number> {
    const response = await fetch(`${this.url}v1/flows/${flow}/regions/${encodeURIComponent(region)}`, {
      method: "PUT",
      headers: { "content-type": "application/json", ...this.#authorization() },
      body: JSON.stringify({ cluster, ttlSeconds }),
    });
    await response.arrayBuffer();
    return response.status;
  }

  #authorization(): Record<string, string> {
    return this.token === "" ? {} : { authorization: `Bearer ${this.token}` };
  }
}
