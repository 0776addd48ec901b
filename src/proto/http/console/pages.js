// Pages about the broker: how it is, what it keeps, what it is told, how it is set.

import {
  Trouble, action, ago, bytes, call, callBox, clock, complain, copy, count, el, field, follow,
  mayCall, me, meter, micros, number, percentiles, put, select, short, show, span, sparkline,
  table, toast,
} from './kit.js';
import { hear, live, sum } from './live.js';

// ---- overview ----

/** Tiles: name, unit and value, the line that is drawn, what it is called in /metrics. */
const TILES = [
  ['Messages in', (s, p) => `${short(p.received)}/s`, 'received', 'messages_received_total',
    (s) => `${short(sum(s, 'messages_received_'))} in all`],
  ['Messages out', (s, p) => `${short(p.sent)}/s`, 'sent', 'messages_sent_total',
    (s) => `${short(sum(s, 'messages_sent_'))} in all`],
  ['Bytes in', (s, p) => `${bytes(p.bytesIn)}/s`, 'bytesIn', 'bytes_received_total',
    (s) => `${bytes(sum(s, 'received_bytes_'))} in all`],
  ['Bytes out', (s, p) => `${bytes(p.bytesOut)}/s`, 'bytesOut', 'bytes_sent_total',
    (s) => `${bytes(sum(s, 'sent_bytes_'))} in all`],
  ['Connections', (s) => count(s.connections), 'connections', 'connections',
    (s) => `${count(s.sessions)} sessions, ${count(s.strangers)} not identified`],
  ['Publish to deliver', (s) => micros(s.timings.publish_to_deliver.minute.p99_us), 'deliver',
    'publish_to_deliver_seconds', () => '99 % of the last minute'],
  ['Loop drift', (s) => micros(s.timings.event_loop_drift.minute.p99_us), 'drift',
    'event_loop_drift_seconds', () => '99 % of the last minute'],
  ['Drops', (s, p) => `${short(p.dropped)}/s`, 'dropped', 'messages_dropped_total',
    (s) => `${short(sum(s, 'messages_dropped_'))} in all`],
];

const TIMINGS = {
  publish_to_deliver: 'Publish to deliver',
  publish_to_ack_memory: 'Publish to ack, memory',
  publish_to_ack_os: 'Publish to ack, system',
  publish_to_ack_disk: 'Publish to ack, disk',
  event_loop_drift: 'Loop drift',
  event_loop_turn: 'Loop turn',
  wal_commit: 'Journal sync',
  wal_lag: 'Journal lag',
};

const NOW = { received: 0, sent: 0, bytesIn: 0, bytesOut: 0, dropped: 0 };

export function overview(main, { signal }) {
  const tiles = TILES.map(([name, , , metric]) => {
    const value = el('b', {});
    const under = el('span', { class: 'quiet' });
    const chart = el('div', {});
    const node = el('div', { class: 'tile', title: `spindle_${metric}` }, el('h2', {}, name), value,
      chart, under);
    return { node, value, under, chart };
  });
  const times = el('tbody', {});
  const window = select('Of', [{ value: 'minute', label: 'the last minute' },
    { value: 'quarter', label: 'the last 15 minutes' }, { value: 'all', label: 'all its time' }]);
  const drops = el('section', { class: 'panel' });
  const store = el('section', { class: 'panel' });
  const doors = el('section', { class: 'panel' });
  const draw = () => {
    const s = live.last;
    if (!s) return;
    const now = live.past.at(-1) || NOW;
    TILES.forEach(([name, value, series, , under], i) => {
      show(tiles[i].value, value(s, now));
      show(tiles[i].under, under(s));
      show(tiles[i].chart, sparkline(live.past.map((p) => p[series]), `${name}, last minutes`));
    });
    show(times, Object.entries(TIMINGS).map(([key, name]) => timing(s, key, name, window.read())));
    show(drops, el('h2', {}, 'What was not delivered, and why'), reasons(s));
    show(store, el('h2', {}, 'Memory and disk'), stores(s));
    show(doors, el('h2', {}, 'Connections by listener'), listening(s));
  };
  window.input.addEventListener('change', draw);
  const head = ['', '10 µs … 10 s', '50 %', '90 %', '99 %', '99.9 %', 'worst', 'measured'];
  put(main, el('h1', {}, 'Overview'), el('div', { class: 'tiles' }, tiles.map((t) => t.node)),
    el('section', { class: 'panel wide' },
      el('div', { class: 'title' }, el('h2', {}, 'Latency'), el('span', { class: 'grow' }), window),
      el('div', { class: 'scroll' }, el('table', { class: 'latency' },
        el('caption', { class: 'offstage' }, 'Latency in percentiles'),
        el('thead', {}, el('tr', {}, head.map((name, i) =>
          el('th', { scope: 'col', class: i > 1 && 'right' }, name)))), times))),
    el('div', { class: 'panels' }, drops, store, doors), callBox('GET /api/v1/events'));
  hear('snapshot', draw, signal);
  draw();
}

