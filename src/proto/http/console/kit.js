// What every page of the console is made of: nodes, numbers, calls of the API, tables, charts.
//
// Whatever comes from the broker becomes text of a node or the value of an attribute that cannot
// run; there is no other way from data to the page. A call is named as the manual names it, its
// method and its path, so what is shown, copied and sent are the same thing.

/** A node. Props: `class`, `on` with listeners, properties in `prop`; all else is an attribute. */
export function el(tag, props, ...kids) {
  return fill(document.createElement(tag), props, kids);
}

const SVG = document.getElementById('logo').namespaceURI;

/** A node of a drawing. */
export function svg(tag, props, ...kids) {
  return fill(document.createElementNS(SVG, tag), props, kids);
}

function fill(node, props, kids) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'on') {
      for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    } else if (name === 'prop') {
      Object.assign(node, value);
    } else {
      node.setAttribute(name, value === true ? '' : value);
    }
  }
  put(node, ...kids);
  return node;
}

/** Put these into a node, behind what is there. */
export function put(node, ...kids) {
  for (const kid of kids.flat(Infinity)) {
    if (kid !== undefined && kid !== null && kid !== false) node.append(kid);
  }
}

/** Put these into a node, instead of what is there. */
export function show(node, ...kids) {
  node.replaceChildren();
  put(node, ...kids);
}

// ---- numbers and times ----

const whole = new Intl.NumberFormat('en');

export const count = (n) => whole.format(Math.round(n));

