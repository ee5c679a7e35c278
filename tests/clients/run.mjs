// Runs operations one after the other with the client of a module beside this one, and prints the answers to each.
//
//   node run.mjs CLIENT HOST KEY OPERATION...
//
// An operation is a query, or a JSON list of a subscription and a mutation: the mutation is executed once the
// subscription has answered, and the subscription is ended once it has answered again.
const [module, host, key, ...operations] = process.argv.slice(2);
const { open } = await import(`./${module}.mjs`);
const client = open(host, key);

const watched = (subscription, mutation) =>
  new Promise((resolve) => {
    const answers = [];
    const next = (answer) => {
      answers.push(answer);
      if (mutation && answers.length === 1) client.execute(mutation);
      // Later, because a client may not be ready to be stopped by what it calls.
      else if (mutation && answers.length === 2) setImmediate(() => resolve(stop()));
    };
    const unsubscribe = client.subscribe(subscription, next, () => resolve(answers));
    const stop = () => {
      unsubscribe();
      return answers;
    };
  });

const answers = [];
for (const operation of operations) {
  const [query, mutation] = operation.startsWith("[") ? JSON.parse(operation) : [operation];
  answers.push(/^\s*subscription/.test(query) ? await watched(query, mutation) : [await client.execute(query)]);
}
await client.close();
console.log(JSON.stringify(answers));
