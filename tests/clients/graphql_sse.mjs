// graphql-sse: an event stream for every operation.
import { createClient } from "graphql-sse";
import { overStream } from "./graphql_ws.mjs";

export const open = (host, key) =>
  overStream(
    createClient({ url: `http://${host}/graphql`, headers: { authorization: `Bearer ${key}` }, retryAttempts: 0 }),
  );