function timing(s, key, name, of) {
  const all = s.timings[key];
  const t = of === 'all' ? all : all[of];
  const values = [t.p50_us, t.p90_us, t.p99_us, t.p999_us, t.max_us];
  return el('tr', { title: `spindle_${key.replace(/_(memory|os|disk)$/, '')}_seconds` },
    el('th', { scope: 'row' }, name), el('td', { class: 'draw' }, percentiles(t)),
    values.map((us) => el('td', { class: 'right' }, t.count ? micros(us) : '–')),
    el('td', { class: 'right quiet' }, short(t.count)));
}

const REASONS = {
  messages_dropped_full_total: 'no room in its queue',
  messages_dropped_away_total: 'its reader was away',
  messages_dropped_expired_total: 'expired',
  messages_dropped_large_total: 'larger than its reader takes',
};

const TROUBLE = {
  publishes_refused_total: 'publications refused',
  policy_denied_total: 'denied by the rules',
  logins_refused_total: 'logins refused',
  peer_faults_total: 'protocol broken by a client',
  publishers_stalled_total: 'publishers made to wait',
  clients_paced_total: 'clients slowed down',
  connections_refused_total: 'connections refused',
};

const pairs = (all) => el('dl', { class: 'facts' }, all.filter(Boolean).map(([name, value, title]) =>
  [el('dt', { title }, name), el('dd', {}, value)]));

function reasons(s) {
  const named = Object.keys(s.counters).filter((name) => name.startsWith('messages_dropped_'));
  const rows = [...named, ...Object.keys(TROUBLE)].filter((name) => name in s.counters);
  const limits = Object.entries(s.limits_reached || {});
  const value = (n) => el('span', { class: n ? 'warn' : 'quiet' }, count(n));
  return pairs([
    ...rows.map((name) => [REASONS[name] || TROUBLE[name] || name, value(s.counters[name]),
      `counter ${name}`]),
    ...limits.map(([name, n]) => [`bound ${name} reached`, value(n), `limits.${name}`]),
  ]);
}

/** When the disk is full if the journal goes on growing like this. */
function lasts(seconds) {
  if (seconds === undefined) return 'not foreseeable: the journal does not grow';
  const days = seconds / 86400;
  const text = days < 365 ? `in ${span(seconds)}` : 'not within a year';
  return el('span', { class: days < 1 ? 'bad' : days < 7 ? 'warn' : '' }, text);
}

