// Calls the session document's three methods with axios, as its generated client
// does: the paths, the bearer, nothing else. Prints what each came to.
//
//   node session.mjs BASE USER_TOKEN USER KEY
import axios from 'axios';

const [base, token, userId, key] = process.argv.slice(2);

class ServerSentEventsApi {
  constructor({ basePath, accessToken }) {
    this.axios = axios.create({ baseURL: basePath, headers: accessToken ? { Authorization: `Bearer ${accessToken}` } : {} });
  }
  connect(sessionId) {
    return this.axios.get(`/sse/connect/${encodeURIComponent(sessionId)}`, { headers: { Accept: 'text/event-stream,application/json' } });
  }
  disconnect(sessionId) { return this.axios.delete(`/sse/disconnect/${encodeURIComponent(sessionId)}`); }
  sendMessageToUser(userId, message) { return this.axios.get('/sse/send', { params: { userId, message } }); }
}

const page = new ServerSentEventsApi({ basePath: base, accessToken: token });
const backEnd = new ServerSentEventsApi({ basePath: base, accessToken: key });
const stranger = new ServerSentEventsApi({ basePath: base });
const tell = (what, { status, data }) => console.log(JSON.stringify({ what, status, data }));
const refused = (what, call) => call.then((answer) => tell(what, answer), ({ response }) => tell(what, response));

await refused('connect, not signed in', stranger.connect('axios-1'));
const connected = page.connect('axios-1');
connected.catch(() => {}); // is awaited below
let sent;
for (let tries = 0; tries < 200; tries++) { // until the session is there
  sent = await backEnd.sendMessageToUser(userId, 'paid');
  if (sent.data.message.includes('sent to 1 ')) break;
  await new Promise((resolve) => setTimeout(resolve, 50));
}
tell('send', sent);
await refused('disconnect, not signed in', stranger.disconnect('axios-1'));
await refused('disconnect', page.disconnect('axios-1'));
await refused('connect', connected);
await refused('disconnect again', page.disconnect('axios-1'));
