import { createServer, request, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { RegionLease } from "@openova/flow-core";
import type { Server } from "./server.ts";

type Claims = Readonly<Record<string, RegionLease>>;

/**
 * A proxy to the real server that replaces the claims of regions by those that a test sets, because a test cannot wait until a region has
 * been stale for minutes.
 */
export class Relay {
  readonly url: string;
  readonly #server: HttpServer;
  readonly #claims = new Map<string, Claims>();
  /** The flow of each open stream; "" for a stream of all flows. */
  readonly #streams = new Map<ServerResponse, string>();

  private constructor(server: HttpServer) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  static async before(real: Server): Promise<Relay> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const relay = new Relay(server);
    server.on("request", (req: IncomingMessage, res: ServerResponse) => relay.#pass(real, req, res));
    return relay;
  }

  /** Sets the claims of a flow's regions, and sends them on the open streams that have the flow. */
  setRegions(flow: string, regions: Claims): void {
    this.#claims.set(flow, regions);
    for (const [res, of] of this.#streams) if (of === flow || of === "") this.#send(res, of, flow);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #send(res: ServerResponse, of: string, flow: string): void {
    res.write(`event: ${of === "" ? `${flow}/` : ""}regions\ndata: ${JSON.stringify({ at: Date.now(), regions: this.#claims.get(flow) ?? {} })}\n\n`);
  }

  #pass(real: Server, req: IncomingMessage, res: ServerResponse): void {
    const headers = { ...req.headers, host: new URL(real.url).host };
    delete headers["accept-encoding"];
    // It names this proxy, and the server rejects requests from pages of other origins.
    delete headers.origin;
    const onward = request(new URL((req.url ?? "/").slice(1), real.url), { method: req.method, headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      const stream = /\/v1\/(?:flows\/([^/]+)\/)?stream/.exec(req.url ?? "");
      if (stream === null) return void answer.pipe(res);
      this.#relay(answer, res, stream[1] ?? "");
    });
    onward.on("error", () => res.destroy());
    res.on("close", () => {
      this.#streams.delete(res);
      onward.destroy();
    });
    req.pipe(onward);
  }

  /** Passes frames on, and sends the set claims at the start of the stream. */
  #relay(answer: IncomingMessage, res: ServerResponse, of: string): void {
    let rest = "";
    answer.setEncoding("utf8");
    answer.on("data", (text: string) => {
      const frames = (rest + text).split("\n\n");
      rest = frames.pop() ?? "";
      for (const frame of frames) {
        if (/^event: (?:[^/]*\/)?regions$/m.test(frame)) continue;
        res.write(`${frame}\n\n`);
        // The stream of all flows starts with a heartbeat and the list of flows.
        if (this.#streams.has(res) || (of === "" && !frame.includes("event: flows"))) continue;
        this.#streams.set(res, of);
        for (const flow of of === "" ? this.#claims.keys() : [of]) this.#send(res, of, flow);
      }
    });
    answer.on("end", () => res.end());
  }
}