function stores(s) {
  return pairs([
    ['Messages in memory', meter(s.message_memory_bytes, s.message_memory_max_bytes,
      `${bytes(s.message_memory_bytes)} of ${bytes(s.message_memory_max_bytes)}`),
    'spindle_message_memory_bytes'],
    ['Kept values', `${count(s.retained_messages)} in ${bytes(s.retained_bytes)}`,
      'spindle_retained_messages'],
    ['Journal', el('span', { class: `pill ${s.journal === 'running' ? 'good' : 'warn'}` },
      s.journal)],
    ['Journal on disk', `${bytes(s.wal_bytes || 0)}, segments: ${count(s.wal_segments || 0)}`,
      'spindle_wal_bytes'],
    ['Not yet on the device', bytes(s.wal_unsynced_bytes || 0), 'spindle_wal_unsynced_bytes'],
    ['Oldest message owed', s.wal_oldest_message_age_seconds > 0
      ? span(s.wal_oldest_message_age_seconds) : '–', 'spindle_wal_oldest_message_age_seconds'],
    s.disk_size_bytes && ['Disk', meter(s.disk_size_bytes - s.disk_free_bytes, s.disk_size_bytes,
      `${bytes(s.disk_free_bytes)} free of ${bytes(s.disk_size_bytes)}`), 'spindle_disk_free_bytes'],
    s.disk_size_bytes && ['Disk is full', lasts(s.disk_left_seconds), 'spindle_disk_left_seconds'],
    ['Durably owed', bytes(s.queue_bytes || 0), 'spindle_queue_bytes'],
    ['Sessions kept', `${count(s.sessions_durable)} of ${count(s.sessions)}`,
      'spindle_sessions_durable'],
    ['Publishers waiting', count(s.publishers_waiting), 'spindle_publishers_waiting'],
    ['Passwords being checked', count(s.auth_queue_length), 'spindle_auth_queue_length'],
  ]);
}

function listening(s) {
  return pairs(s.listeners.map((l) => [`no. ${l.listener}, ${l.protocol}`,
    [`${count(l.connections)} now, ${short(l.accepted)} in all`,
      l.certificate_until && [', certificate ends ', ago(l.certificate_until)]]]));
}

// ---- topics ----

export async function topics(main, { query, signal }) {
  const value = el('section', { class: 'panel value', 'aria-live': 'polite' },
    el('p', { class: 'quiet' }, 'Choose a topic with a value.'));
  const prefix = field('Below', { value: query.prefix || '', type: 'search', 'data-filter': true,
    placeholder: 'a topic, or nothing' });
  const how = select('As', ['tree', 'list'], query.as || 'tree');
  const place = el('section', { class: 'panel tree' });
  const box = callBox('GET /api/v1/topics', {});
  const look = async () => {
    // Without one it is everything; an empty one would be the level without a name.
    const below = prefix.read() || undefined;
    const route = how.read() === 'tree' ? 'GET /api/v1/topics' : 'GET /api/v1/retained';
    box.set({ query: { prefix: below } }, route);
    show(place);
    const pick = (topic) => showValue(value, topic, signal, look);
    const levels = how.read() === 'tree';
    const list = el('ul', levels ? { role: 'tree', 'aria-label': 'Topics' } : { class: 'flat' });
    put(place, list);
    await branch(list, route, below, levels ? level : flat, pick, signal);
    if (!list.children.length) show(place, el('p', { class: 'quiet' }, 'No value is kept here.'));
  };
  let later;
  prefix.input.addEventListener('input', () => {
    clearTimeout(later);
    later = setTimeout(() => look().catch(complain), 250);
  });
  how.input.addEventListener('change', () => look().catch(complain));
  put(main, el('h1', {}, 'Topics'),
    el('p', { class: 'quiet' }, 'Topics with a kept value; others the broker does not remember.'),
    el('div', { class: 'filters' }, prefix, how), el('div', { class: 'two' }, place, value), box);
  await look();
  if (query.topic) await showValue(value, query.topic, signal, look);
}

/** Fill a list with rows below a prefix, and a button for more when there are more. */
async function branch(list, route, prefix, row, pick, signal, after) {
  const { data, meta } = await call(route, { query: { prefix, limit: 100, after } }, signal);
  put(list, data.map((it) => row(it, pick, signal)));
  if (!meta.next) return;
  const more = el('li', { class: 'more' }, el('button', { type: 'button', class: 'plain', on: {
    click: async () => {
      more.remove();
      await branch(list, route, prefix, row, pick, signal, meta.next);
    },
  } }, 'More…'));
  list.append(more);
}

