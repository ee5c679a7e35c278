// graphql-ws: each operation's results, or the errors it was refused with, over one socket.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [host, key, ...queries] = process.argv.slice(2);
const client = createClient({
  url: `ws://${host}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: `Bearer ${key}` },
  retryAttempts: 0,
});
const answers = [];
for (const query of queries) {
  const answer = [];
  try {
    for await (const result of client.iterate({ query })) answer.push(result);
  } catch (errors) {
    answer.push({ errors });
  }
  answers.push(answer);
}
await client.dispose();
console.log(JSON.stringify(answers));
