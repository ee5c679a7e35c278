// urql: everything by fetch, subscriptions as event streams.
import { Client, cacheExchange, fetchExchange } from "@urql/core";

const taken = ({ data, error }) => (error ? { errors: error.graphQLErrors } : { data });

export function open(host, key, ...exchanges) {
  const client = new Client({
    url: `http://${host}/graphql`,
    exchanges: [cacheExchange, ...exchanges, fetchExchange],
    fetchSubscriptions: exchanges.length === 0,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: `Bearer ${key}` } },
  });
  const subscribe = (query, next, complete) => {
    let answered = false;
    const { unsubscribe } = client.subscription(query, {}).subscribe((result) => {
      // The end repeats the last answer, or is the only one.
      if (result.hasNext || !answered) next(taken(result));
      answered = true;
      if (!result.hasNext) complete();
    });
    return unsubscribe;
  };
  const execute = async (query) => {
    const isMutation = /^\s*mutation/.test(query);
    return taken(await (isMutation ? client.mutation(query, {}) : client.query(query, {})).toPromise());
  };
  return { subscribe, execute, close: () => undefined };
}