/** A level of the tree; what lies below is asked for when it is opened. */
function level(it, pick, signal) {
  const kids = el('ul', { role: 'group', hidden: true });
  const below = it.below > 0 && el('span', { class: 'quiet' },
    ` ${count(it.below)}${it.below_is_more ? '+' : ''}`);
  const row = el('div', { class: 'row', tabindex: '-1' },
    el('span', { class: 'twist', 'aria-hidden': 'true' }, it.below ? '▸' : ''),
    el('span', { class: it.retained ? 'mono has' : 'mono' }, it.level || '(empty)'), below);
  const item = el('li', { role: 'treeitem', 'aria-expanded': it.below ? 'false' : null }, row, kids);
  const twist = async (open) => {
    if (!it.below || open === (item.getAttribute('aria-expanded') === 'true')) return;
    item.setAttribute('aria-expanded', String(open));
    row.firstChild.textContent = open ? '▾' : '▸';
    kids.hidden = !open;
    if (open && !kids.children.length) {
      await branch(kids, 'GET /api/v1/topics', it.topic, level, pick, signal);
    }
  };
  const toggle = () => twist(item.getAttribute('aria-expanded') !== 'true');
  row.addEventListener('click', () => {
    if (it.retained) pick(it.topic).catch(complain);
    toggle().catch(complain);
  });
  row.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') row.click();
    else if (event.key === 'ArrowRight') twist(true).catch(complain);
    else if (event.key === 'ArrowLeft') twist(false).catch(complain);
  });
  return item;
}

function flat(it, pick) {
  const row = el('div', { class: 'row', tabindex: '-1' }, el('span', { class: 'mono has' }, it.topic),
    el('span', { class: 'quiet' }, ` ${bytes(it.stored_bytes)}${it.on_disk ? ' on disk' : ''}`));
  row.addEventListener('click', () => pick(it.topic).catch(complain));
  row.addEventListener('keydown', (event) => event.key === 'Enter' && row.click());
  return el('li', { role: 'treeitem' }, row);
}

async function showValue(node, topic, signal, again) {
  const given = { query: { topic } };
  const { data } = await call('GET /api/v1/retained/value', given, signal);
  const raw = data.encoding === 'base64' ? Uint8Array.from(atob(data.payload),
    (c) => c.charCodeAt(0)) : new TextEncoder().encode(data.payload);
  const views = { text: () => data.payload, hex: () => dump(raw) };
  if (data.encoding === 'base64') views.text = () => new TextDecoder().decode(raw);
  try {
    const tree = JSON.parse(data.payload);
    if (data.encoding !== 'base64' && tree !== null && typeof tree === 'object') {
      views.JSON = () => JSON.stringify(tree, null, 2);
    }
  } catch {
    // It is no JSON, and need not be.
  }
  const first = views.JSON ? 'JSON' : data.encoding === 'base64' ? 'hex' : 'text';
  const body = el('pre', { class: 'payload', tabindex: '0' }, views[first]());
  const how = select('As', Object.keys(views), first);
  how.input.addEventListener('change', () => show(body, views[how.read()]()));
  const clear = action('DELETE /api/v1/retained', 'Delete', {
    about: ['Forget the value of ', el('b', {}, topic), '. Whoever has heard it keeps it.'],
    given: () => given,
    danger: true,
    done: async () => {
      show(node, el('p', { class: 'quiet' }, 'The value is deleted.'));
      await again();
    },
  });
  show(node, el('div', { class: 'title' }, el('h2', { class: 'mono' }, topic)),
    el('div', { class: 'title' }, how, el('span', { class: 'grow' }),
      el('button', { type: 'button', on: { click: () => copy(body.textContent) } }, 'Copy'), clear),
    body, el('p', { class: 'quiet' }, `${bytes(data.bytes)}, QoS ${data.qos}, published `,
      ago(data.published_at), data.expires_at && [', expires ', ago(data.expires_at)]),
    callBox('GET /api/v1/retained/value', given));
}

