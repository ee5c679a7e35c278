// graphql-sse: each operation's results over an event stream.
import { createClient } from "graphql-sse";

const [host, key, ...queries] = process.argv.slice(2);
const client = createClient({
  url: `http://${host}/graphql`,
  headers: { authorization: `Bearer ${key}` },
  retryAttempts: 0,
});
const answers = [];
for (const query of queries) {
  const answer = [];
  for await (const result of client.iterate({ query })) answer.push(result);
  answers.push(answer);
}
client.dispose();
console.log(JSON.stringify(answers));
