// urql: everything by fetch, subscriptions as event streams.
import { Client, fetchExchange } from "@urql/core";

const [host, key, ...queries] = process.argv.slice(2);
const client = new Client({
  url: `http://${host}/graphql`,
  exchanges: [fetchExchange],
  fetchSubscriptions: true,
  preferGetMethod: false,
  fetchOptions: { headers: { authorization: `Bearer ${key}` } },
});

const taken = ({ data, error }) => (error ? { errors: error.graphQLErrors } : { data });

const subscribed = (query) =>
  new Promise((resolve) => {
    const answer = [];
    client.subscription(query, {}).subscribe((result) => {
      if (result.hasNext) answer.push(taken(result));
      else resolve(answer);
    });
  });

const executed = async (query) => {
  const run = query.startsWith("mutation") ? client.mutation(query, {}) : client.query(query, {});
  return [taken(await run.toPromise())];
};

const answers = [];
for (const query of queries) answers.push(await (query.startsWith("subscription") ? subscribed : executed)(query));
console.log(JSON.stringify(answers));
