import { Hub } from "./hub.js";
import { Shared, type SharedConnection, type SharedOptions } from "./shared.js";
import { connect } from "./sse.js";

export { connect, Hub };

/**
 * `connect`, but with one connection to the server for all tabs of a browser: held by a SharedWorker, else by the tab that holds a
 * Web Lock and tells the others, else by each tab itself. When the one that holds it falls silent the next way is taken.
 */
export function connectShared(options: SharedOptions): SharedConnection {
  return new Shared(options, { connect, Hub });
}
