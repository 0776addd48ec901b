// The frame of the console: who is here, which page is shown, and the keys.
//
// A page is a function that fills `main` and is told when it is left; the address behind `#` says
// which page and about what, so every view can be kept as a link.

import { Trouble, call, complain, dialog, el, me, pass, show, span, toast } from './kit.js';
import { hear, live, start, stop } from './live.js';
import * as pages from './pages.js';
import * as people from './people.js';

/** Letter, address, name, what fills it. The letter goes behind `g`. */
const PAGES = [
  ['o', '', 'Overview', pages.overview],
  ['c', 'clients', 'Clients', people.clients],
  ['s', 'sessions', 'Sessions', people.sessions],
  ['q', 'queues', 'Queues', people.queues],
  ['t', 'topics', 'Topics', pages.topics],
  ['p', 'publish', 'Publish', pages.publish],
  ['r', 'trace', 'Trace', pages.trace],
  ['e', 'log', 'Log', pages.log],
  ['b', 'bans', 'Bans', people.bans],
  ['l', 'listeners', 'Listeners', pages.listeners],
  ['f', 'config', 'Configuration', pages.config],
  ['x', 'control', 'Control', pages.control],
  ['a', 'api', 'API', pages.api],
];

const $ = (id) => document.getElementById(id);
const main = $('page');

// ---- pages ----

let left = new AbortController();

/** What stands behind `#`: steps, and what is asked about them. */
function address() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const steps = path.split('/').filter(Boolean).map((step) => {
    try {
      return decodeURIComponent(step);
    } catch {
      return step;
    }
  });
  return { steps, query: Object.fromEntries(new URLSearchParams(query || '')) };
}