/** A number that fits into a tile. */
export function short(n) {
  if (n < 10000) return n < 10 && n % 1 ? n.toFixed(1) : count(n);
  for (const [size, unit] of [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    if (n >= size) return `${(n / size).toFixed(n < 10 * size ? 2 : 1)} ${unit}`;
  }
  return count(n);
}

export function bytes(n) {
  let unit = 0;
  while (n >= 1024 && unit < 4) {
    n /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || n >= 100 ? 0 : 1;
  return `${n.toFixed(digits)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`;
}

export function micros(us) {
  if (us < 1000) return `${us} µs`;
  if (us < 1e6) return `${(us / 1e3).toFixed(us < 1e4 ? 2 : 1)} ms`;
  return `${(us / 1e6).toFixed(2)} s`;
}

export function span(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  const steps = [[86400, 'd', 3600, 'h'], [3600, 'h', 60, 'min'], [60, 'min', 1, 's']];
  const [size, unit, less, lesser] = steps.find(([size]) => seconds >= size);
  const rest = Math.floor((seconds % size) / less);
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${lesser}` : ''}`;
}

/** A moment as a node: how long ago, and exactly when one looks closer. */
export function ago(at) {
  if (!at) return '–';
  const seconds = (Date.now() - Date.parse(at)) / 1000;
  const text = seconds >= 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`;
  return el('time', { datetime: at, title: at }, text);
}

/** A moment as a node: the time of day. */
export function clock(at) {
  const date = new Date(at);
  const two = (n) => String(n).padStart(2, '0');
  const day = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  const ms = String(date.getMilliseconds()).padStart(3, '0');
  return el('time', { datetime: at, title: at }, `${day}.${ms}`);
}

// ---- calls ----

/** What went wrong with a call: its status (0: no answer at all) and a sentence. */
export class Trouble extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

const KEY = 'spindle.authorization';

/** What is shown to come in: kept for this tab, never in a cookie, so no other page can use it. */
export const pass = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => {
    known = 0;
    sessionStorage.setItem(KEY, value);
  },
  drop: () => sessionStorage.removeItem(KEY),
  basic: (name, password) => `Basic ${base64(`${name}:${password}`)}`,
  bearer: (token) => `Bearer ${token}`,
};

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** Who asks, as the broker says; nobody before it has. */
export const me = { name: '', role: '' };

/** Looking is for everybody who may come in; only these change nothing although they are sent. */
const HARMLESS = ['POST /api/v1/acl/test'];

export function mayCall(route) {
  return me.role === 'operator' || route.startsWith('GET ') || HARMLESS.includes(route);
}

/** Method, address and body of a call. */
export function target(route, { args = {}, query = {}, body } = {}) {
  const [method, path] = route.split(' ');
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  const value = (name) => String(args[name] ?? '');
  // A browser takes these for steps in a path, however they are written: such names go into the
  // query of the same path in the singular.
  const steps = names.some((name) => /^\.\.?$/.test(value(name)));
  const where = steps ? path.replace(/s(\/\{\w+\})+/, '')
    : path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(value(name)));
  const all = [...(steps ? names.map((name) => [name, value(name)]) : []), ...Object.entries(query)];
  const given = all.filter(([, value]) => value !== undefined && value !== null);
  const asked = given.map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join('&');
  return { method, url: where + (asked ? `?${asked}` : ''), body };
}

/** The broker knows for a minute that a password is right; to find out takes it a while. */
const KNOWN_MS = 50000;
let known = 0;
let asking = null;

/** Of several calls at once the first goes ahead, so that a password is looked at only once. */
async function fetchKnown(url, options) {
  while (asking) await asking.catch(() => {});
  const start = Date.now();
  const answer = fetch(url, options);
  if (start - known > KNOWN_MS) asking = answer;
  try {
    const response = await answer;
    if (response.ok && asking === answer) known = start;
    return response;
  } finally {
    if (asking === answer) asking = null;
  }
}

async function send(route, given, accept, signal) {
  const { method, url, body } = target(route, given);
  const headers = { Accept: accept };
  if (pass.get()) headers.Authorization = pass.get();
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response;
  try {
    // Without the browser's own credentials it also does not ask for any by itself.
    response = await fetchKnown(url, {
      method,
      headers,
      signal,
      credentials: 'omit',
      cache: 'no-store',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Trouble(0, 'the broker does not answer');
  }
  if (response.ok) return response;
  let text = response.statusText;
  try {
    const problem = await response.json();
    text = problem.detail || problem.failing?.map((f) => f.text).join(', ') || text;
  } catch {
    // No words beyond the status.
  }
  throw new Trouble(response.status, text);
}

/** Call the API; the answer's document, or nothing where there is none. */
export async function call(route, given = {}, signal = undefined) {
  const response = await send(route, given, 'application/json', signal);
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Trouble(0, 'the answer was cut off');
  }
}

/** Follow a stream of events until it ends. */
export async function follow(route, given, signal, hear) {
  const response = await send(route, given, 'text/event-stream', signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split('\n\n');
    rest = parts.pop();
    for (const part of parts) {
      const fields = part.split('\n').map((line) => line.split(/: ?(.*)/s));
      const field = (name) => fields.filter(([n]) => n === name).map(([, v]) => v).join('\n');
      if (field('data')) hear(field('event'), JSON.parse(field('data')));
    }
  }
}

/** The same call for a shell. Who asks is left open: a copied line may go anywhere. */
export function curl(route, given) {
  const { method, url, body } = target(route, given);
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = ['curl'];
  if (route.includes('/events') || route.includes('/trace')) parts.push('-N');
  if (method !== 'GET') parts.push('-X', method);
  if (pass.get()?.startsWith('Basic')) parts.push('-u', quote('USER:PASSWORD'));
  if (pass.get()?.startsWith('Bearer')) parts.push('-H', quote('Authorization: Bearer TOKEN'));
  if (body !== undefined) {
    parts.push('-H', quote('Content-Type: application/json'), '-d', quote(JSON.stringify(body)));
  }
  return [...parts, quote(location.origin + url)].join(' ');
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Browsers keep the clipboard from pages that came without encryption from elsewhere.
    const area = el('textarea', { class: 'offstage', prop: { value: text } });
    (document.querySelector('dialog[open]') || document.body).append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  toast('Copied');
}

/** A call in words, and a button that copies it for a shell. `given`: what it is made with. */
export function callBox(route, given) {
  const line = el('code', {});
  const button = el('button', { type: 'button', class: 'plain copy' }, 'Copy as curl');
  let text = '';
  const set = (given, other = route) => {
    try {
      const { method, url } = target(other, given);
      text = curl(other, given);
      show(line, el('b', {}, method), ` ${url}`);
      button.title = text;
      button.dataset.curl = text;
    } catch (trouble) {
      show(line, trouble.message);
    }
  };
  set(given);
  button.addEventListener('click', () => copy(text));
  const box = el('div', { class: 'call' }, line, button);
  box.set = set;
  return box;
}

// ---- words to the user ----

export function toast(text, kind = '') {
  const node = el('div', { class: `toast ${kind}` }, text);
  document.getElementById('toasts').append(node);
  setTimeout(() => node.remove(), kind ? 8000 : 3000);
}

/** Say what went wrong; what was only given up is nothing. */
export function complain(trouble) {
  if (trouble.name !== 'AbortError') toast(trouble.message, 'bad');
}

/** Open the dialog with this in it; gives what closes it. */
export function dialog(title, ...kids) {
  const node = document.getElementById('dialog');
  const close = () => node.open && node.close();
  const cross = el('button', { type: 'button', class: 'plain', title: 'Close (Esc)',
    'aria-label': 'Close', on: { click: close } }, '×');
  show(node, el('div', { class: 'dialog-head' }, el('h2', { id: 'dialog-title' }, title), cross),
    ...kids);
  if (!node.open) node.showModal();
  return close;
}

/**
 * A button for a call that changes something; nothing for those who may not make it. It opens a
 * dialog that says what will be sent. `fields`: inputs of the dialog, whose values `given` turns
 * into the call.
 */
export function action(route, label, { about, given, fields = [], danger, go, done, title }) {
  if (!mayCall(route)) return null;
  const open = () => {
    const inputs = fields.map((make) => make());
    const values = () => given(...inputs.map((input) => input.read()));
    const box = callBox(route, values());
    const said = el('p', { class: 'said', role: 'alert' });
    const send = el('button', { type: 'submit', class: danger ? 'danger' : 'main' }, go || label);
    const form = el('form', { on: {
      input: () => box.set(values()),
      submit: async (event) => {
        event.preventDefault();
        send.disabled = true;
        try {
          const answer = await call(route, values());
          close();
          await done?.(answer);
        } catch (trouble) {
          show(said, trouble.message);
        }
        send.disabled = false;
      },
    } }, el('p', {}, about), inputs, box, said, el('div', { class: 'buttons' }, send));
    const close = dialog(title || label, form);
    (inputs[0]?.querySelector('input,select') || send).focus();
  };
  return el('button', { type: 'button', class: danger ? 'danger' : '', 'data-call': route,
    on: { click: (event) => { event.stopPropagation(); open(); } } }, label);
}

// ---- fields ----

let fresh = 0;

/** A labelled input; `read()` gives its value. */
export function field(label, props = {}, kind = 'input') {
  fresh += 1;
  const id = `field-${fresh}`;
  const { options, ...rest } = props;
  const input = el(kind, { id, spellcheck: 'false', autocomplete: 'off', ...rest },
    (options || []).map((o) => el('option', { value: o.value ?? o }, o.label ?? o)));
  if (props.value !== undefined) input.value = props.value;
  const check = rest.type === 'checkbox';
  const name = el('label', { for: id }, label);
  const node = el('div', { class: check ? 'field check' : 'field' },
    check ? [input, name] : [name, input]);
  node.input = input;
  node.read = () => (check ? input.checked : input.value);
  return node;
}

export const select = (label, options, value) => field(label, { options, value }, 'select');

/** A number of a field, or nothing. */
export const number = (text) => (text === '' || isNaN(text) ? undefined : Number(text));

// ---- tables ----

/**
 * A table. Columns: `name`, `cell(row)`, `sort` (the word the API sorts by), `right`, `wide`,
 * `title`. Rows that `open` are chosen with j and k and opened with Enter.
 */
export function table({ caption, columns, open, sorted, onSort, empty = 'Nothing here.' }) {
  const head = columns.map((c) => {
    const on = sorted && c.sort && sorted.by === c.sort;
    const order = on && sorted.down ? 'descending' : 'ascending';
    const flip = { click: () => onSort(c.sort, on ? !sorted.down : Boolean(c.right)) };
    const kid = c.sort && onSort
      ? el('button', { type: 'button', class: 'sort', on: flip }, c.name,
        on && el('span', { 'aria-hidden': 'true' }, sorted.down ? ' ↓' : ' ↑'))
      : c.name;
    const props = { scope: 'col', title: c.title, class: c.right ? 'right' : c.wide && 'wide' };
    return el('th', { ...props, 'aria-sort': c.sort && onSort ? (on ? order : 'none') : null }, kid);
  });
  const body = el('tbody', {});
  const node = el('div', { class: 'scroll' }, el('table', {},
    el('caption', { class: 'offstage' }, caption), el('thead', {}, el('tr', {}, head)), body));
  const line = (row) => {
    const cells = columns.map((c) => el('td', { class: [c.right && 'right', c.wide && 'wide',
      c.mono && 'mono'].filter(Boolean).join(' ') || null }, c.cell(row)));
    const props = open
      ? { class: 'open', tabindex: '-1', on: {
        click: (event) => !event.target.closest('a,button') && open(row),
        keydown: (event) => event.key === 'Enter' && event.target === tr && open(row),
      } }
      : { tabindex: '-1' };
    const tr = el('tr', props, cells);
    return tr;
  };
  node.set = (rows) => show(body, rows.length ? rows.map(line)
    : el('tr', { class: 'none' }, el('td', { colspan: columns.length }, empty)));
  node.add = (row, most) => {
    body.querySelector('.none')?.remove();
    body.prepend(line(row));
    while (body.children.length > most) body.lastChild.remove();
  };
  return node;
}

// ---- drawings ----

/** A line of the last values. */
export function sparkline(values, label) {
  const [w, h] = [120, 28];
  const top = Math.max(...values, 0) || 1;
  const x = (i) => (values.length < 2 ? w : (i / (values.length - 1)) * w);
  const y = (v) => h - 2 - (v / top) * (h - 4);
  const points = values.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`).join(' ');
  return svg('svg', { class: 'spark', viewBox: `0 0 ${w} ${h}`, preserveAspectRatio: 'none',
    role: 'img', 'aria-label': label },
  svg('polygon', { points: `0,${h} ${points} ${w},${h}` }),
  svg('polyline', { points, 'vector-effect': 'non-scaling-stroke' }));
}

/** From 10 µs to 10 s, each factor of ten as wide as the next. */
const place = (us) => ((Math.log10(Math.min(Math.max(us, 10), 1e7)) - 1) / 6) * 240;

/** How percentiles lie, from the median to the worst. */
export function percentiles(t) {
  const text = `median ${micros(t.p50_us)}, 99 % ${micros(t.p99_us)}, worst ${micros(t.max_us)}`;
  const bar = (from, to, name, height) => svg('rect', { class: name, x: place(from), rx: 1,
    y: 10 - height / 2, width: Math.max(place(to) - place(from), 1.5), height });
  const marks = [100, 1e3, 1e4, 1e5, 1e6].map((us) =>
    svg('line', { class: 'mark', x1: place(us), x2: place(us), y1: 0, y2: 20 }));
  return svg('svg', { class: 'range', viewBox: '0 0 240 20', preserveAspectRatio: 'none',
    role: 'img', 'aria-label': text },
  marks, t.count > 0 && [bar(t.p50_us, t.max_us, 'worst', 2), bar(t.p50_us, t.p999_us, 'most', 6),
    bar(t.p50_us, t.p99_us, 'many', 10), bar(t.p50_us, t.p50_us, 'middle', 14)]);
}

/** How much is used of what there may be. */
export function meter(used, most, text) {
  const part = most > 0 ? Math.min(used / most, 1) : 0;
  return el('span', { class: 'meter', title: `${text} of ${most}` },
    svg('svg', { viewBox: '0 0 100 6', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      svg('rect', { class: 'all', width: 100, height: 6 }),
      svg('rect', { class: part > 0.8 ? 'much' : 'some', width: part * 100, height: 6 })),
    el('span', {}, text));
}
