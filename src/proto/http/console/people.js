// Pages about whoever is there: clients, sessions, one of them, queues, bans.
//
// Lists are searched, sorted and cut into pages by the broker. A page is asked for by the place
// where the one before ended, so coming and going moves nobody from one page to another.

import {
  action, ago, bytes, call, callBox, clock, complain, count, el, field, me, meter, micros, number,
  put, select, show, span, table,
} from './kit.js';

const link = (id) => `#/clients/${encodeURIComponent(id)}`;

/** Only what was filled in. */
const given = (query) =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ''));

/** Another address for the same page, without turning it. */
function remember(page, query) {
  const text = new URLSearchParams(given(query)).toString();
  history.replaceState(null, '', `#/${page}${text ? `?${text}` : ''}`);
}

/** A list that the broker cuts into pages: rows, where we are, and the buttons. */
function paged({ route, rows, query, signal, what }) {
  const said = el('span', { class: 'quiet', role: 'status' });
  const flip = (label, name, act) => el('button', { type: 'button', [name]: true,
    on: { click: act } }, label);
  const older = flip('‹ Previous', 'data-prev', () => go(-1));
  const newer = flip('Next ›', 'data-next', () => go(1));
  const box = callBox(route, { query: query() });
  /** Where each page up to this one begins, and how many rows stand before it. */
  let begins = [{ after: undefined, before: 0 }];
  let next = null;
  let asked = 0;
  async function load() {
    asked += 1;
    const mine = asked;
    const here = begins.at(-1);
    const given = { query: { ...query(), after: here.after } };
    box.set(given);
    let answer;
    try {
      answer = await call(route, given, signal);
    } catch (trouble) {
      return complain(trouble);
    }
    if (mine !== asked) return undefined;
    next = answer.meta.next;
    here.len = answer.data.length;
    rows(answer.data);
    const of = answer.meta.total === undefined ? '' : ` of ${count(answer.meta.total)}`;
    const range = here.len ? `${count(here.before + 1)} to ${count(here.before + here.len)}` : 'no';
    show(said, `${range}${here.len ? of : ''} ${what}`);
    older.disabled = begins.length === 1;
    newer.disabled = !next;
    return undefined;
  }
  function go(by) {
    if (by < 0 && begins.length > 1) begins.pop();
    else if (by > 0 && next) {
      const { before, len } = begins.at(-1);
      begins.push({ after: next, before: before + len });
    } else return;
    load();
  }
  const node = el('div', { class: 'pager' }, said, el('span', { class: 'grow' }), older, newer);
  const first = () => {
    begins = [{ after: undefined, before: 0 }];
    return load();
  };
  return { node, box, load, first };
}

/** A bar where there is something to see. */
const used = (some, most) => (some ? meter(some, most, count(some)) : '0');

const COLUMNS = {
  id: { name: 'Client', sort: 'id', wide: true,
    cell: (r) => el('a', { href: link(r.id), class: 'id' }, r.id) },
  protocol: { name: 'Protocol', cell: (r) => r.protocol },
  user: { name: 'User', sort: 'user', cell: (r) => r.user || '–' },
  address: { name: 'Address', mono: true, cell: (r) => r.address || '–' },
  since: { name: 'Connected', sort: 'since', cell: (r) => ago(r.connected_at) },
  keepalive: { name: 'Keep-alive', right: true,
    cell: (r) => (r.keepalive_seconds ? `${r.keepalive_seconds} s` : '–') },
  state: { name: 'State', cell: (r) => stateOf(r) },
  away: { name: 'Away since', cell: (r) => ago(r.away_since) },
  kept: { name: 'Kept', cell: (r) => (r.durable ? keptFor(r) : 'while connected') },
  subscriptions: { name: 'Subs', right: true, title: 'Subscriptions',
    cell: (r) => count(r.subscriptions) },
  inflight: { name: 'In flight', right: true,
    cell: (r) => used(r.inflight, r.inflight_max) },
  queued: { name: 'Queued', sort: 'queued', right: true,
    cell: (r) => used(r.queued, r.queued_max) },
  bytes: { name: 'Bytes', right: true, cell: (r) => (r.queued_bytes ? bytes(r.queued_bytes) : '–') },
  dropped: { name: 'Dropped', sort: 'dropped', right: true,
    cell: (r) => el('span', { class: r.dropped ? 'warn' : '' }, count(r.dropped)) },
};

const keptFor = (r) => (r.expiry_seconds === null ? 'for ever' : span(r.expiry_seconds));

function stateOf(r) {
  if (r.state !== 'connected') return el('span', { class: 'pill' }, 'away');
  return r.blocked ? el('span', { class: 'pill warn', title: 'Its socket takes nothing' }, 'blocked')
    : el('span', { class: 'pill good' }, 'connected');
}