/** Bytes as people look at them, up to a bound. */
function dump(raw) {
  const lines = [];
  for (let at = 0; at < Math.min(raw.length, 16384); at += 16) {
    const some = [...raw.slice(at, at + 16)];
    const hex = some.map((b) => b.toString(16).padStart(2, '0')).join(' ').padEnd(47);
    const text = some.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : '.')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex}  ${text}`);
  }
  if (raw.length > 16384) lines.push('…');
  return lines.join('\n');
}

// ---- publish ----

export function publish(main, { query }) {
  const route = 'POST /api/v1/publish';
  if (!mayCall(route)) {
    put(main, el('h1', {}, 'Publish'), el('p', {}, `A ${me.role} may not publish.`));
    return;
  }
  const topic = field('Topic', { value: query.topic || '', required: true, 'data-filter': true });
  const payload = field('Payload', { rows: 8, class: 'mono' }, 'textarea');
  const encoding = select('Payload is', ['text', 'base64']);
  const qos = select('QoS', ['0', '1', '2']);
  const retain = field('Keep it (retain)', { type: 'checkbox' });
  const expiry = field('Of use for seconds', { type: 'number', min: 0, placeholder: 'for ever' });
  const given = () => ({ body: {
    topic: topic.read(), payload: payload.read(), qos: Number(qos.read()), retain: retain.read(),
    encoding: encoding.read() === 'base64' ? 'base64' : undefined,
    expiry_seconds: number(expiry.read()),
  } });
  const box = callBox(route, given());
  const said = el('p', { class: 'said', role: 'status' });
  const send = async (event) => {
    event.preventDefault();
    try {
      const { data } = await call(route, given());
      show(said, 'Published; matched ', el('b', {}, count(data.matched)), ' subscriptions.');
    } catch (trouble) {
      show(said, el('span', { class: 'bad' }, trouble.message));
    }
  };
  put(main, el('h1', {}, 'Publish'), el('form', { class: 'panel form', on: {
    submit: send, input: () => box.set(given()),
  } }, topic, payload, el('div', { class: 'filters' }, encoding, qos, expiry, retain),
  el('div', { class: 'buttons' }, el('button', { type: 'submit', class: 'main', 'data-call': route },
    'Publish')), said, box));
  topic.input.focus();
}

// ---- listeners ----

export async function listeners(main, { signal }) {
  const list = table({
    caption: 'Listeners',
    columns: [
      { name: 'No.', right: true, cell: (l) => l.listener },
      { name: 'Protocol', cell: (l) => l.protocol },
      { name: 'Address', wide: true, mono: true, cell: (l) => l.address || 'inside the program' },
      { name: 'TLS', cell: (l) => (l.tls ? el('span', { class: 'pill good' }, 'TLS') : '–') },
      { name: 'Certificate ends', cell: (l) => ago(l.certificate_until) },
      { name: 'Inside', cell: (l) => l.inside },
      { name: 'Behind a proxy', cell: (l) => (l.proxy ? 'yes' : '–') },
      { name: 'Acks wait for', cell: (l) => l.durability },
      { name: 'Connections', right: true, cell: (l) => count(l.connections) },
      { name: 'Accepted', right: true, cell: (l) => count(l.accepted) },
    ],
    open: (l) => { location.hash = l.protocol === 'http' ? '#/api' : `#/clients`; },
  });
  const look = async () => {
    list.set((await call('GET /api/v1/listeners', {}, signal)).data);
  };
  put(main, el('h1', {}, 'Listeners'), list, callBox('GET /api/v1/listeners'));
  await look();
}

// ---- trace ----

/** Lines on the page; what is older of a trace is only in the download. */
const LINES_SHOWN = 500;
const LINES_KEPT = 20000;
/** A trace that is forgotten ends by itself. */
const TRACE_MS = 600000;

