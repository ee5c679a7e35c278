// urql with subscriptions by WebSocket.
import { subscriptionExchange } from "@urql/core";
import { socket } from "./graphql_ws.mjs";
import { open as openUrql } from "./urql.mjs";

export function open(host, key) {
  const webSocket = socket(host, key);
  const forwardSubscription = ({ query, variables }) => ({
    subscribe: (sink) => ({ unsubscribe: webSocket.subscribe({ query, variables }, sink) }),
  });
  return { ...openUrql(host, key, subscriptionExchange({ forwardSubscription })), close: () => webSocket.dispose() };
}