function kick(id, done) {
  return action('DELETE /api/v1/clients/{id}', 'Kick', {
    about: ['Close the connection of ', el('b', {}, id), '. It may come back at once.'],
    given: () => ({ args: { id } }),
    danger: true,
    done,
  });
}

function list(route, page, names, state, extra) {
  return async (main, { query, signal }) => {
    const want = {
      q: query.q || '', user: query.user || '', address: query.address || '',
      protocol: query.protocol || '', state: query.state || state,
      sort: query.sort || 'since', order: query.order || 'asc', limit: query.limit || '100',
    };
    const keep = (name, input, event = 'input') => {
      let later;
      input.input.addEventListener(event, () => {
        clearTimeout(later);
        later = setTimeout(() => {
          want[name] = input.read().trim();
          pages.first();
          remember(page, { ...want, state: want.state === state ? '' : want.state });
        }, event === 'input' ? 250 : 0);
      });
      return input;
    };
    const find = keep('q', field('Find', { value: want.q, type: 'search', 'data-filter': true,
      placeholder: 'part of an id or user' }));
    const filters = el('div', { class: 'filters' }, find,
      keep('state', select('State', ['connected', 'away', 'any'], want.state), 'change'),
      keep('protocol', select('Protocol', [{ value: '', label: 'any' }, 'mqtt', 'prx1', 'local'],
        want.protocol), 'change'),
      keep('user', field('User', { value: want.user, size: 10 })),
      keep('address', field('Address', { value: want.address, size: 12 })),
      keep('limit', select('Rows', ['20', '100', '500', '1000'], want.limit), 'change'));
    const columns = names.map((name) => COLUMNS[name]);
    const acts = extra && mayShow(extra) && { name: '', cell: (r) => extra(r, () => pages.load()) };
    const place = el('div', {});
    let body;
    const draw = () => {
      body = table({
        caption: page, columns: acts ? [...columns, acts] : columns,
        open: (r) => { location.hash = link(r.id); },
        sorted: { by: want.sort, down: want.order === 'desc' },
        onSort: (by, down) => {
          want.sort = by;
          want.order = down ? 'desc' : 'asc';
          draw();
          pages.first();
          remember(page, { ...want, state: want.state === state ? '' : want.state });
        },
        empty: 'Nobody is like that.',
      });
      show(place, body);
    };
    draw();
    const pages = paged({ route, query: () => given(want), signal, what: page,
      rows: (rows) => body.set(rows) });
    put(main, el('h1', {}, page[0].toUpperCase() + page.slice(1)), filters, place, pages.node,
      pages.box);
    await pages.first();
  };
}

/** A column of buttons is there for those who may press them. */
const mayShow = () => me.role === 'operator';

export const clients = list('GET /api/v1/clients', 'clients',
  ['id', 'protocol', 'user', 'address', 'since', 'keepalive', 'subscriptions', 'inflight',
    'queued', 'bytes', 'dropped'], 'connected', (r, done) => kick(r.id, done));

export const sessions = list('GET /api/v1/sessions', 'sessions',
  ['id', 'protocol', 'user', 'state', 'away', 'kept', 'subscriptions', 'inflight', 'queued',
    'bytes', 'dropped'], 'any', (r, done) => forget(r.id, done));

function forget(id, done) {
  return action('DELETE /api/v1/sessions/{id}', 'Forget', {
    about: ['Forget the session of ', el('b', {}, id), ': its subscriptions and what it is owed ',
      'are gone, and its connection is closed.'],
    given: () => ({ args: { id } }),
    danger: true,
    done,
  });
}

const BANS = 'POST /api/v1/bans';

function ban(label, kind, value, done) {
  return action(BANS, label, {
    title: 'Ban',
    about: 'Whoever is banned is let go, and kept out.',
    fields: [
      () => select('What', ['client', 'user', 'address'], kind),
      () => field('Which', { value, required: true }),
      () => field('For seconds', { type: 'number', min: 1, placeholder: 'for ever' }),
      () => field('Why', { maxlength: 200 }),
    ],
    given: (kind, value, seconds, reason) => ({
      body: { kind, value, seconds: number(seconds), reason: reason || undefined },
    }),
    danger: true,
    go: 'Ban',
    done,
  });
}

// ---- one client ----

