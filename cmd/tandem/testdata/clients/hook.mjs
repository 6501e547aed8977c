// Runs the React example of the conversation document outside a browser: the code
// as it stands, as little of React as it uses, and the EventSource of npm, with
// the headers that the document gives it. Prints what a person sees, each time it changes.
//
//   node hook.mjs conversation-hook.tsx BASE CONVERSATION TOKEN
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { sourceOf } from './source.mjs';

const [file, base, conversationId, token] = process.argv.slice(2);

const slots = []; // of useState and useEffect, in the order of their calls
let at, effects, seen, rendering = false;

const React = {
  useState(first) {
    const i = at++;
    slots[i] ??= { value: first };
    return [slots[i].value, (next) => {
      slots[i].value = typeof next === 'function' ? next(slots[i].value) : next;
      if (!rendering) { rendering = true; queueMicrotask(render); }
    }];
  },
  useEffect(effect, deps) {
    const i = at++;
    if (slots[i] && deps.every((dep, k) => dep === slots[i].deps[k])) return;
    slots[i]?.end?.();
    slots[i] = { deps };
    effects.push(() => { slots[i].end = effect(); });
  },
  createElement: (type, props, ...children) => children.flat(Infinity).join('') + (type === 'div' ? '\n' : ''),
};

const module = { exports: {} };
const script = ts.transpileModule(readFileSync(file, 'utf8') + '\nexport { ConversationView };\n', {
  compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, jsx: ts.JsxEmit.React },
}).outputText;
new Function('exports', 'require', 'React', 'EventSource', 'localStorage', script)(
  module.exports, () => React, React, sourceOf(base), { getItem: () => token },
);

function render() {
  rendering = false;
  at = 0;
  effects = [];
  const shown = module.exports.ConversationView({ conversationId });
  if (shown !== seen) console.log(JSON.stringify(seen = shown));
  for (const effect of effects) effect();
}
render();