async function turn() {
  left.abort();
  left = new AbortController();
  $('dialog').close();
  if (!me.role) return;
  const { steps, query } = address();
  const found = PAGES.find(([, path]) => path === (steps[0] || ''));
  for (const link of $('nav').querySelectorAll('a')) {
    if (found && link.dataset.page === found[1]) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  const one = found && steps.length > 1 && found[1] === 'clients';
  const name = one ? steps[1] : found?.[2] || 'Nothing here';
  document.title = `${name} · spindle`;
  show(main);
  window.scrollTo(0, 0);
  if (!found) return show(main, el('h1', {}, 'Nothing here'));
  const page = { query, signal: left.signal, again: turn };
  try {
    await (one ? people.client(main, { ...page, id: steps[1] }) : found[3](main, page));
  } catch (trouble) {
    if (trouble.name === 'AbortError') return;
    if (trouble.status === 401) return welcome(trouble.message);
    show(main, el('h1', {}, name), el('p', { class: 'bad', role: 'alert' }, trouble.message));
  }
}

// ---- who is here ----

/** Ask who we are; the broker says so, or what it wants to be shown. */
async function enter() {
  try {
    const { data } = await call('GET /api/v1/whoami');
    Object.assign(me, data);
  } catch (trouble) {
    if (trouble.status === 0) {
      lost(trouble.message);
      setTimeout(enter, 1000);
      return;
    }
    const tried = pass.get();
    pass.drop();
    welcome(trouble.message, tried);
    return;
  }
  document.body.classList.remove('stranger');
  show($('who'), me.name === 'unix' ? 'socket' : me.name, ' ', el('span', { class: 'tag' }, me.role));
  $('leave').hidden = !pass.get();
  $('lost').hidden = true;
  start();
  turn();
}

function leave() {
  stop();
  pass.drop();
  Object.assign(me, { name: '', role: '' });
  live.last = null;
  live.past = [];
  welcome('');
}

/** Ask for a name and a password, or a token. */
function welcome(why, tried) {
  stop();
  left.abort();
  me.role = '';
  document.body.classList.add('stranger');
  show($('who'));
  $('leave').hidden = true;
  const name = el('input', { id: 'name', autocomplete: 'username', spellcheck: 'false' });
  const word = el('input', { id: 'password', type: 'password', autocomplete: 'current-password' });
  const token = el('input', { id: 'token', type: 'password', autocomplete: 'off' });
  const said = el('p', { class: 'said', role: 'alert' }, tried ? `That is not it: ${why}` : '');
  const enterWith = (event) => {
    event.preventDefault();
    pass.set(token.value ? pass.bearer(token.value) : pass.basic(name.value, word.value));
    enter();
  };
  show(main, el('form', { class: 'login', on: { submit: enterWith } },
    el('h1', {}, 'Log in'),
    el('p', { class: 'quiet' }, /^nobody/.test(why) ? `${why[0].toUpperCase()}${why.slice(1)}.`
      : 'As an administrator of this broker.'),
    el('label', { for: 'name' }, 'Name'), name,
    el('label', { for: 'password' }, 'Password'), word,
    el('details', {}, el('summary', {}, 'With a token'),
      el('label', { for: 'token' }, 'Token'), token),
    said, el('button', { type: 'submit', class: 'main' }, 'Log in'),
    el('p', { class: 'quiet' }, 'What you enter stays in this tab until it is closed.')));
  name.focus();
}

// ---- how the broker is ----

let icon = '';

/** The tab's icon says how the broker is. */
function mark(colour) {
  if (icon === colour) return;
  icon = colour;
  const canvas = el('canvas', { width: 32, height: 32 });
  const brush = canvas.getContext('2d');
  brush.fillStyle = colour;
  brush.beginPath();
  brush.arc(16, 16, 13, 0, 7);
  brush.fill();
  document.querySelector('link[rel=icon]').href = canvas.toDataURL();
}

function health(kind, text, colour) {
  $('health').className = `pill ${kind}`;
  show($('health'), text);
  mark(colour);
}

function lost(why) {
  health('bad', 'lost', '#d64545');
  show($('lost'), `The broker is not there: ${why}. Trying again every second.`);
  $('lost').hidden = false;
}

hear('lost', lost);
hear('refused', (why) => welcome(why));
hear('back', () => {
  toast('The broker is back.');
  enter();
});
hear('snapshot', (s) => {
  $('lost').hidden = true;
  show($('broker'), `${s.version} · up ${span(s.uptime_seconds)}`);
  const failing = s.failing || [];
  $('health').title = failing.map((f) => `${f.check}: ${f.text}`).join('\n');
  if (failing.length === 0) health('good', 'ready', '#2f9e6e');
  else health('warn', failing.map((f) => f.check).join(', '), '#d9902f');
});
document.addEventListener('visibilitychange', () => {
  if (!me.role) return;
  if (document.hidden) stop();
  else start();
});

// ---- light and dark ----

const THEMES = { auto: '◐', light: '☀', dark: '☾' };

function theme(name) {
  if (name === 'auto') document.documentElement.removeAttribute('data-theme');
  else document.documentElement.dataset.theme = name;
  localStorage.setItem('spindle.theme', name);
  show($('theme'), THEMES[name]);
  $('theme').title = `Colours: ${name} (d)`;
  $('theme').setAttribute('aria-label', `Colours: ${name}`);
}

function nextTheme() {
  const names = Object.keys(THEMES);
  const now = document.documentElement.dataset.theme || 'auto';
  theme(names[(names.indexOf(now) + 1) % names.length]);
}

// ---- keys ----

const KEYS = [
  ['/', 'to the filter'],
  ['j k', 'next and previous row'],
  ['Enter', 'open the row'],
  ['n N', 'next and previous page'],
  ['r', 'look again'],
  ['Esc', 'close, leave a field, go back'],
  ['d', 'light, dark, or as the system has it'],
  ['?', 'this list'],
];

function help() {
  const keys = [...KEYS, ...PAGES.map(([key, , name]) => [`g ${key}`, name])];
  dialog('Keys', el('dl', { class: 'keys' }, keys.map(([key, what]) =>
    [el('dt', {}, key.split(' ').map((k) => el('kbd', {}, k))), el('dd', {}, what)])));
}

/** The rows that can be chosen: of a table, or of the tree. */
const rows = () => [...main.querySelectorAll('tbody tr[tabindex], [role=treeitem] > .row')]
  .filter((row) => row.offsetParent);

function move(by) {
  const all = rows();
  const at = all.indexOf(document.activeElement.closest('tr, .row'));
  const to = all[Math.min(Math.max(at + by, 0), all.length - 1)];
  to?.focus();
  to?.scrollIntoView({ block: 'nearest' });
}

function back() {
  const { steps } = address();
  if (steps.length > 1) location.hash = `#/${steps[0]}`;
}

const DO = {
  '/': () => main.querySelector('[data-filter]')?.focus(),
  '?': help,
  j: () => move(1),
  k: () => move(-1),
  n: () => main.querySelector('[data-next]')?.click(),
  N: () => main.querySelector('[data-prev]')?.click(),
  r: turn,
  d: nextTheme,
};

let going = false;

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest('input, textarea, select');
  if (event.key === 'Escape' && !$('dialog').open) {
    if (typing) typing.blur();
    else back();
    return;
  }
  if (typing || $('dialog').open || !me.role) return;
  if (going) {
    going = false;
    const page = PAGES.find(([key]) => key === event.key);
    if (page) {
      event.preventDefault();
      location.hash = `#/${page[1]}`;
    }
    return;
  }
  if (event.key === 'g') {
    going = true;
    setTimeout(() => { going = false; }, 1500);
  } else if (DO[event.key]) {
    event.preventDefault();
    DO[event.key]();
  }
});

// ---- the beginning ----

show($('nav'), PAGES.map(([key, path, name]) => el('a', { href: `#/${path}`, 'data-page': path,
  title: `g ${key}` }, name, el('kbd', { 'aria-hidden': 'true' }, key))));
$('theme').addEventListener('click', nextTheme);
$('keys').addEventListener('click', help);
$('leave').addEventListener('click', leave);
$('dialog').addEventListener('click', (event) => event.target === $('dialog') && $('dialog').close());
window.addEventListener('hashchange', turn);
window.addEventListener('unhandledrejection', (event) => {
  // Anything else is a mistake of ours, and the browser's console is where it shows.
  if (!(event.reason instanceof Trouble) && event.reason?.name !== 'AbortError') return;
  event.preventDefault();
  complain(event.reason);
});
theme(localStorage.getItem('spindle.theme') in THEMES ? localStorage.getItem('spindle.theme') : 'auto');
enter();