export async function client(main, { id, signal }) {
  const args = { args: { id } };
  const head = el('div', { class: 'title' });
  const facts = el('section', { class: 'panel' });
  const limits = el('section', { class: 'panel' });
  const subs = el('section', { class: 'panel wide' });
  const events = el('section', { class: 'panel wide' });
  let drawn = '';
  // Asked for beside the rest: the system knows it, and only while somebody is connected.
  const way = el('span', {}, '–');
  const measure = async () => {
    try {
      const { data } = await call('GET /api/v1/client/rtt', { query: { id } }, signal);
      show(way, data.rtt_us === null ? 'not known' : micros(data.rtt_us));
    } catch (trouble) {
      if (trouble.name === 'AbortError') throw trouble;
      show(way, '–');
    }
  };
  const draw = (c) => {
    showLimits(limits, c);
    // Buttons are not drawn anew under somebody's finger because a number has changed.
    const same = JSON.stringify({ ...c, inflight: 0, queued: 0, queued_bytes: 0, dropped: 0 });
    if (same === drawn) return;
    drawn = same;
    showHead(head, c, look);
    showFacts(facts, c, way);
    showSubscriptions(subs, c, look);
    showEvents(events, c);
  };
  const look = async () => {
    try {
      const { data } = await call('GET /api/v1/clients/{id}', args, signal);
      draw(data);
      if (data.state === 'connected') await measure();
      else show(way, '–');
    } catch (trouble) {
      // A session that was not to outlive its connection is gone with it.
      if (trouble.status === 404) {
        drawn = '';
        show(head, el('h1', { class: 'id' }, id), el('span', { class: 'pill' }, 'gone'));
      } else if (trouble.name !== 'AbortError' && trouble.status !== 0) throw trouble;
    }
  };
  const { data } = await call('GET /api/v1/clients/{id}', args, signal);
  draw(data);
  if (data.state === 'connected') measure().catch(complain);
  put(main, head, el('div', { class: 'panels' }, facts, limits, may(data), subs, events),
    callBox('GET /api/v1/clients/{id}', args));
  const every = setInterval(() => {
    if (!document.hidden && !document.getElementById('dialog').open) look().catch(complain);
  }, 2000);
  signal.addEventListener('abort', () => clearInterval(every));
}

function showHead(head, c, again) {
  const gone = () => { location.hash = '#/sessions'; };
  show(head, el('h1', { class: 'id' }, c.id), stateOf(c), el('span', { class: 'grow' }),
    el('a', { class: 'button', href: `#/trace?client=${encodeURIComponent(c.id)}` }, 'Trace'),
    c.state === 'connected' && kick(c.id, again), ban('Ban…', 'client', c.id, again),
    forget(c.id, gone));
}

const pairs = (all) => el('dl', { class: 'facts' }, all.map(([name, value]) =>
  [el('dt', {}, name), el('dd', {}, value)]));

function showFacts(node, c, way) {
  show(node, el('h2', {}, 'Session'), pairs([
    ['Protocol', c.protocol],
    ['User', c.user || '–'],
    ['Address', c.address || '–'],
    ['Listener', c.listener === null ? '–' : el('a', { href: '#/listeners' }, `no. ${c.listener}`)],
    c.state === 'connected' ? ['Connected', ago(c.connected_at)] : ['Away since', ago(c.away_since)],
    ['Round trip', way],
    ['Keep-alive', c.keepalive_seconds ? `${c.keepalive_seconds} s` : 'none'],
    ['Kept', c.durable ? keptFor(c) : 'while connected'],
  ]));
}

function showLimits(node, c) {
  show(node, el('h2', {}, 'What it is owed'), pairs([
    ['In flight', meter(c.inflight, c.inflight_max, `${count(c.inflight)} of ${count(c.inflight_max)}`)],
    ['Queued', meter(c.queued, c.queued_max, `${count(c.queued)} of ${count(c.queued_max)}`)],
    ['Bytes queued', bytes(c.queued_bytes)],
    ['Dropped', el('span', { class: c.dropped ? 'warn' : '' }, count(c.dropped))],
    ['Socket', c.blocked ? el('span', { class: 'warn' }, 'takes nothing') : 'takes what comes'],
  ]));
}

function showSubscriptions(node, c, again) {
  const route = 'DELETE /api/v1/clients/{id}/subscriptions';
  const list = table({
    caption: 'Subscriptions',
    columns: [
      { name: 'Filter', wide: true, mono: true, cell: (s) => s.filter },
      { name: 'Group', cell: (s) => s.group || '–' },
      { name: 'QoS', right: true, cell: (s) => s.qos },
      { name: 'Own messages', cell: (s) => (s.no_local ? 'no' : 'yes') },
      { name: 'Since', cell: (s) => ago(s.since) },
      { name: '', cell: (s) => action(route, 'Unsubscribe', {
        about: ['Let it listen no longer to ', el('b', {}, s.filter), '.'],
        given: () => ({ args: { id: c.id },
          query: { filter: s.group ? `$share/${s.group}/${s.filter}` : s.filter } }),
        done: again,
      }) },
    ],
    empty: 'It listens to nothing.',
  });
  list.set(c.subscribed);
  show(node, el('div', { class: 'title' }, el('h2', {}, `Subscriptions (${c.subscribed.length})`),
    el('span', { class: 'grow' }),
    action('POST /api/v1/clients/{id}/subscriptions', 'Subscribe…', {
      about: ['Let ', el('b', {}, c.id), ' listen.'],
      title: 'Subscribe',
      go: 'Subscribe',
      fields: [() => field('Filter', { required: true }), () => select('QoS', ['0', '1', '2'], '0')],
      given: (filter, qos) => ({ args: { id: c.id }, body: { filter, qos: Number(qos) } }),
      done: again,
    })), list);
}

