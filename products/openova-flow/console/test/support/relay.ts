import { createServer, request, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { RegionLease } from "@openova/flow-core";
import type { Server } from "./server.ts";

type Told = Readonly<Record<string, RegionLease>>;

/**
 * Stands before the real server and says of the regions what a test tells it to, in place of what the server says: a region that has been
 * silent for minutes cannot be waited for. All else passes as it is.
 */
export class Relay {
  readonly url: string;
  readonly #server: HttpServer;
  readonly #told = new Map<string, Told>();
  /** Open streams by flow; those of all flows under "". */
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

  /** From now on, and to who is connected at once. */
  tell(flow: string, regions: Told): void {
    this.#told.set(flow, regions);
    for (const [res, of] of this.#streams) if (of === flow || of === "") this.#say(res, of, flow);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #say(res: ServerResponse, of: string, flow: string): void {
    res.write(`event: ${of === "" ? `${flow}/` : ""}regions\ndata: ${JSON.stringify({ at: Date.now(), regions: this.#told.get(flow) ?? {} })}\n\n`);
  }

  #pass(real: Server, req: IncomingMessage, res: ServerResponse): void {
    const headers = { ...req.headers, host: new URL(real.url).host };
    delete headers["accept-encoding"];
    // The server refuses pages of other origins, and this is one.
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

  /** Frame by frame, with its own word of the regions after the first. */
  #relay(answer: IncomingMessage, res: ServerResponse, of: string): void {
    let rest = "";
    answer.setEncoding("utf8");
    answer.on("data", (text: string) => {
      const frames = (rest + text).split("\n\n");
      rest = frames.pop() ?? "";
      for (const frame of frames) {
        if (/^event: (?:[^/]*\/)?regions$/m.test(frame)) continue;
        res.write(`${frame}\n\n`);
        // The stream of all flows names them in its second frame.
        if (this.#streams.has(res) || (of === "" && !frame.includes("event: flows"))) continue;
        this.#streams.set(res, of);
        for (const flow of of === "" ? this.#told.keys() : [of]) this.#say(res, of, flow);
      }
    });
    answer.on("end", () => res.end());
  }
}