export function trace(main, { query, signal }) {
  const kinds = ['client', 'topic', 'address'];
  const kind = select('Follow', kinds, kinds.find((k) => query[k]) || 'client');
  const which = field('Which', { required: true, 'data-filter': true,
    value: query[kind.read()] || '', placeholder: 'a client id, a filter, or an address' });
  const start = el('button', { type: 'submit', class: 'main' }, 'Start');
  const end = el('button', { type: 'button', disabled: true }, 'Stop');
  const save = el('button', { type: 'button', disabled: true }, 'Download');
  const said = el('p', { class: 'quiet', role: 'status' },
    'Up to 200 lines a second; 256 bytes of a payload are shown, and never a password.');
  const given = () => ({ query: { [kind.read()]: which.read() } });
  const box = callBox('GET /api/v1/trace', given());
  const list = table({
    caption: 'Trace, newest first',
    columns: [
      { name: 'When', cell: (l) => clock(l.at) },
      { name: 'Event', cell: (l) => el('span', { class: `tag event ${l.event}` }, l.event) },
      { name: 'Client', cell: (l) => (l.client ? el('a', { class: 'id',
        href: `#/clients/${encodeURIComponent(l.client)}` }, l.client) : '–') },
      { name: 'Topic', mono: true, wide: true, cell: (l) => l.topic || '' },
      { name: 'QoS', right: true, cell: (l) => (l.topic ? `${l.qos}${l.retain ? ' r' : ''}` : '') },
      { name: 'Bytes', right: true, cell: (l) => (l.topic ? count(l.bytes) : '') },
      { name: 'Payload, or why', mono: true, wide: true, cell: (l) => l.payload || l.detail },
    ],
    empty: 'Nothing yet.',
  });
  list.set([]);
  const state = { lines: [], lost: 0, run: null };
  const tell = (text) => show(said, text, state.lost > 0
    && el('span', { class: 'warn' }, ` ${count(state.lost)} lines found no place.`));
  const stop = (why) => {
    state.run?.abort();
    state.run = null;
    start.disabled = false;
    end.disabled = true;
    tell(`${why} ${count(state.lines.length)} lines.`);
  };
  const on = (name, data) => {
    if (name === 'lost') state.lost += data.lines;
    if (name === 'line' && state.lines.length < LINES_KEPT) {
      state.lines.push(data);
      list.add(data, LINES_SHOWN);
    }
    save.disabled = false;
    tell(`Following; ${count(state.lines.length)} lines.`);
  };
  const begin = async (event) => {
    event?.preventDefault();
    stop('');
    Object.assign(state, { lines: [], lost: 0, run: new AbortController() });
    list.set([]);
    start.disabled = true;
    end.disabled = false;
    tell('Following.');
    const { signal } = state.run;
    const timer = setTimeout(() => stop('Stopped after ten minutes:'), TRACE_MS);
    try {
      await follow('GET /api/v1/trace', given(), signal, on);
      if (!signal.aborted) stop('The broker ended it:');
    } catch (trouble) {
      if (!signal.aborted) stop(trouble instanceof Trouble ? `${trouble.message}.` : 'Cut off:');
    }
    clearTimeout(timer);
  };
  end.addEventListener('click', () => stop('Stopped:'));
  save.addEventListener('click', () => download('trace.jsonl', state.lines));
  signal.addEventListener('abort', () => state.run?.abort());
  put(main, el('h1', {}, 'Trace'), el('form', { class: 'filters', on: {
    submit: begin, input: () => box.set(given()),
  } }, kind, which, start, end, save), said, list, box);
  if (which.read()) begin();
}

