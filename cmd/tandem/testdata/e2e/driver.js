// The test's ear and hand in a page: it tells the test what happens there, in
// order, and does what the test says.
'use strict';
const say = (() => {
  let told = Promise.resolve();
  return (kind, ...what) => {
    const body = JSON.stringify({ kind: String(kind), what });
    told = told.then(() => fetch('http://TEST/said', { method: 'POST', body }));
  };
})();
console.log = say;
console.error = (what) => say('console.error', String(what));
addEventListener('error', (event) => say('uncaught', event.message));
addEventListener('unhandledrejection', (event) => say('uncaught', String(event.reason)));
(async () => {
  for (;;) {
    const next = await fetch('http://TEST/do');
    if (next.status === 200) (0, eval)(await next.text());
  }
})();