function showEvents(node, c) {
  const list = table({
    caption: 'Last events, newest first',
    columns: [
      { name: 'When', cell: (e) => clock(e.at) },
      { name: '', cell: (e) => ago(e.at) },
      { name: 'Event', cell: (e) => el('span', { class: `tag event ${e.event}` }, e.event) },
      { name: 'Detail', wide: true, mono: true, cell: (e) => e.detail },
    ],
    empty: 'Nothing is known of it.',
  });
  const events = [...c.events].reverse();
  list.set(events);
  const left = c.state === 'connected' ? null : events.find((e) => e.event === 'disconnected');
  show(node, el('h2', {}, 'Last events'), left && el('p', {}, 'It left ', ago(left.at), ': ',
    el('b', {}, left.detail)), list);
}

/** A question about the rules, and the answer with the rule that gives it. */
function may(c) {
  const user = field('May user', { value: c.user });
  const what = select('do', ['publish', 'subscribe', 'receive', 'request']);
  const topic = field('with topic', { required: true, placeholder: 'a/b' });
  const said = el('p', { class: 'said', role: 'status' });
  const route = 'POST /api/v1/acl/test';
  const given = () => ({ body: { user: user.read(), action: what.read(), topic: topic.read(),
    client_id: c.id } });
  const box = callBox(route, given());
  const ask = async (event) => {
    event.preventDefault();
    try {
      const { data } = await call(route, given());
      show(said, el('span', { class: `pill ${data.allowed ? 'good' : 'bad'}` },
        data.allowed ? 'yes' : 'no'), ' ', data.why);
    } catch (trouble) {
      show(said, trouble.message);
    }
  };
  return el('section', { class: 'panel' }, el('h2', {}, 'May it?'),
    el('form', { class: 'may', on: { submit: ask, input: () => box.set(given()) } }, user, what,
      topic, el('div', { class: 'buttons' }, el('button', { type: 'submit' }, 'Ask'))), said, box);
}

// ---- queues and bans ----

export async function queues(main, { signal }) {
  const list = table({
    caption: 'Queues',
    columns: [
      { name: 'Address', wide: true, mono: true, cell: (q) => q.address },
      { name: 'Made by', cell: (q) => q.creator || '–' },
      { name: 'Kept', cell: (q) => (q.durable ? 'on disk' : 'in memory') },
      { name: 'Items', right: true, cell: (q) => count(q.items) },
      { name: 'Of them in memory', right: true, cell: (q) => count(q.in_memory) },
      { name: 'Drained by', right: true, cell: (q) => count(q.drainers) },
    ],
    open: () => {},
    empty: 'There are no queues. A reader of PRX1 makes one by draining it.',
  });
  const pages = paged({ route: 'GET /api/v1/queues', query: () => ({ limit: 100 }), signal,
    what: 'queues', rows: (rows) => list.set(rows) });
  put(main, el('h1', {}, 'Queues'), list, pages.node, pages.box);
  await pages.first();
}

export async function bans(main, { signal, again }) {
  const list = table({
    caption: 'Bans',
    columns: [
      { name: 'What', cell: (b) => b.kind },
      { name: 'Which', wide: true, cell: (b) => b.value },
      { name: 'Ends', cell: (b) => (b.until ? ago(b.until) : 'never') },
      { name: 'Why', wide: true, cell: (b) => b.reason || '–' },
      { name: '', cell: (b) => action('DELETE /api/v1/bans/{kind}/{value}', 'End', {
        about: ['End the ban of ', el('b', {}, `${b.kind} ${b.value}`), '.'],
        title: 'End a ban',
        given: () => ({ args: b }),
        done: again,
      }) },
    ],
    open: () => {},
    empty: 'Nobody is banned.',
  });
  const pages = paged({ route: 'GET /api/v1/bans', query: () => ({ limit: 100 }), signal,
    what: 'bans', rows: (rows) => list.set(rows) });
  put(main, el('div', { class: 'title' }, el('h1', {}, 'Bans'), el('span', { class: 'grow' }),
    ban('Ban…', 'client', '', again)), list, pages.node, pages.box);
  await pages.first();
}
