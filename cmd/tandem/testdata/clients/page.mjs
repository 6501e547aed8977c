// Runs the conversation document's script for browsers, as it stands, with an
// EventSource that sends headers. Prints what it tells the page and the console.
//
//   node page.mjs SCRIPT BASE
import { readFileSync } from 'node:fs';
import { sourceOf } from './source.mjs';

const [file, base] = process.argv.slice(2);
const tell = (what) => (...said) => console.log([what, ...said.map((s) => (typeof s === 'string' ? s : JSON.stringify(s)))].join(' '));
const contents = (what) => (messages) => tell(what)(messages.map((m) => m.content).join(' | '));

new Function('EventSource', 'console', 'displayMessages', 'appendMessages', readFileSync(file, 'utf8'))(
  sourceOf(base), { log: tell('log'), error: tell('error') }, contents('displays'), contents('appends'),
);