function download(name, lines) {
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  const href = URL.createObjectURL(new Blob([text], { type: 'application/jsonl' }));
  el('a', { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
}

// ---- log ----

const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'];
const GRAVE = { error: 'pill bad', warn: 'pill warn' };

/** The lines that the broker still has, and those to come as long as nobody says stop. */
export async function log(main, { query, signal }) {
  const route = 'GET /api/v1/log';
  const least = select('At least', LEVELS, LEVELS.includes(query.level) ? query.level : 'trace');
  const find = field('Find', { type: 'search', 'data-filter': true, value: query.q || '' });
  const halt = el('button', { type: 'button', 'aria-pressed': 'false' }, 'Stop');
  const said = el('p', { class: 'quiet', role: 'status' });
  const list = table({
    caption: 'Log, newest first',
    columns: [
      { name: 'When', cell: (l) => clock(l.at) },
      { name: 'Level', cell: (l) => el('span', { class: GRAVE[l.level] || 'tag' }, l.level) },
      { name: 'About', mono: true, cell: (l) => l.target },
      { name: 'What', mono: true, wide: true, cell: (l) => l.text },
    ],
    empty: 'Nothing was said that is like that.',
  });
  const state = { lines: [], seen: 0, live: true, asked: 0 };
  const given = () => ({ query: { level: least.read(), limit: 1000 } });
  const box = callBox(route, given());
  const fits = (l) => `${l.target} ${l.text}`.toLowerCase().includes(find.read().toLowerCase());
  const draw = () => list.set(state.lines.filter(fits).reverse());
  const tell = () => show(said, state.live ? 'New lines are shown as they come.' : 'Stopped.');
  const look = async (anew) => {
    state.asked += 1;
    const mine = state.asked;
    const after = anew ? undefined : state.seen;
    const all = given();
    const { data } = await call(route, { query: { ...all.query, after } }, signal);
    // Whoever has asked since then has another filter.
    if (mine !== state.asked) return;
    // Smaller numbers are those of a broker that was started again.
    const fresh = anew || (data.length > 0 && data[0].number <= state.seen);
    state.lines = [...(fresh ? [] : state.lines), ...data].slice(-LINES_SHOWN);
    state.seen = data.at(-1)?.number || (fresh ? 0 : state.seen);
    if (fresh) draw();
    else data.filter(fits).forEach((l) => list.add(l, LINES_SHOWN));
  };
  find.input.addEventListener('input', draw);
  least.input.addEventListener('change', () => {
    box.set(given());
    look(true).catch(complain);
  });
  halt.addEventListener('click', () => {
    state.live = !state.live;
    show(halt, state.live ? 'Stop' : 'Go');
    tell();
    if (state.live) look().catch(complain);
  });
  hear('snapshot', () => state.live && look().catch(complain), signal);
  put(main, el('div', { class: 'title' }, el('h1', {}, 'Log'), el('span', { class: 'grow' }),
    logLevel()), el('div', { class: 'filters' }, least, find, halt), said, list, box);
  tell();
  await look(true);
}

/** Let the log say more or less for a time. */
function logLevel() {
  return action('POST /api/v1/log', 'Level…', {
    about: 'The log says so much until the time is over.',
    title: 'Log level',
    go: 'Set',
    fields: [
      () => select('Level', ['off', ...LEVELS], 'debug'),
      () => field('Of what', { placeholder: 'spindle::proto; nothing: all' }),
      () => field('For seconds', { type: 'number', min: 1, max: 86400, value: '300' }),
    ],
    given: (level, target, seconds) => ({
      body: { level, target: target || undefined, seconds: number(seconds) },
    }),
    done: (answer) => result(answer),
  });
}

// ---- configuration ----

export async function config(main, { query, signal, again }) {
  const [keys, limits] = await Promise.all([
    call('GET /api/v1/config', {}, signal),
    call('GET /api/v1/limits', {}, signal),
  ]);
  const docs = new Map(limits.data.map((l) => [`limits.${l.name}`, l.doc]));
  const find = field('Find', { type: 'search', 'data-filter': true, value: query.q || '' });
  const set = field('Only what is set', { type: 'checkbox' });
  const list = table({
    caption: 'Configuration',
    columns: [
      { name: 'Key', mono: true, wide: true, cell: (k) => [k.key, docs.has(k.key)
        && el('div', { class: 'doc' }, docs.get(k.key))] },
      { name: 'Value', mono: true, wide: true, cell: (k) => written(k.value) },
      { name: 'From', mono: true, cell: (k) => el('span', {
        class: k.origin === 'default' ? 'quiet' : '' }, k.origin) },
      { name: 'A change', cell: (k) => (k.reloadable ? 'with a reload'
        : el('span', { class: 'warn' }, 'needs a restart')) },
    ],
    open: (k) => copy(k.key),
    empty: 'No key is like that.',
  });
  const draw = () => {
    const text = find.read().toLowerCase();
    list.set(keys.data.filter((k) => (!set.read() || k.origin !== 'default')
      && `${k.key} ${written(k.value)} ${k.origin}`.toLowerCase().includes(text)));
  };
  find.input.addEventListener('input', draw);
  set.input.addEventListener('change', draw);
  put(main, el('div', { class: 'title' }, el('h1', {}, 'Configuration'),
    el('span', { class: 'grow' }), reload(again)), el('div', { class: 'filters' }, find, set), list,
  callBox('GET /api/v1/config'));
  draw();
}

const written = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

function reload(done) {
  return action('POST /api/v1/reload', 'Reload…', {
    about: 'Read the configuration, the users, the rules and the certificates again. With an error '
      + 'in any of them nothing changes.',
    title: 'Reload',
    go: 'Reload',
    given: () => ({}),
    done: (answer) => result(answer, done),
  });
}

// ---- control ----

/** What an operation has said. */
function result(answer, done) {
  const text = answer?.data?.result;
  toast(text ? 'Done.' : 'Done; nothing to say about it.');
  const place = document.getElementById('result');
  if (text && place) show(place, text);
  if (done) done();
}

export function control(main) {
  const box = (title, text, button) => el('section', { class: 'panel' }, el('h2', {}, title),
    el('p', {}, text), button || el('p', { class: 'quiet' }, `A ${me.role} may only look.`));
  const quiet = { given: () => ({}), done: (answer) => result(answer) };
  put(main, el('h1', {}, 'Control'), el('div', { class: 'panels' },
    box('Log', 'Say more, or less, for a time; then it is as it was.', logLevel()),
    box("The log's file", 'Open it again, after it was moved away.',
      action('POST /api/v1/log/reopen', 'Reopen…', { ...quiet, go: 'Reopen', title: 'Reopen the log',
        about: "The log's file is closed and opened again." })),
    box('Reload', 'Read the configuration again; with an error nothing changes.', reload()),
    box('Drain', 'Let nobody new in; whoever is connected stays.',
      action('POST /api/v1/drain', 'Drain…', { ...quiet, danger: true, go: 'Drain', title: 'Drain',
        about: 'Nobody new is let in from now on, until the broker is started again.' })),
    box('Stop', 'Let everybody go, write everything to the disk, and end.',
      action('POST /api/v1/stop', 'Stop…', { ...quiet, danger: true, go: 'Stop', title: 'Stop',
        about: 'The broker ends. Only whoever starts it can bring it back.' }))),
  el('pre', { id: 'result', class: 'payload', role: 'status', 'aria-label': 'What was said' }));
}

// ---- the API ----

export async function api(main, { signal }) {
  const document = await call('GET /openapi.json', {}, signal);
  const rows = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, it]) => ({ method: method.toUpperCase(), path, it })));
  const find = field('Find', { type: 'search', 'data-filter': true });
  const list = table({
    caption: 'Calls',
    columns: [
      { name: 'Call', mono: true, cell: (r) => [el('b', {}, r.method), ` ${r.path}`] },
      { name: 'What it does', wide: true, cell: (r) => r.it.summary },
      { name: 'Takes', wide: true, cell: (r) => takes(r.it) },
    ],
    open: (r) => copy(`curl -X ${r.method} '${location.origin}${r.path}'`),
    empty: 'No call is like that.',
  });
  const draw = () => {
    const text = find.read().toLowerCase();
    list.set(rows.filter((r) => `${r.method} ${r.path} ${r.it.summary}`.toLowerCase()
      .includes(text)));
  };
  find.input.addEventListener('input', draw);
  put(main, el('h1', {}, 'API'), el('p', { class: 'quiet' },
    'Everything this console does is one of these calls. The document that describes them for ',
    'programs is at ', el('code', {}, '/openapi.json'), '.'),
  el('div', { class: 'filters' }, find), list, callBox('GET /openapi.json'));
  draw();
}

function takes(it) {
  const schema = it.requestBody && Object.values(it.requestBody.content)[0].schema;
  const names = [...it.parameters.map((p) => [p.name, p.required]),
    ...Object.keys(schema?.properties || {}).map((n) => [n, schema.required?.includes(n)])];
  return names.map(([name, must]) => [el(must ? 'b' : 'span', { class: 'mono' }, name), ' ']);
}
