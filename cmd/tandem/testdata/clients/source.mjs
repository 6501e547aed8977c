// The EventSource of npm for an example of the conversation document, which gives
// it headers and an address that is relative to its page.
import { EventSource } from 'eventsource';

export const sourceOf = (base) => class extends EventSource {
  constructor(url, { headers }) {
    super(new URL(url, base), { fetch: (to, init) => fetch(to, { ...init, headers: { ...init.headers, ...headers } }) });
  }
};
