// graphql-ws: every operation over one socket.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

export const socket = (host, key) =>
  createClient({
    url: `ws://${host}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: `Bearer ${key}` },
    retryAttempts: 0,
  });

// What graphql-ws and graphql-sse have alike.
export const overStream = (client) => {
  const subscribe = (query, next, complete) =>
    client.subscribe({ query }, { next, complete, error: (errors) => complete(next({ errors })) });
  const execute = (query) =>
    new Promise((resolve) => {
      let last;
      subscribe(query, (answer) => (last = answer), () => resolve(last));
    });
  return { subscribe, execute, close: () => client.dispose() };
};

export const open = (host, key) => overStream(socket(host, key));
